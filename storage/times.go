package storage

import "golang.org/x/sys/unix"

// times notes when base and its directory were modified, and returns what makes them look so after a change. Only a
// layer under construction is made to look so.
func (t *Tree) times(dir int, base string) (keep func() error) {
	if !t.staged {
		return func() error { return nil }
	}
	var parent, root, old unix.Stat_t
	err := unix.Fstat(dir, &parent)
	if err == nil {
		err = unix.Fstat(int(t.root.Fd()), &root)
	}
	if err != nil {
		return func() error { return err }
	}
	mtime := parent.Mtim
	if parent.Dev == root.Dev && parent.Ino == root.Ino {
		mtime = unix.Timespec{}
	}
	if unix.Fstatat(dir, base, &old, unix.AT_SYMLINK_NOFOLLOW) == nil {
		mtime = old.Mtim
	}
	return func() error {
		err := unix.UtimesNanoAt(dir, base, []unix.Timespec{mtime, mtime}, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil && err != unix.ENOENT { // removed
			return err
		}
		return unix.UtimesNanoAt(dir, ".", []unix.Timespec{parent.Atim, parent.Mtim}, 0)
	}
}
