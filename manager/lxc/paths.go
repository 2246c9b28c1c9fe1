package lxc

import (
	"path/filepath"
	"strconv"
)

// Paths names every file and cgroup of an environment's runs. Instances are named by id, so that a
// rename touches none of them.
type Paths struct {
	Run    string // SYSCTL_RUN_DIR
	Cgroup string // directory in every cgroup hierarchy that holds this environment's cgroups: "sysctl", "sysctl2"
}

// Dir is an instance's run directory: absent when nothing of it runs. Guarded by the instance's lock.
func (p Paths) Dir(id int64) string {
	return filepath.Join(p.Run, "instances", strconv.FormatInt(id, 10))
}

// lxcPath is liblxc's lxcpath, in every environment: it is only a part of the names of liblxc's command
// sockets, as nothing is ever configured under it. liblxc wants the guest's root user to be able to enter
// it, which SYSCTL_RUN_DIR may not allow.
const lxcPath = "/run/sysctl-lxc"

// rootDir is where every keeper attaches its instance's root, each in its own mount namespace: for
// everybody else it is an empty directory. It must not be an lxcpath: liblxc would read a
// configuration that the guest wrote.
const rootDir = lxcPath + "/root"

// mountDir is where liblxc binds the root before it pivots to it. Its own default for that is a directory of another package
// (liblxc-common), which need not be installed.
const mountDir = lxcPath + "/mount"

// RunFile holds the Run as JSON.
func (p Paths) RunFile(id int64) string { return filepath.Join(p.Dir(id), "run.json") }

// Marker exists while nobody has settled the run: the post-stop hook looks for it.
func (p Paths) Marker(id int64) string { return filepath.Join(p.Dir(id), "unsettled") }

// Ended is how the init of a run ended, when it did by itself: its status as wait(2) has it, or notAgain, which the post-stop hook writes.
func (p Paths) Ended(id int64) string { return filepath.Join(p.Dir(id), "ended") }

// Reboots is how often the guest of a run has asked for a reboot, as of the last one. The post-stop hook reads and writes it.
func (p Paths) Reboots(id int64) string { return filepath.Join(p.Dir(id), "reboots") }

// Cards holds the interfaces of the host that the run took, as JSON.
func (p Paths) Cards(id int64) string { return filepath.Join(p.Dir(id), "cards.json") }

// Limits holds the limits that were changed since the start: lines of a cgroup's file and its value.
func (p Paths) Limits(id int64) string { return filepath.Join(p.Dir(id), "limits") }

// Devices holds the devices of the run, as JSON.
func (p Paths) Devices(id int64) string { return filepath.Join(p.Dir(id), "devices.json") }

// Rules holds what raw.lxc says of the device filter of the run: lines of allow or deny and a rule.
func (p Paths) Rules(id int64) string { return filepath.Join(p.Dir(id), "device-rules") }

// Gate is there while a start writes files into the guest: its init has to wait.
func (p Paths) Gate(id int64) string { return filepath.Join(p.Dir(id), "gate") }

// Held is there while a verb has the instance frozen for a moment, and after that verb was killed.
func (p Paths) Held(id int64) string { return filepath.Join(p.Dir(id), "held") }

// Wiring holds what the run is wired with, as JSON, and WireFailure why it could not be.
func (p Paths) Wiring(id int64) string      { return filepath.Join(p.Dir(id), "wiring.json") }
func (p Paths) WireFailure(id int64) string { return filepath.Join(p.Dir(id), "wiring.failure") }

// Log is liblxc's log of the newest start.
func (p Paths) Log(id int64) string {
	return filepath.Join(p.Run, "log", strconv.FormatInt(id, 10)+".lxc")
}

// ConsoleLog is what the guest wrote to its console (at most 1 MiB, one rotated).
func (p Paths) ConsoleLog(id int64) string {
	return filepath.Join(p.Run, "log", strconv.FormatInt(id, 10)+".console")
}

// Policy and Filter are the system call policy of a run that has one of its own: for liblxc, and as the kernel takes it.
func (p Paths) Policy(id int64) string { return filepath.Join(p.Dir(id), "policy") }
func (p Paths) Filter(id int64) string { return filepath.Join(p.Dir(id), "filter") }

// Seccomp is the profile of every instance that has no policy of its own.
func (p Paths) Seccomp() string { return filepath.Join(p.Run, "seccomp") }

// PayloadCgroup and MonitorCgroup are relative to each hierarchy's root.
func (p Paths) PayloadCgroup(id int64) string {
	return p.Cgroup + "/" + strconv.FormatInt(id, 10) + "/guest"
}

// innerCgroup is below the payload's: the guest's own, and the root of its cgroup namespace.
const innerCgroup = "ns"

// GuestCgroup is what the guest sees as the root of its cgroups.
func (p Paths) GuestCgroup(id int64) string { return p.PayloadCgroup(id) + "/" + innerCgroup }

func (p Paths) MonitorCgroup(id int64) string {
	return p.Cgroup + "/" + strconv.FormatInt(id, 10) + "/monitor"
}

// PivotCgroup is where liblxc 5 parks a monitor that is about to exit (lxc.cgroup.dir.monitor.pivot).
func (p Paths) PivotCgroup(id int64) string {
	return p.Cgroup + "/" + strconv.FormatInt(id, 10) + "/pivot"
}

// KeeperCgroup is where a keeper is born, on cgroup v2: whatever it starts can be found there or beside it.
func (p Paths) KeeperCgroup(id int64) string {
	return p.Cgroup + "/" + strconv.FormatInt(id, 10) + "/keeper"
}

// ProxyCgroup is where what forwards for an instance lives: not a part of the guest, and not limited with it.
func (p Paths) ProxyCgroup(id int64) string {
	return p.Cgroup + "/" + strconv.FormatInt(id, 10) + "/proxy"
}

// InstanceCgroup is the parent of all of these.
func (p Paths) InstanceCgroup(id int64) string {
	return p.Cgroup + "/" + strconv.FormatInt(id, 10)
}

// lxcName is the container's name for liblxc, unique on this machine.
func (p Paths) lxcName(id int64) string { return p.Cgroup + "-" + strconv.FormatInt(id, 10) }
