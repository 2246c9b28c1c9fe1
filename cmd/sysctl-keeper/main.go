// Command sysctl-keeper starts one instance and goes away. It is started by the manager in a mount
// namespace of its own; the liblxc monitor it leaves behind stays in that namespace for as long as the
// instance runs, so the instance's root is mounted nowhere else and is gone when the monitor is.
//
// The monitor is a fork of this process and keeps its memory, so it imports next to nothing.
//
// Input, on file descriptor 3: NUL-terminated strings: name, lxcpath, mount point, a
// cgroup.procs file to join or "", the number of disks, where in the guest each goes, and then pairs of
// liblxc key and value. File descriptor 4: the detached mount that becomes the root; 5 and on:
// those of the disks.
// Output: on success the init's pid on stdout and exit status 0; else one line on stderr and status 1.
package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"

	"github.com/lxc/go-lxc"
	"golang.org/x/sys/unix"
)

func main() {
	debug.SetGCPercent(-1)
	runtime.LockOSThread()
	if err := run(); err != "" {
		os.Stderr.WriteString(err + "\n")
		os.Exit(1)
	}
}

func run() string {
	head, disks, items, msg := input()
	if msg != "" {
		return msg
	}
	name, path, root, join := head[0], head[1], head[2], head[3]
	if join != "" {
		if err := os.WriteFile(join, []byte("0"), 0); err != nil {
			return "join cgroup: " + err.Error()
		}
	}
	// What the host mounts and unmounts later reaches this namespace, so nothing of it is pinned; what is
	// attached here stays here.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return "make mounts slave: " + err.Error()
	}
	if err := unix.MoveMount(4, "", unix.AT_FDCWD, root, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return "attach root: move_mount " + root + ": " + err.Error()
	}
	unix.Close(4)
	for i, path := range disks {
		if err := attach(5+i, root, path); err != nil {
			return "attach disk at " + path + ": " + err.Error()
		}
	}
	c, err := lxc.NewContainer(name, path)
	if err != nil {
		return "new container: " + err.Error()
	}
	// Only reading a file tells liblxc 5 the name that its AppArmor profile is generated for (conf->name,
	// lxccontainer.c, load_config_locked); without one it takes its lxcpath for the profile's file.
	if err := c.LoadConfigFile(os.DevNull); err != nil {
		return "new container: " + err.Error()
	}
	for i := 0; i+1 < len(items); i += 2 {
		if err := c.SetConfigItem(items[i], items[i+1]); err != nil {
			return "set " + items[i] + " = " + items[i+1] + ": " + err.Error()
		}
	}
	if err := c.WantCloseAllFds(true); err != nil {
		return "close fds: " + err.Error()
	}
	if err := c.Start(); err != nil {
		return "start: " + err.Error()
	}
	os.Stdout.WriteString(strconv.Itoa(c.InitPid()) + "\n")
	return ""
}

// input reads the request from descriptor 3 and closes it.
func input() (head, disks, items []string, msg string) {
	var buf []byte
	chunk := make([]byte, 32<<10)
	for {
		n, err := unix.Read(3, chunk)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, nil, nil, "read request: " + err.Error()
		}
		if n == 0 {
			break
		}
		buf = append(buf, chunk[:n]...)
	}
	unix.Close(3)
	var all []string
	for start, i := 0, 0; i < len(buf); i++ {
		if buf[i] == 0 {
			all = append(all, string(buf[start:i]))
			start = i + 1
		}
	}
	if len(all) < 5 {
		return nil, nil, nil, "read request: short"
	}
	n, err := strconv.Atoi(all[4])
	if err != nil || n < 0 || len(all) < 5+n {
		return nil, nil, nil, "read request: bad number of disks"
	}
	return all[:4], all[5 : 5+n], all[5+n:], ""
}

// attach moves a detached mount to a path inside the guest's root, which is resolved there: the guest's links
// lead nowhere else. liblxc binds the root with what is mounted in it.
func attach(fd int, root, path string) error {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	target, err := unix.Openat2(dir, path, &how)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	defer unix.Close(fd)
	return unix.MoveMount(fd, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}
