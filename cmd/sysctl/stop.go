package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) stopCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stop NAME...",
		Short: "shut instances down",
		Long: `Tells each guest's init to shut down, by the signal that this init knows for it. Where it has not within a third of
--timeout, the guest's own commands for it (telinit 0, poweroff and the like) are run inside, one after the other; when
the time is over, the guest is killed. A note says what it was that ended the guest where that was not the signal.
--force kills at once.`,
		Example: "  sysctl stop web1\n  sysctl stop web1 web2 --timeout 2m\n  sysctl stop --force web1",
	}
	return a.stopping(cmd, func(ctx context.Context, b backend, name string, o manager.StopOptions) error {
		return b.Stop(ctx, name, o)
	})
}

func (a *app) restartCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restart NAME...",
		Short: "shut instances down and start them again",
		Long: `Stops each instance as "sysctl stop" does and starts it again, so that changed configuration takes effect. For a
reboot from inside, run reboot in the guest.`,
		Example: "  sysctl restart web1\n  sysctl restart --force --timeout 5 web1",
	}
	return a.stopping(cmd, func(ctx context.Context, b backend, name string, o manager.StopOptions) error {
		return b.Restart(ctx, name, o)
	})
}

// stopping gives stop and restart what they have in common.
func (a *app) stopping(cmd *cobra.Command, do func(context.Context, backend, string, manager.StopOptions) error) *cobra.Command {
	var o manager.StopOptions
	cmd.Flags().Var((*timeout)(&o.Timeout), "timeout", "how long the guest may take until it is killed: seconds, or with a unit (2m); 30 s when not given")
	cmd.Flags().BoolVarP(&o.Force, "force", "f", false, "kill the guest at once")
	mustComplete(cmd, "timeout", nothing)
	cmd.Args = takes(1, -1)
	cmd.ValidArgsFunction = each(a.names(sysctl.Running, sysctl.Frozen))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.onInstances(cmd, args, func(ctx context.Context, b backend, name string, p sysctl.Progress) error {
			o := o
			o.Progress, o.Note = p, a.noteOf(name)
			return do(ctx, b, name, o)
		})
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict, sysctl.Busy}})
}

// timeout is a positive duration, a bare number being seconds.
type timeout time.Duration

func (t *timeout) Type() string { return "TIME" }

func (t *timeout) String() string {
	if *t == 0 {
		return ""
	}
	return time.Duration(*t).String()
}

// Set implements pflag.Value.
func (t *timeout) Set(s string) error {
	d, err := time.ParseDuration(s)
	if _, isNumber := strconv.Atoi(s); isNumber == nil {
		d, err = time.ParseDuration(s + "s")
	}
	if err != nil || d <= 0 {
		return fmt.Errorf("must be a number of seconds above 0, or a time such as 90s or 2m")
	}
	*t = timeout(d)
	return nil
}
