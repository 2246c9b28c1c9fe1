package manager

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"github.com/sysctl-os/sysctl"
)

// FileOptions says how files are copied. Owners are ids of the guest.
type FileOptions struct {
	sysctl.CopyOptions
	Parents bool // make the directories that are missing, of the guest's root, 0755
}

// FileRef names a file of a guest.
type FileRef struct {
	Instance string
	Path     string // absolute inside the guest; a slash at its end means a directory
}

func (r FileRef) String() string { return r.Instance + r.Path }

// inTree does something to the files of an instance, running or not. Of a stopped one the lock is held all the time; of a
// running one only until its tree is open: a stop does not wait for the copy but ends it.
func (m *Manager) inTree(ctx context.Context, name string, p sysctl.Progress, do func(ctx context.Context, inst sysctl.Instance, t OpenedTree) error) error {
	inst, unlock, err := m.lockInstance(ctx, name, p)
	defer func() { unlock() }()
	if err != nil {
		return err
	}
	if !inst.Ready {
		return halfMade(name)
	}
	s := m.Runtime.State(inst.ID)
	t, err := m.openInstance(ctx, inst)
	if err != nil {
		return err
	}
	defer t.Close()
	if s.Init.PID == 0 {
		return do(ctx, inst, t)
	}
	if m.Runtime.State(inst.ID).Init != s.Init { // then the tree may be anybody's
		return sysctl.E(sysctl.Busy, "it was stopped meanwhile")
	}
	unlock()
	unlock = func() {}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		if m.Runtime.Gone(ctx, inst.ID) == nil {
			cancel(sysctl.E(sysctl.Conflict, "it was stopped meanwhile"))
		}
	}()
	return do(ctx, inst, t)
}

// PushFiles copies files of the host, "-" for what in gives, to a path in an instance, as cp does: into a directory that is there or that
// the path's last slash or several sources ask for, else under the path's own name. Each file is replaced at once.
func (m *Manager) PushFiles(ctx context.Context, sources []string, to FileRef, in io.Reader, o FileOptions) error {
	err := m.inTree(ctx, to.Instance, o.Progress, func(ctx context.Context, inst sysctl.Instance, t OpenedTree) error {
		if err := checkIDs(inst, o.CopyOptions); err != nil {
			return err
		}
		for _, src := range sources {
			name, err := place(t, to.Path, sourceBase(src), len(sources) > 1, o)
			if err != nil {
				return fileError(err)
			}
			if src == "-" {
				err = t.PutStream(ctx, in, name, o.CopyOptions)
			} else {
				err = t.Put(ctx, src, name, o.CopyOptions)
			}
			if err != nil {
				return fileError(err)
			}
		}
		return nil
	})
	return sysctl.Wrap(err, "file push %s", to)
}

// checkIDs refuses an owner that the guest does not have.
func checkIDs(inst sysctl.Instance, o sysctl.CopyOptions) error {
	var bad sysctl.FieldErrors
	for _, id := range []struct {
		flag string
		id   int
	}{{"--uid", o.UID}, {"--gid", o.GID}} {
		most := int64(1<<32 - 2)
		if inst.IDMap.Size > 0 {
			most = int64(inst.IDMap.Size) - 1
		}
		if id.id < 0 || int64(id.id) > most {
			bad.Add(id.flag, "%d is no id of the instance: it has 0 to %d", id.id, most)
		}
	}
	return bad.Err()
}

// place says where in a tree a source goes, and makes the directories that o.Parents asks for. base is the source's name, ""
// where it has none.
func place(t OpenedTree, target, base string, several bool, o FileOptions) (string, error) {
	into := several || strings.HasSuffix(target, "/")
	info, err := t.Stat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		dir := path.Dir(target)
		if into {
			dir = target
		}
		if err := needDir(t, dir, o.Parents); err != nil {
			return "", err
		}
		if !into {
			return target, nil
		}
	case err != nil:
		return "", err
	case !info.IsDir() && into:
		return "", &fs.PathError{Op: "open", Path: target, Err: syscall.ENOTDIR}
	case info.Mode().IsRegular():
		return t.Resolve(target) // a link stays one
	case !info.IsDir():
		return "", sysctl.E(sysctl.Invalid, "%s: it is no file: it cannot be replaced", target)
	}
	switch base {
	case ".":
		return strings.TrimRight(target, "/"), nil
	case "":
		return "", sysctl.E(sysctl.Invalid, "%s is a directory: name the file to write", target)
	}
	return path.Join(target, base), nil
}

// needDir refuses a directory that is not there, unless it is to be made.
func needDir(t OpenedTree, dir string, parents bool) error {
	if parents {
		return t.MkdirAll(dir, 0o755)
	}
	info, err := t.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return sysctl.E(sysctl.NotFound, "the guest has no directory %s", dir).WithHint("add --create-dirs to make it")
	case err == nil && !info.IsDir():
		err = &fs.PathError{Op: "open", Path: dir, Err: syscall.ENOTDIR}
	}
	return err
}

// DeleteFile removes a file, link or empty directory, or with all anything with what is in it. With all absent is success.
func (m *Manager) DeleteFile(ctx context.Context, ref FileRef, all bool) error {
	err := m.inTree(ctx, ref.Instance, nil, func(ctx context.Context, _ sysctl.Instance, t OpenedTree) error {
		if all {
			err := t.RemoveAll(ctx, ref.Path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return fileError(err)
		}
		if _, err := t.Lstat(strings.TrimRight(ref.Path, "/")); err != nil {
			return fileError(err)
		}
		err := t.Remove(ref.Path)
		if errors.Is(err, syscall.ENOTEMPTY) {
			return sysctl.E(sysctl.Conflict, "the directory is not empty").WithHint("sysctl file delete --force %s", ref)
		}
		return fileError(err)
	})
	return sysctl.Wrap(err, "file delete %s", ref)
}

// MakeDir makes a directory; with o.Parents also those above it, and one that is there is success.
func (m *Manager) MakeDir(ctx context.Context, ref FileRef, o FileOptions) error {
	err := m.inTree(ctx, ref.Instance, nil, func(_ context.Context, inst sysctl.Instance, t OpenedTree) error {
		if err := checkIDs(inst, o.CopyOptions); err != nil {
			return err
		}
		name := path.Clean(ref.Path)
		if info, err := t.Stat(name); err == nil && info.IsDir() && o.Parents {
			return nil
		}
		if err := needDir(t, path.Dir(name), o.Parents); err != nil {
			return fileError(err)
		}
		return fileError(t.Mkdir(name, o.CopyOptions))
	})
	return sysctl.Wrap(err, "file mkdir %s", ref)
}

// ListFiles lists a directory of a guest, or the one file.
func (m *Manager) ListFiles(ctx context.Context, ref FileRef) (list []sysctl.File, err error) {
	err = m.inTree(ctx, ref.Instance, nil, func(_ context.Context, _ sysctl.Instance, t OpenedTree) error {
		list, err = t.Files(ref.Path)
		return fileError(err)
	})
	return list, sysctl.Wrap(err, "file ls %s", ref)
}

// ReadFile returns the content of a guest's file of at most 16 MiB.
func (m *Manager) ReadFile(ctx context.Context, ref FileRef) (data []byte, err error) {
	err = m.inTree(ctx, ref.Instance, nil, func(_ context.Context, _ sysctl.Instance, t OpenedTree) error {
		data, err = t.ReadFile(ref.Path)
		return fileError(err)
	})
	return data, sysctl.Wrap(err, "file edit %s", ref)
}

// ReplaceFile gives a guest's file other content, if it still has that of before; its owner and mode stay. A link to it stays one.
func (m *Manager) ReplaceFile(ctx context.Context, ref FileRef, before, data []byte) error {
	err := m.inTree(ctx, ref.Instance, nil, func(ctx context.Context, _ sysctl.Instance, t OpenedTree) error {
		name, err := t.Resolve(ref.Path)
		if err != nil {
			return fileError(err)
		}
		current, err := t.ReadFile(name)
		if err != nil {
			return fileError(err)
		}
		if !bytes.Equal(current, before) {
			return sysctl.E(sysctl.Conflict, "somebody else changed it meanwhile: nothing is written").WithHint("sysctl file edit %s", ref)
		}
		return fileError(t.PutStream(ctx, bytes.NewReader(data), name, sysctl.CopyOptions{Keep: true}))
	})
	return sysctl.Wrap(err, "file edit %s", ref)
}

// fileError classifies what the kernel says of files.
func fileError(err error) error {
	var e *sysctl.Error
	is := func(list ...error) bool {
		for _, target := range list {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
	switch {
	case err == nil || errors.As(err, &e):
		return err
	case is(fs.ErrNotExist):
		return sysctl.E(sysctl.NotFound, "%w", err)
	case is(fs.ErrExist):
		return sysctl.E(sysctl.Exists, "%w", err)
	case is(syscall.EISDIR):
		return sysctl.E(sysctl.Invalid, "%w", err).WithHint("add --recursive to copy directories")
	case is(syscall.ENOTDIR, syscall.ELOOP, syscall.EINVAL, syscall.ENAMETOOLONG, syscall.EFBIG):
		return sysctl.E(sysctl.Invalid, "%w", err)
	case is(syscall.EBUSY, syscall.EROFS, syscall.ENOTEMPTY):
		return sysctl.E(sysctl.Conflict, "%w", err)
	case is(syscall.ENOSPC, syscall.EDQUOT):
		return sysctl.E(sysctl.NoSpace, "%w", err).WithHint("df -h")
	}
	return err
}
