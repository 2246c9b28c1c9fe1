package lxc

import (
	"bufio"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// filesDir is where a keeper makes the files that are mounted over a guest's, on a tmpfs of its own mount namespace: for
// everybody else it is an empty directory. They are gone with the run. The disks below /dev are put aside there.
const filesDir = lxcPath + "/files"

// keeperKey begins the key of an Item that is not liblxc's: the keeper itself does it before it starts the guest.
const keeperKey = "keeper."

// measured is what rendering a boot with measures must know of the machine.
type measured struct {
	Files       uint64   // how many files a process may open at most (RLIMIT_NOFILE, hard)
	Filesystems string   // /proc/filesystems
	LxcfsDir    string   // where lxcfs is mounted
	Lxcfs       []string // its files that there are, of lxcfsFiles
}

// measured looks at what the measures of a boot ask for, and at nothing else.
func (rt *Runtime) measured(c sysctl.Compat) (measured, error) {
	var m measured
	if c.Files > 0 {
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return m, sysctl.Wrap(err, "getrlimit")
		}
		m.Files = limit.Max
	}
	if c.Filesystems {
		b, err := os.ReadFile("/proc/filesystems")
		if err != nil {
			return m, err
		}
		m.Filesystems = string(b)
	}
	if c.Lxcfs {
		m.LxcfsDir = lxcfsDir()
		for _, f := range lxcfsFiles {
			if _, err := os.Stat(filepath.Join(m.LxcfsDir, f)); m.LxcfsDir != "" && err == nil {
				m.Lxcfs = append(m.Lxcfs, f)
			}
		}
	}
	return m, nil
}

// measures are the items of the measures in force.
func (r *rendering) measures(b sysctl.Boot, m measured) {
	c := b.Compat
	if c.UNAME26 {
		r.add(keeperKey+"personality", strconv.FormatInt(uname26, 16))
	}
	if c.LoginUID {
		r.add(keeperKey+"loginuid", noLoginUID)
	}
	if c.Cmdline {
		r.file("proc/cmdline", "rw\n")
	}
	if c.Filesystems {
		r.file("proc/filesystems", without(m.Filesystems, "selinuxfs"))
	}
	if c.SharedMemory || c.Tmpfs {
		r.tmpfs(b, "shm", "/dev/shm", "mode=1777", 50)
	}
	if c.Tmpfs {
		r.tmpfs(b, "tmpfs", "/run", "mode=755", 20)
	}
	if _, own := b.Kernel.Rlimits["nofile"]; c.Files > 0 && !own {
		hard := min(c.Files, m.Files) // to raise it takes a capability that even root may not have
		r.add("lxc.prlimit.nofile", strconv.FormatUint(min(1024, hard), 10)+":"+strconv.FormatUint(hard, 10))
	}
	for _, f := range safeOfLxcfs(m.Lxcfs) {
		r.add("lxc.mount.entry", m.LxcfsDir+"/"+f+" "+f+" none bind,optional 0 0")
	}
}

// tmpfs mounts one, of a share of the memory that the instance may have. Where there is a disk it stays. In a guest whose /run is a
// link its init makes one, or none.
func (r *rendering) tmpfs(b sysctl.Boot, source, path, mode string, percent int64) {
	if slices.ContainsFunc(b.Disks, func(d sysctl.BootDisk) bool { return d.Path == path }) {
		return
	}
	size := strconv.FormatInt(percent, 10) + "%"
	if b.Memory > 0 {
		size = strconv.FormatInt(b.Memory*percent/100, 10)
	}
	options := "rw,nosuid,nodev," + mode + ",size=" + size + ",create=dir"
	if path != "/dev/shm" {
		options += ",optional"
	}
	r.add("lxc.mount.entry", source+" "+path[1:]+" tmpfs "+options+" 0 0")
}

// file mounts a file over one of the guest's /proc.
func (r *rendering) file(over, content string) {
	name := filesDir + "/" + path.Base(over)
	r.add(keeperKey+"file:"+name, content)
	r.add("lxc.mount.entry", name+" "+over+" none bind 0 0")
}

// without is /proc/filesystems without one of them.
func without(list, name string) string {
	var b strings.Builder
	for line := range strings.Lines(list) {
		if f := strings.Fields(line); len(f) == 0 || f[len(f)-1] != name {
			b.WriteString(line)
		}
	}
	return b.String()
}

// lxcfsFiles are what a guest may see of lxcfs: what takes the place of a file that every kernel has.
var lxcfsFiles = [...]string{"proc/cpuinfo", "proc/diskstats", "proc/loadavg", "proc/meminfo", "proc/stat", "proc/swaps", "proc/uptime"}

// safeOfLxcfs leaves out stat and uptime where there is only one of them: programs compute the kernel's clock rate from
// both (procps 3.2, "Unknown HZ value").
func safeOfLxcfs(have []string) []string {
	const stat, uptime = "proc/stat", "proc/uptime"
	count := 0
	for _, f := range have {
		if f == stat || f == uptime {
			count++
		}
	}
	var safe []string
	for _, f := range have {
		if f != stat && f != uptime || count == 2 {
			safe = append(safe, f)
		}
	}
	return safe
}

// lxcfsDir is where lxcfs is mounted and answers, or "". Where several are, it is the first.
func lxcfsDir() string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		before, after, ok := strings.Cut(s.Text(), " - ")
		if !ok || !strings.HasPrefix(after, "fuse.lxcfs ") {
			continue
		}
		if fields := strings.Fields(before); len(fields) > 4 && !strings.ContainsRune(fields[4], '\\') {
			if _, err := os.Stat(fields[4] + "/proc/meminfo"); err == nil {
				return fields[4]
			}
		}
	}
	return ""
}
