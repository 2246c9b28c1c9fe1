package roottest

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	registry   = "/var/lib/sysctl-environments" // doc/layout.md: one link per environment that is not the default one
	defaultDir = "/var/lib/sysctl"
)

// traces are what a script's own doings can be told by on a machine that others use too.
type traces struct {
	numbers map[int]bool // of its environments
	dirs    []string     // used by nobody else
}

func (t traces) within(path string) bool {
	return slices.ContainsFunc(t.dirs, func(dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") })
}

func (t traces) mentionedIn(s string) bool {
	return slices.ContainsFunc(t.dirs, func(dir string) bool { return strings.Contains(s, dir) })
}

// inventory is what the program could have left on a host.
type inventory struct {
	lines []string       // "KIND NAME": links, mounts, cgroups, nftables tables, loop devices, processes, files
	alive map[int]string // directories of the environments that there are
}

func takeInventory(mine traces) (inventory, error) {
	inv := inventory{alive: aliveEnvironments()}
	add := func(kind, name string) { inv.lines = append(inv.lines, kind+" "+name) }
	links, err := os.ReadDir("/sys/class/net")
	if err != nil {
		return inv, err
	}
	for _, l := range links {
		add("link", l.Name())
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return inv, err
	}
	for line := range strings.Lines(string(mounts)) {
		add("mount", strings.Fields(line)[4])
	}
	err = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(path, "/sysctl") {
			add("cgroup", path) // the guests of others have theirs
		}
		return nil // cgroups of others come and go while they are walked
	})
	if err != nil {
		return inv, err
	}
	tables, err := exec.Command("nft", "list", "tables").Output()
	if err != nil {
		return inv, fmt.Errorf("nft list tables: %w", err)
	}
	for line := range strings.Lines(string(tables)) {
		add("nft", strings.TrimSpace(line))
	}
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, l := range loops {
		file, err := os.ReadFile(l)
		if err == nil && mine.within(string(file)) { // others' come and go
			add("loop", strings.TrimSpace(string(file)))
		}
	}
	for _, p := range processes(mine) {
		add("process", p)
	}
	for _, dir := range []string{"/run/netns", "/run/sysctl-lxc", registry, "/run/sysctl", defaultDir} {
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && path != "/run/sysctl-lxc" && path != "/run/sysctl-lxc/root" && path != "/run/sysctl-lxc/mount" && path != "/run/sysctl-lxc/files" && path != registry {
				add("file", path)
			}
			return nil // an absent directory has no files
		})
	}
	maps.Copy(inv.alive, aliveEnvironments()) // one that came meanwhile
	return inv, nil
}

// aliveEnvironments are the environments of this machine whose directories exist.
func aliveEnvironments() map[int]string {
	alive := map[int]string{}
	if _, err := os.Stat(filepath.Join(defaultDir, "sysctl.db")); err == nil {
		alive[0] = defaultDir
	}
	links, _ := os.ReadDir(registry)
	for _, l := range links {
		n, err := strconv.Atoi(l.Name())
		dir, linked := os.Readlink(filepath.Join(registry, l.Name()))
		if _, gone := os.Stat(dir); err == nil && linked == nil && gone == nil {
			alive[n] = dir
		}
	}
	return alive
}

// inCgroup finds the cgroup of an environment in /proc/PID/cgroup.
var inCgroup = regexp.MustCompile(`(?m)^\d+:[^:]*:/(sysctl\d*)/`)

// serverOf finds the environment of a network's DNS server in its command line.
var serverOf = regexp.MustCompile(`/run/sysctl-dns/(sysctl\d*)/`)

// processes lists the command lines of the programs under test, of whatever was told of a directory of
// mine, and of all that lives in a cgroup of any environment, after the cgroup's name.
func processes(mine traces) []string {
	var found []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		exe, _ := os.Readlink(filepath.Join(dir, "exe"))
		cgroups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		b, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || dir == "/proc/"+strconv.Itoa(os.Getpid()) {
			continue // it ended meanwhile; or it is this test, which does not end before
		}
		line := strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " "))
		if line == "" {
			continue // a kernel thread, or dead and waiting for its parent, which is listed where it is ours
		}
		cgroup := inCgroup.FindSubmatch(cgroups)
		if cgroup == nil { // a network's DNS server is in nobody's
			cgroup = serverOf.FindSubmatch(b)
		}
		switch {
		case mine.within(exe) || mine.mentionedIn(line):
			found = append(found, line)
		case cgroup != nil:
			found = append(found, string(cgroup[1])+": "+line)
		}
	}
	return found
}

// numbered finds in a line of an inventory the number of the environment that it is named after; none is
// the default one's.
var numbered = regexp.MustCompile(strings.Join([]string{
	`^link sysbr(\d+)$`,
	`^link sy(\d+)-`,
	`^cgroup .*?/sysctl(\d*)(?:/|$)`,
	`^nft table (?:inet|netdev) sysctl(\d*)$`,
	`^process sysctl(\d*): `,
	`^file /run/sysctl-lxc/sysctl(\d*)-`,
	`^file ` + registry + `/(\d+)$`,
	`^(?:file|mount) /(?:run|var/lib)/sysctl()(?:/|$)`,
}, "|"))

func number(line string) (n int, ok bool) {
	groups := numbered.FindStringSubmatch(line)
	if groups == nil {
		return 0, false
	}
	n, _ = strconv.Atoi(strings.Join(groups[1:], "")) // at most one has matched something
	return n, true
}

// comparison is of one host at two times.
type comparison struct {
	before, after inventory
	mine          traces
	alone         bool // nobody else has an environment on this host
}

// othersLeft says that a line that only the second inventory has is no doing of mine: it is named after an
// environment of others. A line that is named after nobody is nobody else's where nobody else is.
func (c comparison) othersLeft(line string) bool {
	n, numbered := number(line)
	switch {
	case !numbered:
		return c.othersMayHave(line)
	case n == 0:
		return c.before.alive[0] != "" // where there was none, the script has made it
	}
	holder := c.after.alive[n] // a number that was mine may be another's by now
	return !c.mine.numbers[n] || holder != "" && !c.mine.within(holder)
}

// othersTook says that a line that only the first inventory has is no doing of mine. What bore a number
// was another's, who took it away, or the leavings of one who is gone, which the next who gets the
// number sweeps.
func (c comparison) othersTook(line string) bool {
	n, numbered := number(line)
	switch {
	case !numbered:
		return c.othersMayHave(line)
	case n == 0:
		return c.before.alive[0] != ""
	}
	return true
}

// othersMayHave is about a line that is named after nobody.
func (c comparison) othersMayHave(line string) bool {
	kind, name, _ := strings.Cut(line, " ")
	return !c.alone && (kind == "link" || kind == "nft" || kind == "mount") && !c.mine.within(name)
}

// leaks returns what is in after and not in before, and the reverse, and is not the doing of others.
func leaks(before, after inventory, mine traces) []string {
	c := comparison{before: before, after: after, mine: mine, alone: true}
	for _, inv := range []inventory{before, after} {
		for _, dir := range inv.alive {
			c.alone = c.alone && mine.within(dir)
		}
	}
	count := map[string]int{}
	for _, s := range before.lines {
		count[s]--
	}
	for _, s := range after.lines {
		count[s]++
	}
	var found []string
	for s, n := range count {
		switch {
		case n > 0 && !c.othersLeft(s):
			found = append(found, "left behind: "+s)
		case n < 0 && !c.othersTook(s):
			found = append(found, "gone: "+s)
		}
	}
	slices.Sort(found)
	return found
}

func TestLeaks(t *testing.T) {
	mine := traces{numbers: map[int]bool{3: true}, dirs: []string{"/var/tmp/mine"}}
	others := map[int]string{1: "/srv/other"}
	for _, c := range []struct {
		line          string
		before, after map[int]string
		leak          bool
	}{
		{"link sysbr3", others, others, true},
		{"link sy3-1.0abc", others, others, true},
		{"cgroup /sys/fs/cgroup/pids/sysctl3/1/guest", others, others, true},
		{"nft table inet sysctl3", others, others, true},
		{"process sysctl3: /sbin/init", others, others, true},
		{"process /tmp/bin/sysctl-boot", others, others, true},
		{"file /run/sysctl-lxc/sysctl3-1", others, others, true},
		{"file " + registry + "/3", others, others, true},
		{"file " + registry + "/3", others, map[int]string{3: "/var/tmp/mine"}, true},
		{"file /run/netns/x", others, others, true},
		{"mount /var/tmp/mine/layers/x", others, others, true},

		{"link sysbr1", others, others, false},
		{"link sysbr3", nil, map[int]string{3: "/srv/other"}, false}, // taken when mine was gone
		{"cgroup /sys/fs/cgroup/sysctl1/7", others, others, false},
		{"nft table inet sysctl31", others, others, false},
		{"process sysctl1: /sbin/init", others, others, false},
		{"file " + registry + "/2", nil, map[int]string{2: "/srv/other"}, false},

		{"link veth123", others, others, false}, // whose?
		{"mount /var/tmp/other/fs", nil, others, false},
		{"link veth123", nil, nil, true},
		{"mount /mnt", nil, nil, true},

		{"link sysbr0", nil, nil, true},
		{"file /var/lib/sysctl/sysctl.db", nil, map[int]string{0: defaultDir}, true},
		{"nft table inet sysctl", map[int]string{0: defaultDir}, map[int]string{0: defaultDir}, false},
	} {
		empty := inventory{alive: c.before}
		full := inventory{alive: c.after, lines: []string{c.line}}
		if got := leaks(empty, full, mine); (len(got) > 0) != c.leak {
			t.Errorf("%s left behind with %v, then %v: %v, want a leak: %v", c.line, c.before, c.after, got, c.leak)
		}
	}
	gone := leaks(inventory{lines: []string{"link sysbr0", "link eth0", "link sysbr3", "cgroup /sys/fs/cgroup/sysctl1"}}, inventory{}, mine)
	if want := []string{"gone: link eth0", "gone: link sysbr0"}; !slices.Equal(gone, want) {
		t.Errorf("taken away: %v, want %v", gone, want)
	}
}
