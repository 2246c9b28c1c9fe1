package templates

import (
	"bytes"
	"context"
	"errors"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inputError marks a failure to read an entry's content, to be told from a failure to write it.
type inputError struct{ err error }

func (e inputError) Error() string { return e.err.Error() }
func (e inputError) Unwrap() error { return e.err }

// feed gives the next part of a content, valid until the next call. io.EOF comes with the last.
type feed func() ([]byte, error)

// feed is that of what r gives.
func (s *sink) feed(r io.Reader) feed {
	return func() ([]byte, error) {
		n, err := fillBuffer(r, s.buf)
		if err != nil && err != io.EOF {
			err = inputError{err}
		}
		return s.buf[:n], err
	}
}

// file makes a regular file of content. With holes, blocks of zeros become holes.
func (s *sink) file(ctx context.Context, name string, a attrs, content feed, holes bool) error {
	return s.newFile(name, a, func(fd int) error { return s.copy(ctx, fd, content, holes) })
}

// newFile makes a regular file whose content fill writes.
func (s *sink) newFile(name string, a attrs, fill func(fd int) error) error {
	dir, base, err := s.parent(name)
	if err != nil {
		return err
	}
	fd := -1
	err = s.make(dir, base, func() (err error) {
		fd, err = unix.Openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, a.mode&0o777)
		return err
	})
	if err != nil {
		return err
	}
	if err = fill(fd); err == nil {
		err = s.apply(fd, a)
	}
	if err == nil {
		err = futimes(fd, a)
	}
	return errors.Join(err, unix.Close(fd))
}

// futimes sets the times of an open file, which saves looking its name up.
func futimes(fd int, a attrs) error {
	at := a.times()
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&at[0])), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// copy writes content to fd from its beginning.
func (s *sink) copy(ctx context.Context, fd int, content feed, holes bool) error {
	var size int64
	for {
		data, rerr := content()
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.write(fd, data, size, holes); err != nil {
			return err
		}
		size += int64(len(data))
		switch {
		case rerr == io.EOF && holes:
			return unix.Ftruncate(fd, size)
		case rerr == io.EOF:
			return nil
		case rerr != nil:
			return rerr
		}
	}
}

// fillBuffer reads until buf is full or there is no more; the error is the reader's own.
func fillBuffer(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

// holeSize is the unit in which zeros become holes.
const holeSize = 4096

// write writes data at offset, leaving out blocks of zeros where holes is set.
func (s *sink) write(fd int, data []byte, offset int64, holes bool) error {
	var zeros [holeSize]byte
	for len(data) > 0 {
		n := len(data)
		if holes {
			n = min(n, holeSize)
			if bytes.Equal(data[:n], zeros[:n]) {
				data, offset = data[n:], offset+int64(n)
				continue
			}
		}
		w, err := unix.Pwrite(fd, data[:n], offset)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if err := s.grow(int64(w)); err != nil {
			return err
		}
		data, offset = data[w:], offset+int64(w)
	}
	return nil
}
