package templates

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// cache is what was downloaded, in a directory: content by its SHA-256 in blobs/, what is on its way in partial/, and in
// names/ which content a name had when it was last asked for. Any number of processes may use it at once. All of it may
// be deleted at any time when nobody does.
type cache struct{ dir string }

// openCache makes the directory where it is missing. A dir of "" is a temporary one, which done removes.
func openCache(dir string) (c *cache, done func(), err error) {
	done = func() {}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "sysctl-cache-"); err != nil {
			return nil, done, sysctl.Wrap(err, "temporary directory")
		}
		done = func() { os.RemoveAll(dir) }
	}
	for _, sub := range []string{"blobs", "partial", "names"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			done()
			return nil, func() {}, sysctl.Wrap(err, "cache")
		}
	}
	return &cache{dir}, done, nil
}

func (c *cache) blob(sum string) string    { return filepath.Join(c.dir, "blobs", sum) }
func (c *cache) partial(sum string) string { return filepath.Join(c.dir, "partial", sum) }

// named is the file for a name, which may be anything.
func (c *cache) named(name string) string { return filepath.Join(c.dir, "names", sumOf([]byte(name))) }

// sumOf is the SHA-256 of data in hexadecimal digits.
func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// open opens the content with the SHA-256 sum for reading from its beginning. It reads all of it first: what does not have
// that sum any more is removed. Errors: fs.ErrNotExist, Canceled.
func (c *cache) open(ctx context.Context, sum string) (*os.File, error) {
	f, err := os.Open(c.blob(sum))
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	if _, err = io.Copy(h, contextReader{ctx, f}); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil && hex.EncodeToString(h.Sum(nil)) != sum {
		err = errors.Join(fs.ErrNotExist, os.Remove(c.blob(sum)))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// put stores data and the name by which it was found.
func (c *cache) put(name string, data []byte) error {
	sum := sumOf(data)
	for at, content := range map[string][]byte{c.blob(sum): data, c.named(name): []byte(sum)} {
		if err := replaceFile(at, content); err != nil {
			return sysctl.Wrap(err, "cache")
		}
	}
	return nil
}

// get returns the data that had the name, or fs.ErrNotExist.
func (c *cache) get(ctx context.Context, name string) ([]byte, error) {
	sum, err := os.ReadFile(c.named(name))
	if err != nil {
		return nil, err
	}
	f, err := c.open(ctx, filepath.Base(string(bytes.TrimSpace(sum))))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// replaceFile writes a file so that nobody sees a part of it.
func replaceFile(at string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(at), ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), at)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// part opens the file in which the content with the sum is collected, with what an earlier try left in it. Where another
// process writes it just now, it is a file of our own, whose content nobody will continue.
func (c *cache) part(sum string) (f *os.File, err error) {
	for range maxRaces {
		f, err = os.OpenFile(c.partial(sum), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		err = sysctl.Flock(f, unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return os.CreateTemp(filepath.Join(c.dir, "partial"), sum+".")
		}
		if err == nil && sameFile(f, c.partial(sum)) {
			return f, nil
		}
		f.Close() // it became a blob meanwhile
		if err != nil {
			return nil, err
		}
	}
	return nil, sysctl.E(sysctl.Busy, "cache: %s is being replaced all the time", sum)
}

// sameFile reports whether f is still what stands at name.
func sameFile(f *os.File, name string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Lstat(name)
	return err == nil && os.SameFile(a, b)
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
