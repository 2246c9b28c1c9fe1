package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mattn/go-sqlite3"

	"github.com/sysctl-os/sysctl"
)

func TestFullDatabase(t *testing.T) {
	d := newDB(t)
	d.sql.SetMaxOpenConns(1) // the limit is the connection's
	_, err := d.sql.Exec("PRAGMA max_page_count = 1")
	must(t, err)
	c := claim("web1")
	c.Instance.Config["user.x"] = string(make([]byte, 1<<20))
	err = unchanged(t, d, func() error { _, err := d.ClaimInstance(context.Background(), c); return err })
	wantKind(t, err, sysctl.NoSpace, d.path, "df -h")
}

// TestFullDisk fills a file system of its own, mounted in a mount namespace that ends with the child.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	c := exec.Command(os.Args[0], t.TempDir())
	c.Env = append(os.Environ(), childRole+"=full")
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func fullDiskChild() error {
	ctx := context.Background()
	dir := os.Args[1]
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m,mode=0700"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	path := filepath.Join(dir, "sysctl.db")
	d, err := Open(ctx, options(path))
	if err != nil {
		return err
	}
	for _, name := range []string{"before", "gone"} {
		if _, err := d.ClaimInstance(ctx, bare(name)); err != nil {
			return err
		}
	}
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("filling the disk: %v", err)
	}
	if err := f.Close(); err != nil {
		return err
	}

	c := bare("web1")
	c.Instance.Config = map[string]string{"user.x": string(make([]byte, 100000))}
	if _, err := d.ClaimInstance(ctx, c); sysctl.KindOf(err) != sysctl.NoSpace {
		return fmt.Errorf("claim on a full disk: %v", err)
	}
	// The next command finds it full: it can read, and delete.
	if err := d.Close(); err != nil {
		return err
	}
	if d, err = Open(ctx, options(path)); err != nil {
		return fmt.Errorf("open on a full disk: %w", err)
	}
	inst, err := d.Instance(ctx, "gone")
	if err == nil {
		err = d.MarkReady(ctx, inst.ID, false)
	}
	if err == nil {
		err = d.DeleteInstance(ctx, inst.ID)
	}
	if err != nil {
		return fmt.Errorf("delete on a full disk: %w", err)
	}
	if _, err := d.Instance(ctx, "before"); err != nil {
		return fmt.Errorf("read on a full disk: %w", err)
	}
	other := options(filepath.Join(dir, "other.db"))
	if _, err := Open(ctx, other); sysctl.KindOf(err) != sysctl.NoSpace {
		return fmt.Errorf("new database on a full disk: %v", err)
	}

	if err := os.Remove(ballast); err != nil {
		return err
	}
	if _, err := d.ClaimInstance(ctx, c); err != nil {
		return fmt.Errorf("claim after the disk was full: %w", err)
	}
	if o, err := Open(ctx, other); err != nil {
		return fmt.Errorf("new database after the disk was full: %w", err)
	} else if err := o.Close(); err != nil {
		return err
	}
	return d.Close()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestClassify has the codes that are hard to provoke.
func TestClassify(t *testing.T) {
	d := &DB{path: "/x/sysctl.db"}
	tests := []struct {
		err  sqlite3.Error
		kind sysctl.Kind
	}{
		{sqlite3.Error{Code: sqlite3.ErrFull}, sysctl.NoSpace},
		{sqlite3.Error{Code: sqlite3.ErrIoErr, SystemErrno: syscall.ENOSPC}, sysctl.NoSpace},
		{sqlite3.Error{Code: sqlite3.ErrIoErr, SystemErrno: syscall.EDQUOT}, sysctl.NoSpace},
		{sqlite3.Error{Code: sqlite3.ErrIoErr, SystemErrno: syscall.EIO}, sysctl.Internal},
		{sqlite3.Error{Code: sqlite3.ErrCantOpen, SystemErrno: syscall.EACCES}, sysctl.Permission},
		{sqlite3.Error{Code: sqlite3.ErrReadonly}, sysctl.Permission},
		{sqlite3.Error{Code: sqlite3.ErrBusy}, sysctl.Busy},
		{sqlite3.Error{Code: sqlite3.ErrLocked}, sysctl.Busy},
		{sqlite3.Error{Code: sqlite3.ErrCorrupt}, sysctl.Internal},
		{sqlite3.Error{Code: sqlite3.ErrNotADB}, sysctl.Internal},
		{sqlite3.Error{Code: sqlite3.ErrInterrupt}, sysctl.Canceled},
		{sqlite3.Error{Code: sqlite3.ErrConstraint, ExtendedCode: sqlite3.ErrConstraintUnique}, sysctl.Exists},
		{sqlite3.Error{Code: sqlite3.ErrConstraint, ExtendedCode: sqlite3.ErrConstraintCheck}, sysctl.Internal},
	}
	for _, tt := range tests {
		err := d.fail(context.Background(), fmt.Errorf("wrapped: %w", tt.err))
		wantKind(t, err, tt.kind, d.path)
		if !errors.As(err, new(sqlite3.Error)) {
			t.Errorf("%v hides its cause", err)
		}
	}
}
