package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
)

func TestStageCommit(t *testing.T) {
	ctx := context.Background()
	s := New(filepath.Join(t.TempDir(), "a/b"))
	absent(t, s.dir)
	var ids []string
	for range 2 { // the second finds the first's layer
		st, err := s.Stage(ctx)
		must(t, err)
		write(t, filepath.Join(st.Dir(), "etc/hostname"), "web1\n")
		settle(t, st.Dir())
		l, err := st.Commit(ctx)
		must(t, err)
		if l.Size != 5 || l.Created.IsZero() {
			t.Errorf("layer %+v", l)
		}
		ids = append(ids, l.ID)
		must(t, st.Abort())
		if _, err := st.Commit(ctx); err == nil {
			t.Error("committed twice")
		}
	}
	if ids[0] != ids[1] {
		t.Errorf("ids %v differ", ids)
	}
	if got := read(t, filepath.Join(s.LayerPath(ids[0]), "etc/hostname")); got != "web1\n" {
		t.Errorf("content %q", got)
	}
	absent(t, filepath.Join(s.layers(), ids[0], "lock"))
	empty(t, s.staging())
	empty(t, s.trash())
	for path, want := range map[string]os.FileMode{s.dir: 0o700, s.layers(): 0o700, s.LayerPath(ids[0]): 0o755} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %o", path, info.Mode(), err, want)
		}
	}

	tree, err := s.OpenLayers(ctx, ids[:1])
	must(t, err)
	defer tree.Close()
	if b, err := tree.ReadFile("/etc/hostname"); err != nil || string(b) != "web1\n" {
		t.Errorf("read %q %v", b, err)
	}
	for _, err := range []error{
		tree.WriteFile("/x", nil, 0o644), tree.Remove("/no-such-file"), tree.MkdirAll("/y", 0o755), tree.Symlink("a", "/z"),
	} {
		if err == nil {
			t.Error("a layer was written to")
		}
	}

	must(t, s.DeleteLayer(ctx, ids[0]))
	must(t, s.DeleteLayer(ctx, ids[0]))
	empty(t, s.layers())
	empty(t, s.trash())
	if _, err = s.OpenLayers(ctx, ids[:1]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open a layer that is gone: %v", err)
	}
	wantKind(t, s.DeleteLayer(ctx, "../instances"), sysctl.Invalid)
}

func TestAbort(t *testing.T) {
	s := New(t.TempDir())
	st, err := s.Stage(context.Background())
	must(t, err)
	write(t, filepath.Join(st.Dir(), "x"), "x")
	must(t, st.Abort())
	must(t, st.Abort())
	empty(t, s.staging())
	empty(t, s.trash())
}

func helpStage(args []string) error {
	st, err := New(args[0]).Stage(context.Background())
	if err != nil {
		return err
	}
	fmt.Println(st.dir)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func TestSweep(t *testing.T) {
	ctx := context.Background()
	s := New(t.TempDir())
	must(t, s.SweepStaging(ctx))
	dead := helper("stage", s.dir)
	deadDir := start(t, dead)
	must(t, dead.Process.Kill())
	dead.Wait()
	liveDir := start(t, helper("stage", s.dir))
	own, err := s.Stage(ctx)
	must(t, err)
	must(t, os.Mkdir(filepath.Join(s.staging(), "lockless"), 0o700)) // died before it had a lock, or after Commit removed it
	write(t, filepath.Join(s.trash(), "left/over"), "x")

	must(t, s.SweepStaging(ctx))
	absent(t, deadDir)
	absent(t, filepath.Join(s.staging(), "lockless"))
	empty(t, s.trash())
	for _, dir := range []string{liveDir, own.dir} {
		if _, err := os.Stat(filepath.Join(dir, "fs")); err != nil {
			t.Errorf("live staging swept: %v", err)
		}
	}
	must(t, own.Abort())
}

func helpCommit(args []string) error {
	st, err := New(args[0]).Stage(context.Background())
	if err != nil {
		return err
	}
	for i := range 50 {
		if err := os.WriteFile(filepath.Join(st.Dir(), strconv.Itoa(i)), []byte(args[1]), 0o644); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	_, err = st.Commit(context.Background())
	return err
}

// TestCommitKilled kills committers at moments spread over the commit. What is among the layers afterwards is
// whole, and a sweep leaves nothing else.
func TestCommitKilled(t *testing.T) {
	ctx := context.Background()
	s := New(t.TempDir())
	for i := range 20 {
		cmd := helper("commit", s.dir, strconv.Itoa(i))
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		_, err = out.Read(make([]byte, 16))
		must(t, err)
		<-time.After(time.Duration(i*i) * 60 * time.Microsecond)
		cmd.Process.Kill()
		cmd.Wait()
	}
	must(t, s.SweepStaging(ctx))
	empty(t, s.staging())
	empty(t, s.trash())
	list, err := os.ReadDir(s.layers())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range list {
		if got := digestOf(t, s.LayerPath(e.Name())); got != e.Name() {
			t.Errorf("layer %s has digest %s", e.Name(), got)
		}
	}
	t.Logf("%d of 20 commits were through", len(list))
}
