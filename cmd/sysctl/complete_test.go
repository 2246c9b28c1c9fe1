package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

// completions are the words offered for a command line whose last word is being typed.
func completions(t *testing.T, f *fake, euid int, words ...string) []string {
	t.Helper()
	got := runWith(t, f, "", func(a *app) { a.euid = euid }, append([]string{"__completeNoDesc"}, words...)...)
	if got.status != 0 {
		t.Fatalf("%q: %+v", words, got)
	}
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	return lines[:len(lines)-1] // the last says what the shell is to do
}

func TestCompletion(t *testing.T) {
	f := seeded(sysctl.Running, "run1", "run2")
	f.add("halt1", sysctl.Stopped)
	f.add("ice1", sysctl.Frozen)
	f.add("sick1", sysctl.Broken)
	for line, want := range map[string]string{
		"start|":                           "halt1 sick1",
		"start|halt1|":                     "sick1",
		"stop|":                            "ice1 run1 run2 sick1",
		"stop|r":                           "run1 run2",
		"stop|run1|":                       "ice1 run2 sick1",
		"freeze|":                          "run1 run2 sick1",
		"unfreeze|":                        "ice1 sick1",
		"delete|":                          "halt1 ice1 run1 run2 sick1",
		"exec|":                            "run1 run2 sick1",
		"exec|run1|":                       "",
		"shell|":                           "run1 run2 sick1",
		"info|":                            "halt1 ice1 run1 run2 sick1",
		"info|run1|":                       "",
		"rename|":                          "halt1 sick1",
		"rename|halt1|":                    "",
		"launch|":                          "bookworm debian12 mybox",
		"launch|debian12|":                 "",
		"launch|-p|":                       "default shared",
		"launch|--network|":                "none sysbr0",
		"launch|-c|boot.autostart=":        "boot.autostart=false boot.autostart=true",
		"list|--status|":                   "broken frozen running stopped",
		"list|--format|":                   "csv json table yaml",
		"image|info|":                      "debian12 mybox",
		"template|show|":                   "bookworm debian12",
		"profile|copy|":                    "default shared",
		"network|show|":                    "sysbr0",
		"config|get|run1|":                 "devices.data.path devices.data.type limits.memory",
		"config|unset|run1|limits.memory|": "devices.data.path devices.data.type",
		"config|set|run1|limits.proc":      "limits.processes=",
		"config|set|run1|limits.memory.e":  "limits.memory.enforce=",
		"config|set|run1|limits.memory.enforce=s":                "limits.memory.enforce=soft",
		"config|set|run1|user":                                   "user.",
		"config|set|run1|dev":                                    "devices.",
		"config|set|run1|devices.":                               "devices.data. devices.eth0.",
		"config|set|run1|devices.eth0.n":                         "devices.eth0.name= devices.eth0.network= devices.eth0.nictype=",
		"config|set|run1|devices.data.re":                        "devices.data.readonly= devices.data.recursive= devices.data.required=",
		"config|set|run1|devices.new.p":                          "devices.new.parent= devices.new.path= devices.new.pool= devices.new.propagation= devices.new.proxy_protocol=",
		"config|set|run1|devices.x.type=":                        "devices.x.type=disk devices.x.type=nic devices.x.type=none devices.x.type=proxy devices.x.type=unix-block devices.x.type=unix-char",
		"config|set|run1|devices.eth0.network=":                  "devices.eth0.network=sysbr0",
		"config|set|run1|devices.eth0.nictype=b":                 "devices.eth0.nictype=bridged",
		"config|set|run1|devices.data.readonly=":                 "devices.data.readonly=false devices.data.readonly=true",
		"config|set|run1|devices.data.path=":                     "",
		"config|set|run1|devices.x.type=disk|devices.x.pa":       "devices.x.path=",
		"config|set|run1|com":                                    "compat.",
		"config|set|run1|compat.cg":                              "compat.cgroup-named= compat.cgroup2=",
		"config|set|run1|compat.uname26=":                        "compat.uname26=auto compat.uname26=off compat.uname26=on",
		"launch|-c|compat.v":                                     "compat.vsyscall=",
		"check|":                                                 "bookworm debian12 halt1 ice1 mybox run1 run2 sick1",
		"check|run1|r":                                           "run2",
		"launch|-c|devices.":                                     "devices.eth0.",
		"launch|-p|shared|-c|devices.d.type=disk|-c|devices.":    "devices.d.",
		"profile|create|p|-c|devices.d.type=nic|-c|devices.d.mt": "devices.d.mtu=",
		"completion|":                                            "bash fish zsh",
		"console|run1|--escape|":                                 "ctrl-a ctrl-b ctrl-t",
		"help|image|":                                            "delete detect export import info list pull",
		"template|build|":                                        "bookworm debian12",
		"template|build|debian12|--set|":                         "suite=",
		"template|build|nobody|--set|":                           "",
		"image|pull|":                                            "docker: images: oci:",
		"image|pull|images:x|--alias|":                           "debian12 mybox",
		"image|import|x|--alias|my":                              "mybox",
		"image|import|x|--prep|":                                 "-console -machine-id -udev-off",
		"image|import|x|--prep=-c":                               "-console",
		"image|import|x|--prep=-console,":                        "-console,-machine-id -console,-udev-off",
		"image|import|x|--prep=-console,-u":                      "-console,-udev-off",
		"image|detect|x|--partition|":                            "disk",
		"launch|-c|guest.prep=-m":                                "guest.prep=-machine-id",
		"config|set|run1|guest.prep=":                            "guest.prep=-console guest.prep=-machine-id guest.prep=-udev-off",
		"image|pull|im":                                          "images:",
		"stop|--timeout|":                                        "",
		"-n|kernel.ostyp":                                        "kernel.ostype",
		"-w|net.ipv4.ip_forward=1|kernel.h":                      kernelWords(t, "h"),
		"kernel.ostyp":                                           "kernel.ostype",
		"kerne":                                                  "kernel.",
	} {
		got := completions(t, f, 0, strings.Split(line, "|")...)
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// kernelWords lists the parameters in kernel that begin with stem, as completion writes them.
func kernelWords(t *testing.T, stem string) string {
	t.Helper()
	entries, err := os.ReadDir("/proc/sys/kernel")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), stem) {
			words = append(words, "kernel."+e.Name())
		}
	}
	return strings.Join(words, " ")
}

func TestCompletionWithoutRootOpensNothing(t *testing.T) {
	f := seeded(sysctl.Running, "web1")
	if got := completions(t, f, 1000, "stop", ""); len(got) > 0 || f.opened > 0 {
		t.Errorf("%q, opened %d times", got, f.opened)
	}
	if got := completions(t, f, 1000, "template", "show", ""); !slices.Equal(got, []string{"bookworm", "debian12"}) {
		t.Errorf("%q", got)
	}
	if got := completions(t, f, 1000, "fre"); !slices.Equal(got, []string{"freeze"}) {
		t.Errorf("%q", got)
	}
}

func TestCompletionNeverLeavesProcSys(t *testing.T) {
	for _, word := range []string{"....etc.", "../../etc/", "kernel.....", "/etc/"} {
		for _, got := range completions(t, seeded(sysctl.Running), 0, "-n", word) {
			if strings.Contains(got, "passwd") || strings.Contains(got, "cpuinfo") {
				t.Errorf("%q: %q", word, got)
			}
		}
	}
}
