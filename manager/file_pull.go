package manager

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sysctl-os/sysctl"
)

// PullFiles copies files of instances to a path of the host, "-" for out, placed as PushFiles does. What comes belongs to
// us and has no set-uid bit.
func (m *Manager) PullFiles(ctx context.Context, refs []FileRef, dst string, out io.Writer, o FileOptions) error {
	for _, ref := range refs {
		err := m.inTree(ctx, ref.Instance, o.Progress, func(ctx context.Context, _ sysctl.Instance, t OpenedTree) error {
			if dst == "-" {
				return fileError(pour(ctx, t, ref.Path, out))
			}
			to, stream, err := hostPlace(ref, dst, len(refs) > 1, o.Parents)
			if err != nil {
				return fileError(err)
			}
			if stream == nil {
				return fileError(t.Get(ctx, ref.Path, to, o.CopyOptions))
			}
			defer stream.Close()
			return fileError(pour(ctx, t, ref.Path, stream))
		})
		if err != nil {
			return sysctl.Wrap(err, "file pull %s", ref)
		}
	}
	return nil
}

// pour writes a guest's file to a stream.
func pour(ctx context.Context, t OpenedTree, name string, out io.Writer) error {
	f, err := t.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if n, err := io.CopyN(out, f, 8<<20); err == io.EOF || err == nil && n == 0 {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// hostPlace says where on the host a guest's file goes. A device or fifo there is written to: it must not be replaced.
func hostPlace(ref FileRef, dst string, several, parents bool) (name string, stream *os.File, err error) {
	base := pulledName(ref)
	into := several || strings.HasSuffix(dst, "/")
	info, err := os.Stat(dst)
	switch {
	case err == nil && info.IsDir():
		return filepath.Join(dst, base), nil, nil
	case err == nil && into:
		return "", nil, &fs.PathError{Op: "open", Path: dst, Err: syscall.ENOTDIR}
	case err == nil && info.Mode().IsRegular():
		name, err = filepath.EvalSymlinks(dst) // a link stays one
		return name, nil, err
	case err == nil:
		stream, err = os.OpenFile(dst, os.O_WRONLY, 0)
		return dst, stream, err
	case !errors.Is(err, fs.ErrNotExist):
		return "", nil, err
	}
	dir := filepath.Dir(dst)
	name = dst
	if into {
		dir, name = dst, filepath.Join(dst, base)
	}
	if parents {
		return name, nil, os.MkdirAll(dir, 0o755)
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return "", nil, sysctl.E(sysctl.NotFound, "there is no directory %s", dir).WithHint("add --create-dirs to make it")
	}
	return name, nil, nil
}

// pulledName is the name under which a file of an instance goes into a directory.
func pulledName(ref FileRef) string {
	if base := path.Base(ref.Path); base != "/" {
		return base
	}
	return ref.Instance
}

// sourceBase is the name under which a file of the host goes into a directory: "" for a stream, "." where what is in
// the directory is meant.
func sourceBase(src string) string {
	switch {
	case src == "-":
		return ""
	case src == "." || strings.HasSuffix(src, "/."):
		return "."
	}
	if abs, err := filepath.Abs(src); err == nil {
		return filepath.Base(abs)
	}
	return filepath.Base(src)
}
