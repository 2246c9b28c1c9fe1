package lxc

import (
	"os"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// OpenConsole connects to the console of a running instance: what is read is what the guest writes to
// /dev/console from now on. One client at a time; a second one gets a Busy error. The connection
// lasts as long as this process (liblxc ties it to the socket it keeps open). The caller closes the file.
func (rt *Runtime) OpenConsole(id int64) (*os.File, error) {
	c, err := rt.container(id)
	if err != nil {
		return nil, err
	}
	defer c.Release()
	fd, err := c.ConsoleFd(0)
	if err != nil || fd < 0 {
		return nil, sysctl.E(sysctl.Busy, "the console is in use by somebody else")
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "console"), nil
}
