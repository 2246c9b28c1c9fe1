package db

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// The two files beside the database, -wal and -shm, stay when a command ends, with blocks of their own: what is
// written to them later needs no room on the disk. So an instance can be found, stopped and deleted where
// not one byte is free.
const (
	// checkpointPages is how long the write-ahead log gets before a commit copies it into the database and
	// the next one begins again at its start. It is short because a command that comes alone reads it all.
	checkpointPages = 128

	// logRoom is allocated for the log: twice that many frames, for a reader may delay the beginning again.
	logRoom = 2 * checkpointPages * (4096 + 24)

	// growth is in how large pieces the database itself grows: ahead of the need.
	growth = 64 << 10

	// indexRoom is the first piece of the index of the log (-shm); the second is for frames above 4,062.
	indexRoom = 32 << 10

	// indexHeader and attached are of SQLite's layout of the index: the bytes that say what is in it, and the
	// byte on which everybody who uses it has a read lock.
	indexHeader = 136
	attached    = 128
)

// attach makes sure that the index of the log is there and returns it open; it must stay open for as long as
// SQLite uses the database, and closing it drops all locks that this process has on it. The
// directory is locked.
//
// SQLite truncates the index when nobody else uses it: after a power cut its content is not to be trusted. On
// a full disk the blocks would be lost. So whoever comes first, which SQLite finds out in the same way, makes the
// content invalid in place, and then is a user itself when SQLite looks. The lock is one of the open file's,
// since SQLite does not see those of its own process.
func attach(path string) (*os.File, error) {
	f, err := os.OpenFile(path+"-shm", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = lockIndex(f, unix.F_OFD_SETLK, unix.F_WRLCK)
	switch {
	case err == nil:
		err = resetIndex(f)
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES): // somebody uses it
		err = nil
	}
	if err == nil {
		err = lockIndex(f, unix.F_OFD_SETLKW, unix.F_RDLCK)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func lockIndex(f *os.File, how int, kind int16) error {
	for {
		lock := unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: attached, Len: 1}
		if err := unix.FcntlFlock(f.Fd(), how, &lock); err != unix.EINTR {
			return err
		}
	}
}

// resetIndex makes the index invalid, so that SQLite reads the log to make it again.
func resetIndex(f *os.File) error {
	if err := allocate(f, indexRoom); err != nil {
		return err
	}
	_, err := f.WriteAt(make([]byte, indexHeader), 0)
	return err
}

// allocateLog gives the log its blocks. Others may write to it meanwhile.
func allocateLog(path string) error {
	f, err := os.OpenFile(path+"-wal", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(allocate(f, logRoom), f.Close())
}

// allocate makes a file at least size bytes long, all of them allocated, and changes none that is there.
func allocate(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil || info.Size() >= size {
		return err
	}
	if info.Size() == 0 {
		overwriteInPlace(f)
	}
	for {
		err = unix.Fallocate(int(f.Fd()), 0, 0, size)
		if err != unix.EINTR {
			break
		}
	}
	if err == unix.EOPNOTSUPP {
		return nil // a filesystem that cannot promise room
	}
	return err
}

// overwriteInPlace asks btrfs not to write changed blocks elsewhere, which would need room; it can be
// asked of empty files only. Others do so anyway and refuse.
func overwriteInPlace(f *os.File) {
	const noCopyOnWrite = 0x00800000 // FS_NOCOW_FL
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|noCopyOnWrite)
	}
}

// room fails with NoSpace where so little is left of the disk that it is for those who delete.
func (d *DB) room() error {
	const least = 1 << 20 // bytes
	dir := filepath.Dir(d.path)
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return d.fail(context.Background(), err)
	}
	var free string
	switch {
	case st.Bavail*uint64(st.Bsize) < least:
		free = strconv.FormatUint(st.Bavail*uint64(st.Bsize)>>10, 10) + " KiB"
	case st.Files > 0 && st.Ffree == 0: // not every filesystem counts them
		free = "no inode"
	default:
		return nil
	}
	return sysctl.E(sysctl.NoSpace, "the disk of %s is full: %s free", dir, free).WithHint(makeRoom, dir)
}

const makeRoom = "df -h %s; sysctl delete NAME"
