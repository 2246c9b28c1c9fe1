package manager

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// UnpackFiles makes of a stream what PackFiles was given, in an empty directory: N/NAME. What it makes belongs to us. Invalid is a
// stream that was cut off or is none.
func UnpackFiles(ctx context.Context, r io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u := unpacker{ctx: ctx, root: root, dirs: map[string]*tar.Header{}}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil && h.Name == streamEnd {
			return u.finish()
		}
		if err == nil {
			if wrong := u.entry(h, tr); !errors.Is(wrong, io.EOF) && !errors.Is(wrong, io.ErrUnexpectedEOF) {
				err = wrong
			} else {
				err = sysctl.E(sysctl.Invalid, "the stream of files was cut off: %w", wrong)
			}
		} else {
			err = sysctl.E(sysctl.Invalid, "the stream of files was cut off, or is none: %w", err)
		}
		if err != nil {
			return fileError(err)
		}
	}
}

type unpacker struct {
	ctx  context.Context
	root *os.Root
	dirs map[string]*tar.Header // get their modes and times when all is in them
}

func (u *unpacker) entry(h *tar.Header, r io.Reader) error {
	name := strings.TrimRight(h.Name, "/")
	if top, _, below := strings.Cut(name, "/"); below {
		if err := u.root.Mkdir(top, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := u.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		u.dirs[name] = h
		return nil
	case tar.TypeSymlink:
		if err := u.root.Symlink(h.Linkname, name); err != nil {
			return err
		}
		return u.linkTime(name, h.ModTime)
	case tar.TypeLink:
		return u.root.Link(h.Linkname, name)
	case tar.TypeReg:
		return u.regular(name, h, r)
	}
	return sysctl.E(sysctl.Invalid, "%s: what it is cannot be in a stream of files", name)
}

// linkTime sets the time of a link itself.
func (u *unpacker) linkTime(name string, t time.Time) error {
	dir, err := u.root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	ts, err := unix.TimeToTimespec(t)
	if err == nil {
		err = unix.UtimesNanoAt(int(dir.Fd()), path.Base(name), []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	}
	return err
}

func (u *unpacker) regular(name string, h *tar.Header, r io.Reader) error {
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	parts, size := [][2]int64{{0, h.Size}}, h.Size
	if text, holes := h.PAXRecords[recordSize]; holes {
		if size, err = strconv.ParseInt(text, 10, 64); err != nil || size < 0 {
			return sysctl.E(sysctl.Invalid, "%s: its size is %q", name, text)
		}
		if parts, err = partsOf(h.PAXRecords[recordData], size); err != nil {
			return sysctl.E(sysctl.Invalid, "%s: %w", name, err)
		}
	}
	for _, part := range parts {
		for at, end := part[0], part[0]+part[1]; at < end; {
			if u.ctx.Err() != nil {
				return context.Cause(u.ctx)
			}
			n, err := io.CopyN(io.NewOffsetWriter(f, at), r, min(end-at, 8<<20))
			if err != nil {
				return err
			}
			at += n
		}
	}
	if err := f.Truncate(size); err != nil {
		return err
	}
	return attributes(f, h)
}

// partsOf reads offsets and lengths, in ascending order and within a size.
func partsOf(text string, size int64) (parts [][2]int64, err error) {
	words := strings.Fields(text)
	least := int64(0)
	for pair := range slices.Chunk(words, 2) {
		var part [2]int64
		for i := range pair {
			if part[i], err = strconv.ParseInt(pair[i], 10, 64); err != nil {
				return nil, err
			}
		}
		if len(pair) != 2 || part[0] < least || part[1] < 0 || part[1] > size-part[0] {
			return nil, fmt.Errorf("its parts are %q", text)
		}
		least = part[0] + part[1]
		parts = append(parts, part)
	}
	return parts, nil
}

// attributes gives a file or directory what an archive says of it.
func attributes(f *os.File, h *tar.Header) error {
	for _, record := range slices.Sorted(maps.Keys(h.PAXRecords)) {
		if name, ok := strings.CutPrefix(record, recordXattr); ok && strings.HasPrefix(name, userAttribute) {
			err := unix.Fsetxattr(int(f.Fd()), name, []byte(h.PAXRecords[record]), 0)
			if err != nil && err != unix.ENOTSUP {
				return &fs.PathError{Op: "attribute " + name, Path: f.Name(), Err: err}
			}
		}
	}
	if err := f.Chmod(fs.FileMode(h.Mode) & 0o777); err != nil {
		return err
	}
	ts, err := unix.TimeToTimespec(h.ModTime)
	if err == nil {
		err = unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), []unix.Timespec{ts, ts}, 0)
	}
	return err
}

// finish gives directories what they have, from within.
func (u *unpacker) finish() error {
	names := slices.Sorted(maps.Keys(u.dirs))
	slices.Reverse(names)
	for _, name := range names {
		f, err := u.root.Open(name)
		if err != nil {
			return fileError(err)
		}
		err = attributes(f, u.dirs[name])
		f.Close()
		if err != nil {
			return fileError(err)
		}
	}
	return nil
}
