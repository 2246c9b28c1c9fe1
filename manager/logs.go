package manager

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// LogOptions chooses a log and what of it is read.
type LogOptions struct {
	Console bool // what the guest wrote to its console; else the runtime's log
	Lines   *int // only so many of the last ones; nil: all that is kept
	Follow  bool // go on with what is written, until the instance has stopped or ctx ends
}

// Logs opens a log of an instance: liblxc's of the newest start, or what the guest wrote to its console, with the part that was
// rotated away. An instance that has not logged anything gives an empty one. A log that is followed ends with the run that
// writes it, at once where there is none; a Read of it fails with ctx's error when that ends. No lock is taken.
func (m *Manager) Logs(ctx context.Context, name string, o LogOptions) (io.ReadCloser, error) {
	l, err := m.openLog(ctx, name, o)
	if err != nil {
		return nil, sysctl.Wrap(err, "logs %s", name)
	}
	return l, nil
}

func (m *Manager) openLog(ctx context.Context, name string, o LogOptions) (l *logReader, err error) {
	if o.Lines != nil && *o.Lines < 0 {
		return nil, sysctl.FieldErrors{{Field: "lines", Msg: "must not be negative"}}
	}
	inst, err := m.DB.Instance(ctx, name)
	if err != nil {
		return nil, err
	}
	l = &logReader{path: m.Runtime.LogPath(inst.ID)}
	if o.Console {
		l.path = m.Runtime.ConsoleLogPath(inst.ID)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if s := m.Runtime.State(inst.ID); o.Follow && (s.Init.PID != 0 || s.Monitor.PID != 0) {
		// Watched before it is read, so that nothing falls between.
		if l.writer, err = watchWriter(ctx, filepath.Dir(l.path), func(ctx context.Context) error { return m.Runtime.Gone(ctx, inst.ID) }); err != nil {
			return l, err
		}
	}
	if _, err = l.renewed(); err == nil && o.Lines != nil {
		err = l.last(*o.Lines)
	}
	return l, err
}

// logReader reads a log that liblxc writes, and rotates by renaming it to path.1 and beginning path anew.
type logReader struct {
	path   string
	files  []*os.File // to be read, one after the other; the last one is path, as far as is known
	writer *writer    // nil: nobody is waited for
}

// Read implements io.Reader.
func (l *logReader) Read(b []byte) (int, error) {
	for over := l.writer == nil; ; {
		for len(l.files) > 0 {
			n, err := l.files[0].Read(b)
			if n > 0 || err != io.EOF {
				return n, err
			}
			if len(l.files) == 1 {
				break
			}
			l.files[0].Close()
			l.files = l.files[1:]
		}
		if l.writer == nil {
			return 0, io.EOF
		}
		switch renewed, err := l.renewed(); {
		case err != nil:
			return 0, err
		case renewed: // what was written to the old one before that comes first
		case over:
			return 0, io.EOF
		default:
			if over, err = l.writer.wait(); err != nil {
				return 0, err
			}
		}
	}
}

// Close ends the reading.
func (l *logReader) Close() error {
	for _, f := range l.files {
		f.Close()
	}
	l.files = nil
	if l.writer != nil {
		l.writer.close()
	}
	return nil
}

// renewed finds what was written to since path was opened: opened for the first time, rotated away and begun anew, or emptied.
func (l *logReader) renewed() (bool, error) {
	now, info, err := openInfo(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var newest os.FileInfo
	if n := len(l.files); n > 0 {
		if newest, err = l.files[n-1].Stat(); err != nil {
			now.Close()
			return false, err
		}
		if os.SameFile(newest, info) {
			now.Close()
			at, err := l.files[n-1].Seek(0, io.SeekCurrent)
			if err != nil || at <= info.Size() {
				return false, err
			}
			_, err = l.files[n-1].Seek(0, io.SeekStart)
			return true, err
		}
	}
	// Where it was rotated more than once, what is between is in path.1.
	if old, was, err := openInfo(l.path + ".1"); err == nil {
		if os.SameFile(was, info) || newest != nil && os.SameFile(was, newest) {
			old.Close()
		} else {
			l.files = append(l.files, old)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		now.Close()
		return false, err
	}
	l.files = append(l.files, now)
	return true, nil
}

func openInfo(path string) (*os.File, os.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// last passes over all but the last n lines. What has no end yet is a line.
func (l *logReader) last(n int) error {
	if i := len(l.files) - 1; n == 0 && i >= 0 {
		end, err := l.files[i].Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		return l.from(i, end)
	}
	started := false // with the last byte
	for i := len(l.files) - 1; i >= 0; i-- {
		end, err := l.files[i].Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		buf := make([]byte, 64<<10)
		for end > 0 {
			part := buf[:min(int64(len(buf)), end)]
			end -= int64(len(part))
			if _, err := l.files[i].ReadAt(part, end); err != nil {
				return err
			}
			if !started {
				if started = true; part[len(part)-1] == '\n' {
					n++
				}
			}
			for at := len(part); ; {
				if at = bytes.LastIndexByte(part[:at], '\n'); at < 0 {
					break
				}
				if n--; n == 0 {
					return l.from(i, end+int64(at)+1)
				}
			}
		}
		if _, err := l.files[i].Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	return nil
}

// from leaves what begins at an offset of one of the files.
func (l *logReader) from(file int, at int64) error {
	for _, f := range l.files[:file] {
		f.Close()
	}
	l.files = l.files[file:]
	_, err := l.files[0].Seek(at, io.SeekStart)
	return err
}

// writer tells when something may have been written in a directory, and when nobody writes there any more.
type writer struct {
	watch  int // inotify
	ended  *signal
	cancel context.CancelFunc
	done   chan struct{} // closed when err is known
	err    error         // what gone returned
}

// watchWriter watches a directory. gone returns when who writes there has ended, or with its context's error.
func watchWriter(ctx context.Context, dir string, gone func(context.Context) error) (*writer, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_TO); err != nil {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "watch", Path: dir, Err: err}
	}
	ended, err := newSignal()
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &writer{watch: fd, ended: ended, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.err = gone(ctx)
		ended.set()
	}()
	return w, nil
}

// wait returns after something may have been written. over: nothing more will be.
func (w *writer) wait() (over bool, err error) {
	fds := []unix.PollFd{{Fd: int32(w.watch), Events: unix.POLLIN}, {Fd: int32(w.ended.fd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err == unix.EINTR {
			continue
		} else if err != nil {
			return false, err
		}
		break
	}
	for buf := make([]byte, 4096); ; {
		if _, err := unix.Read(w.watch, buf); err != nil {
			break
		}
	}
	if fds[1].Revents == 0 {
		return false, nil
	}
	<-w.done
	return true, w.err
}

func (w *writer) close() {
	w.cancel()
	<-w.done
	w.ended.close()
	unix.Close(w.watch)
}
