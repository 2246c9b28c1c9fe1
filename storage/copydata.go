package storage

import (
	"context"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// copyChunk is how much is copied between two looks at the context.
const copyChunk = 8 << 20

// copyData copies what is in one file into an empty one. Holes stay holes. told is called with the bytes of each chunk.
func copyData(ctx context.Context, to, from int, size int64, sparse bool, buf []byte, told func(n int64)) error {
	if !sparse {
		return copyRange(ctx, to, from, size, 0, -1, buf, told)
	}
	for at := int64(0); at < size; {
		start, err := unix.Seek(from, at, unix.SEEK_DATA)
		if err == unix.ENXIO { // a hole up to the end
			break
		}
		if err != nil { // the filesystem does not say
			return copyRange(ctx, to, from, size, 0, -1, buf, told)
		}
		end, err := unix.Seek(from, start, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if err := copyRange(ctx, to, from, size, start, end-start, buf, told); err != nil {
			return err
		}
		at = end
	}
	return unix.Ftruncate(to, size)
}

// copyRange copies n bytes at an offset to the same offset, or what there is from it on where n is negative.
// size is the file's.
func copyRange(ctx context.Context, to, from int, size, at, n int64, buf []byte, told func(n int64)) error {
	left := func(most int64) int { return int(most) }
	if n >= 0 {
		stop := at + n
		left = func(most int64) int { return int(min(most, stop-at)) }
	}
	fast := n >= 0 || size > int64(len(buf)) // what one read takes is not worth asking
	for left(1) > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var done int
		var err error
		if fast {
			in, out := at, at
			done, err = unix.CopyFileRange(from, &in, to, &out, left(copyChunk), 0)
			if err != unix.ENOSPC && err != unix.EDQUOT && (err != nil || done == 0 && at == 0) {
				fast = false // not between these two; a file of /proc says 0. Reading and writing tells
				continue
			}
		} else {
			if done, err = pread(from, buf[:left(int64(len(buf)))], at); err == nil {
				err = pwrite(to, buf[:done], at)
			}
		}
		if err != nil {
			return err
		}
		if done == 0 {
			return nil
		}
		at += int64(done)
		told(int64(done))
	}
	return nil
}

func pread(fd int, b []byte, at int64) (int, error) {
	for {
		n, err := unix.Pread(fd, b, at)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

func pwrite(fd int, b []byte, at int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(fd, b, at)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}

// copyStream writes what r gives to a file. The end of the context ends the wait for r, though not the read itself.
func copyStream(ctx context.Context, to *os.File, r io.Reader, buf []byte, told func(n int64)) error {
	in, out := io.Pipe()
	stop := context.AfterFunc(ctx, func() { out.CloseWithError(context.Cause(ctx)) })
	defer stop()
	defer in.Close()
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{r}, make([]byte, len(buf)))
		out.CloseWithError(err)
	}()
	for {
		n, err := in.Read(buf)
		if _, err := to.Write(buf[:n]); err != nil {
			return err
		}
		told(int64(n))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
