package lxc

import (
	"context"
	"os"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// OpenConsole connects to the console of a running instance: what is read is what the guest writes to
// /dev/console. Only one connection can be open at a time (Busy); release ends it, and the pty is of no use then.
func (rt *Runtime) OpenConsole(ctx context.Context, id int64) (pty *os.File, release func(), err error) {
	k, err := runKeeper(rt.keeper, "console", rt.paths.lxcName(id), lxcPath)
	if err != nil {
		return nil, nil, err
	}
	answer, pty, err := k.ask(ctx)
	if why, refused := strings.CutPrefix(answer, "!"); refused {
		err = sysctl.E(sysctl.Busy, "%s", why)
	}
	if err != nil {
		k.close()
		return nil, nil, err
	}
	return pty, func() { pty.Close(); k.close() }, nil
}
