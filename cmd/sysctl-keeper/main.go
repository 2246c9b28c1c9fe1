// Command sysctl-keeper starts one instance and goes away. It is started by the manager in a mount
// namespace of its own; the liblxc monitor it leaves behind stays in that namespace for as long as the
// instance runs, so the instance's root is mounted nowhere else and is gone when the monitor is.
//
// The monitor is a fork of this process and keeps its memory, so it imports next to nothing.
//
// Input, on file descriptor 3: NUL-terminated strings: name, lxcpath, mount point, and then pairs of
// liblxc key and value. File descriptor 4: the detached mount that becomes the root.
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
	name, path, root, items, msg := input()
	if msg != "" {
		return msg
	}
	if err := unix.MoveMount(4, "", unix.AT_FDCWD, root, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return "attach root: move_mount " + root + ": " + err.Error()
	}
	unix.Close(4)
	c, err := lxc.NewContainer(name, path)
	if err != nil {
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
func input() (name, path, root string, items []string, msg string) {
	var buf []byte
	chunk := make([]byte, 32<<10)
	for {
		n, err := unix.Read(3, chunk)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", "", "", nil, "read request: " + err.Error()
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
	if len(all) < 3 {
		return "", "", "", nil, "read request: short"
	}
	return all[0], all[1], all[2], all[3:], ""
}
