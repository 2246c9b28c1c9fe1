package compat

import "github.com/sysctl-os/sysctl"

// measure is a row of the table.
type measure struct {
	ID       string
	rows     []int                                             // which of the known troubles it answers (elsewhere.go)
	who      string                                            // the guests it is for, in words
	needed   func(h sysctl.Host, g sysctl.Guest) bool          // whether this guest needs it on this host
	cannot   func(h sysctl.Host, g sysctl.Guest) sysctl.Remark // why it cannot be taken here, and the way out; nil or no Why: it can
	effect   func(c *sysctl.Compat)                            // what a start does differently
	undo     func(c *sysctl.Compat)                            // what one does where it is switched off; nil: nothing
	does     string                                            // what is done, one sentence
	without  string                                            // what happens else, one sentence
	evidence string                                            // where the fact is from
	test     string                                            // which shows it, as Answer.Test
	told     bool                                              // a start says that it is taken

	unprivileged bool   // a privileged instance does not need it
	limited      bool   // an instance without limits.memory does not need it
	instead      string // a measure before it in the table, of which a guest can have only one of the two
}

// remark is a fact that no measure changes: a reason not to boot, or something to live with. when returns "" where it does
// not hold.
type remark struct {
	id       string
	rows     []int // as measure.rows
	who      string
	when     func(h sysctl.Host, g sysctl.Guest) (why, way string)
	evidence string
	test     string // as Answer.Test

	unprivileged bool // it does not hold of a privileged instance
}

// table is all measures, in the order in which they are told.
func table() []measure {
	return []measure{
		cgroupNamed(), cgroup2(), vsyscall(), uname26(),
		cmdline(), filesystems(), sharedMemory(), tmpfs(), openFiles(), loginUID(), lxcfs(), legacyTables(), rpmdb(), privateDevices(), modules(),
	}
}

// refusals are the reasons not to boot that have nothing to do with a measure.
func refusals() []remark { return []remark{foreign(), kernelTooOld(), noIA32()} }

// notes are what a guest has to live with here.
func notes() []remark {
	return []remark{
		unknownGuest(), namedSeen(), installed(), noLegacyTables(), deviceNodes(), oldSSH(), oldTLS(),
	}
}
