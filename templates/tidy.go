package templates

import (
	"context"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// tidy takes out of a new tree what belongs to the moment or the host it was made on, and writes the recipe's files. The
// tree is hostile: nothing in it is opened but directories, and no link leads out.
func tidy(ctx context.Context, dir string, files []recipeFile) error {
	root, err := openRoot(dir)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	if err := unix.Fchmod(root, 0o755); err != nil {
		return err
	}
	for _, full := range emptied() {
		if err := empty(root, full); err != nil {
			return sysctl.Wrap(err, "empty /%s", full)
		}
	}
	for _, gone := range removed() {
		if err := removeIn(root, gone); err != nil {
			return sysctl.Wrap(err, "remove /%s", gone)
		}
	}
	// How the host finds names. A link is the guest's own way to find them.
	var st unix.Stat_t
	if err := lstatIn(root, "etc/resolv.conf", &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
		files = append([]recipeFile{{Path: "/etc/resolv.conf"}}, files...)
	}
	return writeFiles(ctx, dir, files)
}

// emptied are the directories of what tools keep for themselves.
func emptied() []string {
	return []string{
		"dev", "run", "tmp", "var/tmp", "var/lib/apt/lists", "var/cache/apt", "var/log/apt", "var/cache/dnf", "var/cache/yum", "var/cache/libdnf5",
		"var/cache/zypp", "var/cache/apk", "var/cache/pacman/pkg", "var/cache/xbps", "var/log/journal", "var/log/anaconda",
		"var/cache/ldconfig", // inode numbers and times
	}
}

// removed are files that tell when, where and by whom a tree was made. Whoever writes them makes them anew.
func removed() []string {
	gone := []string{
		"etc/hostname", "var/lib/systemd/random-seed", "var/lib/urandom/random-seed", "var/lib/dpkg/status-old", "var/lib/dpkg/available-old",
		"var/lib/dpkg/diversions-old", "var/lib/dpkg/statoverride-old", "var/cache/debconf/config.dat-old", "var/cache/debconf/templates.dat-old",
		"var/lib/dnf/history.sqlite-shm", "var/lib/dnf/history.sqlite-wal",
	}
	for _, log := range []string{
		"dpkg.log", "bootstrap.log", "alternatives.log", "dnf.log", "dnf.librepo.log", "dnf.rpm.log", "dnf5.log", "hawkey.log", "yum.log",
		"zypper.log", "zypp/history", "pacman.log", "apk.log", "apt/term.log",
	} {
		gone = append(gone, "var/log/"+log)
	}
	return gone
}

// empty removes what is in a directory below root; absent is success.
func empty(root int, name string) error {
	fd, err := openat(root, name, unix.O_RDONLY|unix.O_DIRECTORY, inRoot)
	if err != nil {
		return unlessAbsent(err)
	}
	defer unix.Close(fd)
	names, err := readNames(fd)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := removeAll(fd, n); err != nil {
			return err
		}
	}
	return nil
}

// lstatIn looks at name below root without following its last component.
func lstatIn(root int, name string, st *unix.Stat_t) error {
	fd, err := openat(root, name, unix.O_PATH|unix.O_NOFOLLOW, inRoot)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fstat(fd, st)
}

// writeFiles writes a recipe's files into the tree at dir, each in place of whatever is there.
func writeFiles(ctx context.Context, dir string, files []recipeFile) error {
	if len(files) == 0 {
		return nil
	}
	root, err := openRoot(dir)
	if err != nil {
		return err
	}
	s := newSink(root, newMeter(0, 0))
	defer s.close()
	for _, f := range files {
		a := attrs{mode: uint32(f.perm()), mtime: unix.Timespec{Nsec: unix.UTIME_NOW}}
		if err := s.file(ctx, path.Clean(strings.TrimPrefix(f.Path, "/")), a, s.feed(strings.NewReader(f.Content)), false); err != nil {
			return sysctl.Wrap(err, "write %s", f.Path)
		}
	}
	return s.finish(ctx)
}
