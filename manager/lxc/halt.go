package lxc

import "golang.org/x/sys/unix"

// HaltSignal is how an init is asked to halt the system (each init's manual or source); one that nobody knows is sent
// SIGPWR, as liblxc does. SIGTERM is for nobody else than openrc-init: systemd and upstart execute themselves again.
func (rt *Runtime) HaltSignal(init string) unix.Signal {
	switch init {
	case "systemd":
		return 37 // SIGRTMIN+3 with glibc's SIGRTMIN of 34: systemd(1), "Signals". SIGPWR does nothing in most.
	case "busybox":
		return unix.SIGUSR2 // poweroff
	case "openrc":
		return unix.SIGTERM // openrc-init: its shutdown runlevel, then halt
	case "sysvinit", "bsd":
		return unix.SIGPWR // powerfail entry of inittab: stock ones wait two minutes or are not there, preparation sees to it (power-fail)
	case "upstart":
		return unix.SIGPWR // the event power-status-changed, for which EL 6 and Ubuntu 10.04 have no job: preparation adds it (power-fail)
	case "runit":
		return unix.SIGCONT // runit(8): with /etc/runit/stopit executable, which preparation sees to (power-fail)
	case "finit":
		return unix.SIGUSR2 // finit: poweroff
	}
	return unix.SIGPWR
}

// HaltCommands are what halts a guest when root runs it inside, the best first. A guest may have none of them. In one that halts
// already they change nothing. An init that nobody knows is not run a second time, as "init 0" would.
func (rt *Runtime) HaltCommands(init string) [][]string {
	telinit, again, poweroff := []string{"telinit", "0"}, []string{"init", "0"}, []string{"poweroff"}
	switch init {
	case "systemd":
		return [][]string{{"systemctl", "poweroff"}, poweroff}
	case "openrc":
		return [][]string{{"openrc-shutdown", "--poweroff", "now"}, poweroff} // poweroff may be another init's
	case "busybox":
		return [][]string{poweroff}
	case "sysvinit", "bsd", "upstart":
		return [][]string{telinit, again, poweroff}
	case "runit":
		return [][]string{again, poweroff} // runit-init(8)
	case "finit":
		return [][]string{{"initctl", "poweroff"}, poweroff}
	}
	return [][]string{telinit, poweroff}
}
