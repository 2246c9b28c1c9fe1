package lxc

import (
	"os"
	"strconv"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// OpenPTY makes a pseudo-terminal in the instance's own devpts, so that its programs find it under
// /dev/pts (ptmx(4)). The path is resolved inside the guest's root. The caller closes both.
func (rt *Runtime) OpenPTY(id int64) (master, slave *os.File, err error) {
	init := rt.State(id).Init
	if init.PID == 0 {
		return nil, nil, sysctl.E(sysctl.Conflict, "it is not running")
	}
	root, err := openRoot(init)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	how := unix.OpenHow{Flags: unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(int(root.Fd()), "dev/pts/ptmx", &how)
	if err != nil {
		return nil, nil, sysctl.Wrap(err, "open the guest's /dev/pts/ptmx")
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		master.Close()
		return nil, nil, sysctl.Wrap(err, "unlock the pty")
	}
	peer, err := openPeer(fd)
	if err != nil {
		master.Close()
		return nil, nil, sysctl.Wrap(err, "open the pty's other end")
	}
	return master, os.NewFile(uintptr(peer), "pts"), nil
}

// openPeer opens the other end of a pty without a path: TIOCGPTPEER takes open flags as its argument (ioctl_tty(2)).
func openPeer(fd int) (int, error) {
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return -1, errno
	}
	return int(peer), nil
}

// openRoot opens the root directory of a guest, checked to be that process's and no reused pid's.
func openRoot(p sysctl.Process) (*os.File, error) {
	f, err := os.Open("/proc/" + strconv.Itoa(p.PID) + "/root")
	if err != nil {
		return nil, sysctl.Wrap(err, "the guest's root")
	}
	if !alive(p) {
		f.Close()
		return nil, sysctl.E(sysctl.Conflict, "it is not running any more")
	}
	return f, nil
}
