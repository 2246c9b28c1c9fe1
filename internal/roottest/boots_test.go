package roottest

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
	"github.com/sysctl-os/sysctl/templates"
)

// boots NAME [MAY-FAIL...] has the guest of the image NAME, or of the tarball $NAME where there is no such image, boot in an instance NAME, leaves it running, and checks each
// time that it has come up: address, gateway, nameservers, name, nothing failed (but for lines of the console that
// match one of the regular expressions MAY-FAIL, of which recipe:TEMPLATE stands for those of that recipe's own test). It is booted at first, by a reboot and after a power-off from inside, and by a
// restart, in which its init must have halted by itself. What sysctl check says of the image beforehand must be what comes of
// it, and, where there is a recipe for the same system, what it says of that.
func boots(ts *testscript.TestScript, neg bool, args []string) {
	name, mayFail := args[0], withRecipes(ts, args[1:])
	if ts.Exec("sysctl", "image", "info", name) != nil {
		tree := ts.Getenv(name)
		if tree == "" {
			ts.Logf("%s: not here", name)
			return
		}
		ts.Check(ts.Exec("sysctl", "image", "import", "-q", tree, "--alias", name))
	}
	measures := foretold(ts, name)
	ts.Check(ts.Exec("sysctl", "launch", "-q", name, name))
	isUp(ts, name, mayFail)
	taken(ts, name, measures)
	ended(ts, false, fromInside(name, "reboot"))
	entersOnly(ts, name)
	isUp(ts, name, mayFail)
	haltsItself(ts, "restart", name)
	isUp(ts, name, mayFail)
	ended(ts, false, fromInside(name, "poweroff"))
	until(ts, false, []string{"sh", "-c", "sysctl list --format csv | grep '^" + name + ",stopped'"})
	ts.Check(ts.Exec("sysctl", "start", "-q", name))
	isUp(ts, name, mayFail)
}

// verdict is what sysctl check and sysctl info say about measures.
type verdict struct {
	Name     string
	Guest    sysctl.Guest
	Boots    bool
	Measures []struct{ ID string }
}

func (v verdict) ids() string {
	var ids []string
	for _, m := range v.Measures {
		ids = append(ids, m.ID)
	}
	return strings.Join(ids, " ")
}

// foretold is with which measures an image boots, as sysctl check has it. A recipe for the same system must say the same.
func foretold(ts *testscript.TestScript, name string) string {
	ts.Check(ts.Exec("sysctl", "check", name, "--format", "json"))
	var list, all []verdict
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &list))
	ts.Check(ts.Exec("sh", "-c", "sysctl check --all --format json >.check || [ $? = 8 ]")) // 8: one of them cannot boot here
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(".check")), &all))
	for _, of := range all {
		a, b := of.Guest, list[0].Guest
		if a.ID == b.ID && a.Version == b.Version && a.Arch == b.Arch && a.Init == b.Init && (!of.Boots || of.ids() != list[0].ids()) {
			ts.Fatalf("the recipe %s was to boot (%v) with %q, its tree %s with %q", of.Name, of.Boots, of.ids(), name, list[0].ids())
		}
	}
	return list[0].ids()
}

// taken checks with which measures an instance was booted.
func taken(ts *testscript.TestScript, name, measures string) {
	ts.Check(ts.Exec("sysctl", "info", name, "--format", "json"))
	var v verdict
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	if v.ids() != measures {
		ts.Fatalf("%s was to boot with %q, and did with %q", name, measures, v.ids())
	}
}

// entersOnly makes sure that the first command that can be run in a guest that reboots is run in the guest, and not where its
// init comes from.
func entersOnly(ts *testscript.TestScript, name string) {
	until(ts, false, []string{"sysctl", "exec", name, "--", "cat", "/etc/hostname"})
	if out := strings.TrimSpace(ts.ReadFile("stdout")); out != name {
		ts.Fatalf("a command in %s saw the host name %q", name, out)
	}
}

// fromInside has the guest's own command end it. openrc-init has one of its own, where it is process 1: it alone makes that pipe.
func fromInside(name, what string) []string {
	return []string{name, "sysctl", "exec", name, "--", "sh", "-c", "if [ -p /run/openrc/init.ctl ]; then openrc-shutdown --" + what + " now; else " + what + "; fi"}
}

// halts NAME stops an instance: its init must halt by itself. One that is not here is none of its business.
func halts(ts *testscript.TestScript, neg bool, args []string) {
	if ts.Getenv(args[0]) != "" {
		haltsItself(ts, "stop", args[0])
	}
}

// haltsItself has a verb end a guest, which may not be by another means than init's own signal. The machine may be busy.
func haltsItself(ts *testscript.TestScript, verb, name string) {
	ts.Check(ts.Exec("sysctl", verb, "--debug", "--timeout", "3m", name))
	if out := ts.ReadFile("stdout") + ts.ReadFile("stderr"); !strings.Contains(out, "halt") || strings.Contains(out, "note:") {
		ts.Fatalf("%s %s: its init has not halted by itself:\n%s", verb, name, out)
	}
}

// isUp waits until the guest has done its boot, and checks what came of it.
func isUp(ts *testscript.TestScript, name string, mayFail []string) {
	inside := func(command string) []string { return []string{"sysctl", "exec", name, "--", "sh", "-c", command} }
	// The last thing that an init does is to offer a login, but OpenRC is not through then, nor is finit's ifup; systemd says when
	// it is through, and is asked again where it is too old to be waited for.
	until(ts, false, inside(`if [ -d /run/systemd/system ]; then systemctl is-system-running --wait || systemctl is-system-running | grep -qxE 'running|degraded'; `+
		`else ! grep -qsxE 'openrc|rc|ifup' /proc/[0-9]*/comm && for p in $(grep -ls 'getty$' /proc/[0-9]*/comm); do tr '\0' ' ' < ${p%comm}cmdline; done | grep -q console && `+
		`ip -4 addr show eth0 | grep -q 'inet '; fi`))
	run := func(command string) string {
		argv := inside(command)
		ts.Check(ts.Exec(argv[0], argv[1:]...))
		return strings.TrimSpace(ts.ReadFile("stdout"))
	}
	ts.Check(ts.Exec("sh", "-c", "sysctl list "+name+" --format csv | tail -n 1 | cut -d, -f3"))
	address := strings.TrimSpace(ts.ReadFile("stdout"))
	if out := run("ip -4 addr show eth0"); !strings.Contains(out, "inet "+address+"/24") {
		ts.Fatalf("%s has not the address %s:\n%s", name, address, out)
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(address, "9"), deadline)
	if err == nil {
		conn.Close()
	} else if !errors.Is(err, syscall.ECONNREFUSED) { // refused by the guest: it is there
		ts.Fatalf("%s does not answer: %v", name, err)
	}
	gateway := address[:strings.LastIndex(address, ".")] + ".1"
	if out := run("ip -4 route"); !strings.Contains(out, "default via "+gateway+" ") {
		ts.Fatalf("%s has not the gateway %s:\n%s", name, gateway, out)
	}
	want := hostNameservers(ts)
	if _, err := lookPath(ts, "dnsmasq"); err == nil {
		want = "nameserver " + gateway // which asks the host's
	}
	if out := run("f=/etc/resolv.conf; ! grep -qsF 127.0.0.53 $f || f=/run/systemd/resolve/resolv.conf; grep ^nameserver $f"); want != "" && out != want {
		ts.Fatalf("%s has the nameservers %q, want %q", name, out, want)
	}
	if out := run("cat /proc/sys/kernel/hostname /etc/hostname"); out != name+"\n"+name {
		ts.Fatalf("%s is called %q", name, out)
	}
	failures(ts, name, run, mayFail)
}

// failures checks that nothing failed, by the init's own word and by what was said on the console.
func failures(ts *testscript.TestScript, name string, run func(string) string, mayFail []string) {
	if out := run("[ ! -d /run/systemd/system ] || systemctl --failed --no-legend --plain"); out != "" {
		ts.Fatalf("%s has failed units:\n%s", name, out)
	}
	if out := run("command -v rc-status >/dev/null || exit 0; rc-status -a --nocolor 2>/dev/null | grep -E 'crashed|failed' || true"); out != "" {
		ts.Fatalf("%s has failed services:\n%s", name, out)
	}
	if out := run("[ ! -x /lib/finit/initctl ] || /lib/finit/initctl -p status | grep -E 'crashed|halted' || true"); out != "" {
		ts.Fatalf("%s has failed services:\n%s", name, out)
	}
	ts.Check(ts.Exec("sysctl", "console", "--log", name))
	text := ts.ReadFile("stdout")
	for _, line := range manager.FailedLines(text, run("[ ! -d /run/systemd/system ] || echo systemd") != "") {
		if !slices.ContainsFunc(mayFail, func(may string) bool { return regexp.MustCompile(may).MatchString(line) }) {
			ts.Fatalf("%s said on its console: %s", name, line)
		}
	}
}

// withRecipes has the list of a recipe's own test in the place of recipe:TEMPLATE.
func withRecipes(ts *testscript.TestScript, mayFail []string) []string {
	var all []string
	for _, may := range mayFail {
		ref, isRecipe := strings.CutPrefix(may, "recipe:")
		if !isRecipe {
			all = append(all, may)
			continue
		}
		catalogue, err := templates.Load()
		ts.Check(err)
		t, _, err := catalogue.Find(ref)
		ts.Check(err)
		all = append(all, t.Test.MayFail...)
	}
	return all
}

// hostNameservers are the lines of the host's resolv.conf that a guest gets, or "" where they are of the host alone.
func hostNameservers(ts *testscript.TestScript) string {
	data, err := os.ReadFile("/etc/resolv.conf")
	ts.Check(err)
	var out []string
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			if ip := net.ParseIP(f[1]); ip == nil || ip.IsLoopback() {
				return ""
			}
			out = append(out, "nameserver "+f[1])
		}
	}
	return strings.Join(out, "\n")
}
