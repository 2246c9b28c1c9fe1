package db

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
)

func TestOpenMakesTheFile(t *testing.T) {
	for _, name := range []string{"sysctl.db", "a b?c#d%41&mode=ro.db"} {
		path := filepath.Join(t.TempDir(), name)
		d := openPath(t, path)
		mustClaim(t, d, bare("web1"))
		for _, suffix := range []string{"", "-wal", "-shm"} {
			fi, err := os.Stat(path + suffix)
			must(t, err)
			if fi.Mode() != 0o600 {
				t.Errorf("%s has mode %v", fi.Name(), fi.Mode())
			}
		}
		p, err := d.Profile(context.Background(), "default")
		must(t, err)
		wantEqual(t, p.Devices, map[string]sysctl.Device{"eth0": {"type": "nic", "network": "sysbr0"}})
	}
}

func TestOpenAgainChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sysctl.db")
	ctx := context.Background()
	d := openPath(t, path)
	mustClaim(t, d, bare("web1"))
	must(t, d.UpdateProfile(ctx, sysctl.Profile{Name: "default"}))
	before := dump(t, d)

	o := options(path)
	o.DefaultNetwork = "other"
	again, err := Open(ctx, o)
	must(t, err)
	defer again.Close()
	wantEqual(t, dump(t, again), before)
}

func TestOpenContinuesWhatACrashLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sysctl.db")
	must(t, os.WriteFile(path, nil, 0o600)) // made, and no schema yet
	mustClaim(t, openPath(t, path), bare("web1"))

	path = filepath.Join(t.TempDir(), "sysctl.db")
	raw(t, path, "PRAGMA journal_mode = WAL") // one step further
	mustClaim(t, openPath(t, path), bare("web1"))
}

// raw runs statements on a file without this package.
func raw(t *testing.T, path string, statements ...string) {
	t.Helper()
	c, err := sql.Open("sqlite3", path)
	must(t, err)
	defer c.Close()
	for _, s := range statements {
		_, err := c.Exec(s)
		must(t, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	page := make([]byte, 4096)
	tests := []struct {
		name  string
		make  func(t *testing.T, path string)
		kind  sysctl.Kind
		words []string
	}{
		{"newer schema", func(t *testing.T, path string) {
			openPath(t, path)
			raw(t, path, "PRAGMA user_version = 99")
		}, sysctl.Unsupported, []string{"schema 99", "newer version"}},
		{"foreign database", func(t *testing.T, path string) {
			raw(t, path, "CREATE TABLE t (x)")
		}, sysctl.Unsupported, []string{"not a database of sysctl's"}},
		{"foreign application id", func(t *testing.T, path string) {
			raw(t, path, "PRAGMA application_id = 7")
		}, sysctl.Unsupported, []string{"not a database of sysctl's"}},
		{"negative version", func(t *testing.T, path string) {
			raw(t, path, "PRAGMA user_version = -1", fmt.Sprint("PRAGMA application_id = ", applicationID))
		}, sysctl.Unsupported, []string{"not a database of sysctl's"}},
		{"no database", func(t *testing.T, path string) {
			must(t, os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600))
		}, sysctl.Internal, []string{"damaged", ".recover"}},
		{"damaged first page", func(t *testing.T, path string) {
			openPath(t, path).Close()
			removeLog(t, path)
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteAt(page[:3000], 100)
			must(t, err)
			must(t, f.Close())
		}, sysctl.Internal, []string{"damaged", ".recover"}},
		{"no directory", func(t *testing.T, path string) {
			must(t, os.Remove(filepath.Dir(path)))
		}, sysctl.Internal, []string{"no such file"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "dir", "sysctl.db")
			must(t, os.Mkdir(filepath.Dir(path), 0o700))
			tt.make(t, path)
			before, _ := os.ReadFile(path)
			d, err := Open(context.Background(), options(path))
			if err == nil {
				d.Close()
			}
			wantKind(t, err, tt.kind, append(tt.words, path)...)
			// A foreign file may become a WAL database by being looked at (bytes 18 and 19), no more.
			after, _ := os.ReadFile(path)
			if tt.kind != sysctl.Unsupported && !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
	_, err := Open(context.Background(), Options{Path: "x"})
	wantKind(t, err, sysctl.Invalid)
}

// removeLog removes the log of a closed database, which has the newest pages once more.
func removeLog(t *testing.T, path string) {
	t.Helper()
	must(t, os.Remove(path+"-wal"))
	must(t, os.Remove(path+"-shm"))
}

func TestDamagedTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sysctl.db")
	d := openPath(t, path)
	mustClaim(t, d, bare("web1"))
	var root int64
	must(t, d.sql.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = 'instances'").Scan(&root))
	must(t, d.Close())
	removeLog(t, path)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(bytes.Repeat([]byte{0xff}, 4096), (root-1)*4096)
	must(t, err)
	must(t, f.Close())

	_, err = openPath(t, path).Instances(context.Background())
	wantKind(t, err, sysctl.Internal, "damaged", path, ".recover")
}

func TestEveryConnectionHasTheOptions(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	mustClaim(t, d, bare("web1")) // which is made with another option
	if _, err := d.ClaimInstance(ctx, bare("web1")); err == nil {
		t.Fatal("no error")
	}
	for range maxConns {
		c, err := d.sql.Conn(ctx) // held until the end: every one is another
		must(t, err)
		defer c.Close()
		for pragma, want := range map[string]string{
			"foreign_keys": "1", "journal_mode": "wal", "synchronous": "2", "busy_timeout": "10000",
		} {
			var got string
			must(t, c.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got))
			if got != want {
				t.Errorf("%s is %s, want %s", pragma, got, want)
			}
		}
		_, err = c.ExecContext(ctx, "INSERT INTO image_aliases VALUES ('a', 'absent')")
		if err == nil {
			t.Error("a row that refers to nothing was accepted")
		}
	}
	if n := d.sql.Stats().OpenConnections; n != maxConns {
		t.Errorf("%d connections, want %d", n, maxConns)
	}
}

func TestBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sysctl.db")
	holder := openPath(t, path)
	d, err := open(context.Background(), options(path), time.Millisecond)
	must(t, err)
	defer d.Close()
	err = holder.write(context.Background(), func(*tx) error {
		wantKind(t, d.DeleteInstance(context.Background(), 1), sysctl.Busy, path, "try again")
		_, err := d.Instances(context.Background()) // readers do not wait for writers
		return err
	})
	must(t, err)
	must(t, d.DeleteInstance(context.Background(), 1))
}

func TestCanceled(t *testing.T) {
	d := newDB(t)
	done, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := d.ClaimInstance(done, claim("web1"))
	wantKind(t, err, sysctl.Canceled)
	_, err = d.Instances(done)
	wantKind(t, err, sysctl.Canceled)

	// At any moment of a claim: nothing of it stays, and the connection is good for the next.
	ctx, cancel := context.WithCancel(context.Background())
	c := claim("web1")
	c.MAC = func(int64, string) string { cancel(); return "" }
	wantKind(t, unchanged(t, d, func() error { _, err := d.ClaimInstance(ctx, c); return err }), sysctl.Canceled)
	mustClaim(t, d, claim("web1"))

	// While another goroutine writes.
	ctx, cancel = context.WithCancel(context.Background())
	must(t, d.write(context.Background(), func(*tx) error {
		cancel()
		wantKind(t, d.MarkReady(ctx, 1, true), sysctl.Canceled)
		return nil
	}))
}

func TestOneNowPerTransaction(t *testing.T) {
	o := options(filepath.Join(t.TempDir(), "sysctl.db"))
	calls := 0
	o.Now = func() time.Time { calls++; return epoch.Add(time.Duration(calls) * time.Hour).Local() }
	d, err := Open(context.Background(), o)
	must(t, err)
	defer d.Close()
	before := calls
	must(t, d.AddImage(context.Background(), sysctl.Image{ID: "img"}, []sysctl.Layer{{ID: "l1"}, {ID: "l2"}}))
	if calls != before+1 {
		t.Errorf("the clock was read %d times", calls-before)
	}
	i, err := d.Image(context.Background(), "img")
	must(t, err)
	l, err := d.Layer(context.Background(), "l2")
	must(t, err)
	wantEqual(t, []time.Time{i.Created, l.Created}, []time.Time{epoch.Add(2 * time.Hour), epoch.Add(2 * time.Hour)})
}

func TestFirstOpenByManyGoroutines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sysctl.db")
	var wg sync.WaitGroup
	start := make(chan struct{})
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			<-start
			d, err := Open(context.Background(), options(path))
			if err == nil {
				_, err = d.ClaimInstance(context.Background(), bare(fmt.Sprint("web", i)))
				d.Close()
			}
			errs[i] = err
		})
	}
	close(start)
	wg.Wait()
	for _, err := range errs {
		must(t, err)
	}
	list, err := openPath(t, path).Instances(context.Background())
	must(t, err)
	if len(list) != len(errs) {
		t.Errorf("%d instances, want %d", len(list), len(errs))
	}
}

func TestMigrationsAreInSequence(t *testing.T) {
	for i, name := range migrations() {
		if want := fmt.Sprintf("schema/%04d.sql", i+1); name != want {
			t.Errorf("%s, want %s", name, want)
		}
	}
}

// Both files beside the database keep their blocks from one command to the next, whoever comes first.
func TestSideFilesStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sysctl.db")
	d := openPath(t, path)
	mustClaim(t, d, bare("web1"))
	must(t, d.Close())
	mark, err := os.OpenFile(path+"-shm", os.O_WRONLY, 0)
	must(t, err)
	_, err = mark.WriteAt([]byte("x"), 2*indexRoom) // gone where SQLite truncates it
	must(t, err)
	must(t, mark.Close())

	again := openPath(t, path)
	_, err = again.Instance(context.Background(), "web1")
	must(t, err)
	for suffix, size := range map[string]int64{"-wal": logRoom, "-shm": 2*indexRoom + 1} {
		info, err := os.Stat(path + suffix)
		must(t, err)
		if info.Size() < size {
			t.Errorf("%s has %d bytes, want %d", suffix, info.Size(), size)
		}
	}
}

// An index that a power cut left is not believed.
func TestStaleIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sysctl.db")
	d := openPath(t, path)
	stale, err := os.ReadFile(path + "-shm")
	must(t, err)
	mustClaim(t, d, bare("web1"))
	must(t, d.Close())
	must(t, os.WriteFile(path+"-shm", stale, 0o600))
	_, err = openPath(t, path).Instance(context.Background(), "web1")
	must(t, err)
}
