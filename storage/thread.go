package storage

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// onOwnThread runs f on an operating system thread that ends with it. So f may change what belongs to
// the thread (mount namespace, working directory, credentials) and put nothing back.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The main thread ends with the process only, and its namespaces are what /proc/self shows.
			// While it is locked here, another one does the work.
			defer runtime.UnlockOSThread()
			done <- onOwnThread(f)
			return
		}
		done <- f() // no unlock: the runtime ends the thread with its goroutine
	}()
	return <-done
}

// becomeOwner makes the files this thread creates belong to uid and gid, and keeps its capabilities, which a change of
// the fsuid from 0 takes away otherwise. To be called on a thread of its own.
func becomeOwner(uid, gid int) error {
	bits, err := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0)
	if err != nil {
		return err
	}
	const noSetuidFixup = 1 << 2 // SECBIT_NO_SETUID_FIXUP
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, uintptr(bits|noSetuidFixup), 0, 0, 0); err != nil {
		return err
	}
	// These return the former id and no error: a second call that changes nothing tells.
	unix.SetfsgidRetGid(gid)
	unix.SetfsuidRetUid(uid)
	g, _ := unix.SetfsgidRetGid(-1)
	u, _ := unix.SetfsuidRetUid(-1)
	if u != uid || g != gid {
		return fmt.Errorf("cannot act as uid %d gid %d: %w", uid, gid, unix.EPERM)
	}
	return nil
}
