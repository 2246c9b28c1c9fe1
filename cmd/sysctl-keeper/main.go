// Command sysctl-keeper is all that talks to liblxc, one small process per job:
//
//	sysctl-keeper boot              starts one instance and goes away
//	sysctl-keeper console NAME DIR  hands over the instance's console
//	sysctl-keeper policy N N        makes a system call filter (policy.go)
//	sysctl-keeper version           prints liblxc's version
//
// boot is started by the manager, often before it knows what to boot, in a mount namespace of its own; the
// liblxc monitor it leaves behind stays in that namespace for as long as the instance runs, so the instance's
// root is mounted nowhere else and is gone when the monitor is. It is C (boot.c), because the monitor keeps its memory.
//
// Its input is one packet on the socket that is file descriptor 3. The packet carries descriptors: of a file with the
// request, of the detached mount that becomes the root, of each cgroup.procs to be entered besides, and of one detached
// mount for each disk. The request is NUL-terminated strings: name, lxcpath, mount point, the cgroup.procs file to
// join, how many are entered besides, where in the guest each disk goes ("=" and where it is put aside, of one below
// /dev), and then pairs of liblxc key and value; keys
// that begin with "keeper." are for the keeper itself (own, boot.c). Its output is one packet: the init's pid, or "!" and why not. A
// socket that is closed ends it.
//
// console answers with one packet on descriptor 3 too: "." with the console's descriptor, or "!" and why not.
package main

import (
	"os"

	"github.com/lxc/go-lxc"
	"golang.org/x/sys/unix"
)

// #cgo pkg-config: lxc
import "C"

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "version":
		os.Stdout.WriteString(lxc.Version() + "\n")
	case len(os.Args) == 4 && os.Args[1] == "console":
		console(os.Args[2], os.Args[3])
	case len(os.Args) == 4 && os.Args[1] == "policy":
		os.Exit(policy(os.Args[2], os.Args[3]))
	default:
		os.Stderr.WriteString("sysctl-keeper: a part of sysctl, not to be called by hand\n")
		os.Exit(2)
	}
}

// console asks the instance's monitor for its console and passes the descriptor on. liblxc frees the console when this
// process's connection to the monitor ends, so it stays until the other side closes the socket.
func console(name, path string) {
	c, err := lxc.NewContainer(name, path)
	if err != nil {
		answer("!"+err.Error(), nil)
		return
	}
	defer c.Release()
	fd, err := c.ConsoleFd(0)
	if err != nil || fd < 0 {
		answer("!the console is in use by somebody else", nil)
		return
	}
	answer(".", unix.UnixRights(fd))
	for {
		if _, err := unix.Read(3, make([]byte, 1)); err != unix.EINTR {
			return
		}
	}
}

func answer(line string, rights []byte) {
	if err := unix.Sendmsg(3, []byte(line), rights, nil, unix.MSG_NOSIGNAL); err != nil {
		os.Exit(1) // whoever asked is gone
	}
}
