package templates

import (
	"errors"

	"golang.org/x/sys/unix"
)

const (
	// inRoot resolves a name as if the directory were /: symbolic links and ".." stay inside.
	inRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	// noLinks resolves a name without following any link and without entering another mount.
	noLinks = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV
)

// maxRaces bounds how often a look-up is repeated that the kernel gave up because of a rename
// elsewhere on the machine.
const maxRaces = 256

// openat opens name below the directory dir by openat2(2). The caller closes the descriptor.
func openat(dir int, name string, flags int, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags) | unix.O_CLOEXEC, Resolve: resolve}
	for range maxRaces {
		fd, err := unix.Openat2(dir, name, &how)
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return fd, err
		}
	}
	return -1, unix.EAGAIN
}

// openRoot opens the directory at the host path dir for use as a root.
func openRoot(dir string) (int, error) {
	return unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// isDir reports whether name, followed inside root, is a directory.
func isDir(root int, name string) bool {
	fd, err := openat(root, name, unix.O_PATH|unix.O_DIRECTORY, inRoot)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}
