package roottest

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// inventory lists what the program could leave on a host: links, addresses' bridges, mounts, cgroups, nftables
// tables, processes, network namespaces, files in run directories. One line each.
func inventory() ([]string, error) {
	var all []string
	add := func(kind, item string) { all = append(all, kind+" "+item) }
	links, err := os.ReadDir("/sys/class/net")
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		add("link", l.Name())
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(mounts)) {
		add("mount", strings.Join(strings.Fields(line)[3:5], " "))
	}
	err = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(path, "/sysctl") {
			add("cgroup", path) // the guests of others have theirs
		}
		return nil // cgroups of others come and go while they are walked
	})
	if err != nil {
		return nil, err
	}
	tables, err := exec.Command("nft", "list", "tables").Output()
	if err != nil {
		return nil, fmt.Errorf("nft list tables: %w", err)
	}
	for line := range strings.Lines(string(tables)) {
		add("nft", strings.TrimSpace(line))
	}
	for _, p := range processes() {
		add("process", p)
	}
	for _, dir := range []string{"/run/netns", "/run/sysctl-lxc", "/var/lib/sysctl-environments", "/run/sysctl", "/var/lib/sysctl"} {
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && path != "/run/sysctl-lxc" && path != "/run/sysctl-lxc/root" && path != "/var/lib/sysctl-environments" {
				add("file", path)
			}
			return nil // an absent directory has no files
		})
	}
	sort.Strings(all)
	return all, nil
}

var ours = regexp.MustCompile(`sysctl-keeper|\[lxc monitor\] /run/sysctl-lxc|/sysctl (settle|launch|start|stop)`)

// processes lists the command lines of our own programs and of liblxc's monitors.
func processes() []string {
	var found []string
	dirs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range dirs {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it ended meanwhile
		}
		if line := strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " ")); ours.MatchString(line) {
			found = append(found, line)
		}
	}
	return found
}

// compare returns what is in after and not in before, and the reverse.
func compare(before, after []string) []string {
	count := map[string]int{}
	for _, s := range before {
		count[s]--
	}
	for _, s := range after {
		count[s]++
	}
	var diff []string
	for s, n := range count {
		switch {
		case n > 0:
			diff = append(diff, "left behind: "+s)
		case n < 0:
			diff = append(diff, "gone: "+s)
		}
	}
	sort.Strings(diff)
	return diff
}
