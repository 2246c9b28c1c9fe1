package lxc

import (
	"encoding/binary"
	"net/netip"
	"sort"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Item is one liblxc configuration key and value (lxc.container.conf(5)), in the order liblxc takes them, or the keeper's
// own (keeperKey).
type Item struct{ Key, Value string }

// Host is what rendering must know of the machine. It is probed once by Open.
type Host struct {
	Cgroup2  bool // cgroup v2 only: limits are lxc.cgroup2.*, else lxc.cgroup.*
	AppArmor AppArmor
	measured
}

// AppArmor is what can be done with the LSM here.
type AppArmor string

// Absent: not in this kernel, or off. Without apparmor_parser no profile can be loaded, and what liblxc
// takes by default may not be there: instances then run unconfined by it.
const (
	absent     AppArmor = ""
	confined   AppArmor = "confined"
	unconfined AppArmor = "unconfined"
)

// dropped are the capabilities no instance has, privileged or not: what they reach is not namespaced.
var dropped = [...]struct {
	name string
	bit  uint
}{
	{"mac_admin", unix.CAP_MAC_ADMIN},
	{"mac_override", unix.CAP_MAC_OVERRIDE},
	{"sys_time", unix.CAP_SYS_TIME},
	{"sys_module", unix.CAP_SYS_MODULE},
	{"sys_rawio", unix.CAP_SYS_RAWIO},
}

// allowedDevices is the device filter: everything else is denied (cgroup device controller).
var allowedDevices = [...]string{
	"c *:* m", "b *:* m", // mknod only makes a node; opening it is what is filtered
	"c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", // null zero full random urandom
	"c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm", // tty console ptmx pts
	"c 10:200 rwm", "c 10:229 rwm", // tun fuse
}

// Render turns a boot into liblxc items. It is pure; p names the files of this run.
func Render(b sysctl.Boot, h Host, p Paths) []Item {
	var r rendering
	r.add("lxc.arch", arch(b.Arch))
	r.add("lxc.uts.name", b.Hostname)
	r.add("lxc.rootfs.path", "dir:"+rootDir)
	r.add("lxc.rootfs.mount", mountDir)
	r.add("lxc.log.file", p.Log(b.Instance))
	r.add("lxc.log.level", "ERROR")
	r.add("lxc.console.logfile", p.ConsoleLog(b.Instance))
	r.add("lxc.console.size", "1048576")
	r.add("lxc.console.rotate", "1")
	r.add("lxc.tty.max", "0")
	r.add("lxc.pty.max", "1024")
	r.add("lxc.autodev", "1")
	r.security(b, h, p)
	r.mounts(b.Compat.Cgroups)
	r.measures(b, h.measured)
	r.bindDisks(b.Disks)
	r.cgroup(b, h, p)
	for i, n := range b.NICs {
		r.nic(i, n)
	}
	if len(b.NICs) == 0 {
		r.add("lxc.net.0.type", "empty")
	}
	if setsIPv6(b.NICs) {
		r.add("lxc.hook.pre-mount", finalAtOnce)
	}
	if hook := setSysctls(b.Kernel.Sysctls); hook != "" {
		r.add("lxc.hook.pre-mount", hook)
	}
	for _, k := range sortedKeys(b.Environment) {
		r.add("lxc.environment", k+"="+b.Environment[k])
	}
	r.kernel(b.Kernel)
	for _, item := range b.Kernel.Raw {
		r.add(item.Key, item.Value)
	}
	r.startHook(b, p)
	if hook := stopHook(p.Cards(b.Instance), b.Wire); hook != "" {
		r.add("lxc.hook.stop", hook)
	}
	if len(b.Settle) > 0 {
		r.add("lxc.hook.post-stop", hook(p.Marker(b.Instance), p.Ended(b.Instance), p.Reboots(b.Instance), b.Settle))
	}
	return r.items
}

type rendering struct{ items []Item }

func (r *rendering) add(key, value string) { r.items = append(r.items, Item{key, value}) }

func (r *rendering) security(b sysctl.Boot, h Host, p Paths) {
	if b.IDMap.Size > 0 {
		for _, ids := range b.IDMap.UIDs() {
			r.add("lxc.idmap", "u "+ids.String())
		}
		for _, ids := range b.IDMap.GIDs() {
			r.add("lxc.idmap", "g "+ids.String())
		}
	}
	var names []string
	for _, c := range dropped {
		names = append(names, c.name)
	}
	r.add("lxc.cap.drop", strings.Join(names, " "))
	policy := p.Seccomp()
	if !b.Kernel.Calls.Usual() {
		policy = p.Policy(b.Instance)
	}
	r.add("lxc.seccomp.profile", policy)
	switch h.AppArmor {
	case confined:
		r.add("lxc.apparmor.profile", "generated")
		r.add("lxc.apparmor.allow_nesting", "1")
	case unconfined:
		r.add("lxc.apparmor.profile", "unconfined")
	}
}

func (r *rendering) mounts(view sysctl.CgroupView) {
	switch view {
	case sysctl.CgroupsNamed:
		r.add("lxc.mount.auto", "proc:mixed sys:mixed") // any word for cgroups mounts cgroup2, which a systemd before 230 takes for its own
	case sysctl.CgroupsV2:
		r.add("lxc.mount.auto", "proc:mixed sys:mixed cgroup2:force")
	default:
		r.add("lxc.mount.auto", "proc:mixed sys:mixed cgroup:mixed")
	}
	r.add("lxc.mount.entry", "mqueue dev/mqueue mqueue rw,relatime,create=dir,optional 0 0")
	for _, dev := range []string{"dev/fuse", "dev/net/tun"} {
		r.add("lxc.mount.entry", "/"+dev+" "+dev+" none bind,create=file,optional 0 0")
	}
}

// bindDisks mounts the disks below /dev, which the keeper has put aside: liblxc makes /dev after it has the root, and what was there
// before is hidden.
func (r *rendering) bindDisks(disks []sysctl.BootDisk) {
	for _, d := range disks {
		if !d.InDev {
			continue
		}
		create := "dir"
		if d.File {
			create = "file"
		}
		path := fstabWord(d.Path)
		r.add("lxc.mount.entry", filesDir+path+" "+path[1:]+" none rbind,create="+create+" 0 0")
	}
}

// fstabWord writes a path as one word of fstab(5).
func fstabWord(path string) string {
	return strings.NewReplacer("\\", `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`).Replace(path)
}

func (r *rendering) cgroup(b sysctl.Boot, h Host, p Paths) {
	r.add("lxc.cgroup.dir.monitor", p.MonitorCgroup(b.Instance))
	r.add("lxc.cgroup.dir.monitor.pivot", p.PivotCgroup(b.Instance))
	r.add("lxc.cgroup.dir.container", p.PayloadCgroup(b.Instance))
	r.add("lxc.cgroup.dir.container.inner", innerCgroup)
	prefix := "lxc.cgroup."
	if h.Cgroup2 {
		prefix = "lxc.cgroup2."
	}
	for _, s := range settings(b.Limits, h.Cgroup2) {
		if s.limits() && !s.late {
			r.add(prefix+s.file, s.value)
		}
	}
	r.add(prefix+"devices.deny", "a")
	for _, d := range allowedDevices {
		r.add(prefix+"devices.allow", d)
	}
}

func (r *rendering) nic(i int, n sysctl.BootNIC) {
	k := "lxc.net." + strconv.Itoa(i) + "."
	r.add(k+"type", n.Type)
	r.add(k+"link", n.Link)
	r.add(k+"name", n.Name)
	if n.MAC != "" {
		r.add(k+"hwaddr", n.MAC)
	}
	r.add(k+"flags", "up")
	r.add(k+"veth.pair", n.HostName)
	if n.MTU > 0 {
		r.add(k+"mtu", strconv.Itoa(n.MTU))
	}
	for _, a := range n.Addresses {
		if a.Addr().Is4() {
			r.add(k+"ipv4.address", a.String()+broadcast(a))
		} else {
			r.add(k+"ipv6.address", a.String())
		}
	}
	if n.Gateway4.IsValid() {
		r.add(k+"ipv4.gateway", n.Gateway4.String())
	}
	if n.Gateway6.IsValid() {
		r.add(k+"ipv6.gateway", n.Gateway6.String())
	}
}

// finalAtOnce has IPv6 addresses usable when init begins, and not after the second or two in which the kernel looks for
// somebody else who has them: they are claimed. liblxc has no word for that, and sets lxc.sysctl.* only after the
// network. Its pre-mount hook comes before, in the guest's namespaces but for the mounts, with /proc/sys/net of
// the guest's network. The interface may be there already, under another name, or come later. The
// exit status is always 0: where /proc/sys is read-only the addresses are as they would be without.
const finalAtOnce = `/bin/sh -c 'for f in /proc/sys/net/ipv6/conf/*/accept_dad; do echo 0 >"$f"; done 2>/dev/null; exit 0'`

// setsIPv6 reports whether the runtime gives some interface an IPv6 address.
func setsIPv6(nics []sysctl.BootNIC) bool {
	for _, n := range nics {
		for _, a := range n.Addresses {
			if a.Addr().Is6() {
				return true
			}
		}
	}
	return false
}

// broadcast is the second word of an address: the one liblxc 5.0 computes by itself lacks the network's bits
// (0.0.0.255). A /31 and a /32 have none.
func broadcast(p netip.Prefix) string {
	if p.Bits() > 30 {
		return ""
	}
	b := p.Addr().As4()
	n := binary.BigEndian.Uint32(b[:]) | ^uint32(0)>>p.Bits()
	binary.BigEndian.PutUint32(b[:], n)
	return " " + netip.AddrFrom4(b).String()
}

const hookPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// hook is the post-stop command line, for sh: a run that a verb has already settled has no marker
// left, and then nothing is started. A guest that reboots goes on when what is started has ended, but for one that has not asked for it
// since the last time: liblxc could not start it again. Else it is written down first how the
// init has ended, which the keeper has put into the environment: whoever settles may be killed. What is started then outlives the monitor
// and waits for it. The exit status is always 0: liblxc must not care.
func hook(marker, ended, reboots string, settle []string) string {
	command, reboots := quoteAll(settle)+" </dev/null >/dev/null 2>&1", quote(reboots)
	return "/bin/sh -c " + quote("PATH="+hookPath+"; export PATH; [ -e "+quote(marker)+" ] || exit 0; "+
		"if [ \"$LXC_TARGET\" = reboot ]; then last=; [ ! -e "+reboots+" ] || read -r last <"+reboots+"; "+
		"if [ \"$SYSCTL_REBOOTS\" != \"$last\" ]; then echo \"$SYSCTL_REBOOTS\" >"+reboots+"; "+command+"; exit 0; fi; "+
		"LXC_TARGET=stop; SYSCTL_ENDED="+notAgain+"; fi; "+
		"echo \"$SYSCTL_ENDED\" >"+quote(ended)+"; "+command+" & exit 0")
}

// quote makes s one word for sh.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// quoteAll makes a command for sh.
func quoteAll(command []string) string {
	words := make([]string, len(command))
	for i, w := range command {
		words[i] = quote(w)
	}
	return strings.Join(words, " ")
}

// arch is liblxc's name of an architecture (lxc.arch takes the kernel's names).
func arch(a string) string {
	switch a {
	case "i386":
		return "i686"
	case "amd64", "":
		return "x86_64"
	case "arm64":
		return "aarch64"
	}
	return a
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
