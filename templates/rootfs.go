package templates

import (
	"crypto/rand"
	"errors"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// checkRoot reports whether the tree at root could be an OS: /etc and somewhere to have programs.
func checkRoot(root int) error {
	missing := ""
	switch {
	case !isDir(root, "etc"):
		missing = "no /etc"
	case !slices.ContainsFunc([]string{"bin", "usr", "sbin"}, func(name string) bool { return isDir(root, name) }):
		missing = "no /bin and no /usr"
	default:
		return nil
	}
	return sysctl.E(sysctl.Invalid, "not a root filesystem: there is %s in it", missing).
		WithHint("give the directory that holds etc, bin, usr, or an archive of it")
}

// lift removes the entries beside from the directory root and replaces it by the content of its
// directory name. Attributes of root stay.
func lift(root int, name string, beside ...string) error {
	for _, b := range beside {
		if err := removeAll(root, b); err != nil {
			return err
		}
	}
	// The tree may have an entry of the same name.
	aside := name + "-" + rand.Text()
	if err := unix.Renameat(root, name, root, aside); err != nil {
		return err
	}
	fd, err := openat(root, aside, unix.O_RDONLY|unix.O_DIRECTORY, noLinks)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	names, err := readNames(fd)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := unix.Renameat(fd, n, root, n); err != nil {
			return err
		}
	}
	return unix.Unlinkat(root, aside, unix.AT_REMOVEDIR)
}

// removeIn removes name below root and everything below it; absent, or out of reach, is success.
func removeIn(root int, name string) error {
	dir, base := path.Split(name)
	fd, err := openat(root, path.Clean(dir), unix.O_PATH|unix.O_DIRECTORY, inRoot)
	if err != nil {
		return unlessAbsent(err)
	}
	defer unix.Close(fd)
	return unlessAbsent(removeAll(fd, base))
}

// unlessAbsent is err, or nil where it says that there is nothing to remove.
func unlessAbsent(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil
	}
	return err
}

// removeAll removes name and everything below it; absent is success. Links are removed, not followed.
func removeAll(dir int, name string) error {
	r, err := os.OpenRoot(fdPath(dir))
	if err != nil {
		return err
	}
	defer r.Close()
	return r.RemoveAll(name)
}
