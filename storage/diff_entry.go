package storage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// found is what lies at a path of a tree: nothing where it has no descriptor.
type found struct {
	fd  int // O_PATH; 0: nothing is there
	st  unix.Stat_t
	ids translate // was done to st
}

// lookAt looks at a path without following a link at its end.
func lookAt(root *os.File, name string, ids translate) (found, error) {
	fd, err := openBeneath(int(root.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW)
	if gone(err) {
		return found{}, nil
	}
	if err != nil {
		return found{}, err
	}
	f := found{fd: fd, ids: ids}
	err = unix.Fstat(fd, &f.st)
	if err == nil {
		err = translateStat(&f.st, ids)
	}
	if err != nil {
		f.close()
		return found{}, err
	}
	return f, nil
}

func (f *found) close() {
	if f.fd != 0 {
		unix.Close(f.fd)
		f.fd = 0
	}
}

func (f found) there() bool  { return f.st.Mode != 0 }
func (f found) isDir() bool  { return f.st.Mode&unix.S_IFMT == unix.S_IFDIR }
func (f found) isFile() bool { return f.st.Mode&unix.S_IFMT == unix.S_IFREG }

func (f found) kind() string { return typeName(f.st.Mode) }

func (f found) size() int64 {
	if f.isFile() {
		return f.st.Size
	}
	return 0
}

// untouched reports that both are one file that nobody has changed or copied since: no program can set a time of change.
func untouched(a, b found) bool {
	return a.st.Ino == b.st.Ino && a.st.Ctim == b.st.Ctim && a.st.Mtim == b.st.Mtim && a.st.Size == b.st.Size && a.st.Mode == b.st.Mode
}

// changed says in which respects two files are not the same.
func changed(ctx context.Context, a, b found) (what []string, err error) {
	if a.st.Mode&unix.S_IFMT != b.st.Mode&unix.S_IFMT {
		return []string{"type"}, nil
	}
	if untouched(a, b) {
		return nil, nil
	}
	same, err := sameContent(ctx, a, b)
	if err != nil {
		return nil, err
	}
	if !same {
		what = append(what, "content")
	}
	if a.st.Mode != b.st.Mode {
		what = append(what, "mode")
	}
	if a.st.Uid != b.st.Uid || a.st.Gid != b.st.Gid {
		what = append(what, "owner")
	}
	xa, err1 := openXattrs(a.fd)
	xb, err2 := openXattrs(b.fd)
	if err := errors.Join(err1, err2); err != nil && !gone(err) {
		return nil, err
	}
	if err := errors.Join(translateXattrs(xa, a.ids), translateXattrs(xb, b.ids)); err != nil {
		return nil, err
	}
	if !slices.Equal(xa, xb) {
		what = append(what, "xattr")
	}
	return what, nil
}

// sameContent compares what two files of one type hold: bytes, target or device.
func sameContent(ctx context.Context, a, b found) (bool, error) {
	switch a.st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return sameBytes(ctx, a, b)
	case unix.S_IFLNK:
		ta, err := readlinkAt(a.fd, "")
		if err != nil {
			return false, err
		}
		tb, err := readlinkAt(b.fd, "")
		return ta == tb, err
	case unix.S_IFBLK, unix.S_IFCHR:
		return a.st.Rdev == b.st.Rdev, nil
	}
	return true, nil
}

func sameBytes(ctx context.Context, a, b found) (bool, error) {
	if a.st.Size != b.st.Size {
		return false, nil
	}
	fa, err := reopen(a.fd, "a")
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, err := reopen(b.fd, "b")
	if err != nil {
		return false, err
	}
	defer fb.Close()
	ba, bb := make([]byte, 128<<10), make([]byte, 128<<10)
	// No more than there was: a guest may write on.
	for left := a.st.Size; left > 0; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n := int(min(left, int64(len(ba))))
		na, err1 := io.ReadFull(fa, ba[:n])
		nb, err2 := io.ReadFull(fb, bb[:n])
		if !bytes.Equal(ba[:na], bb[:nb]) {
			return false, nil
		}
		if err1 != nil || err2 != nil {
			if errors.Is(err1, io.ErrUnexpectedEOF) || errors.Is(err1, io.EOF) {
				return true, nil // both were cut off meanwhile, at the same place
			}
			return false, errors.Join(err1, err2)
		}
		left -= int64(n)
	}
	return true, nil
}
