// Command sysctl-keeper asks liblxc what is not the start of an instance (that is cmd/sysctl-boot), one small process per job:
//
//	sysctl-keeper console NAME DIR  hands over the instance's console
//	sysctl-keeper policy N N        makes a system call filter (policy.go)
//	sysctl-keeper version           prints liblxc's version
//
// console answers with one packet on descriptor 3: "." with the console's descriptor, or "!" and why not.
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
