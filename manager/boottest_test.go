package manager_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// healthy answers as a guest that is well, with the tables of a kernel. more has what it answers else, by a part of the script.
func healthy(t *testing.T, h house, more map[string]string) func(string) (string, int) {
	return func(script string) (string, int) {
		for part, said := range more {
			if strings.Contains(script, part) {
				return said, 0
			}
		}
		nic := sysctl.NIC{}
		name := ""
		if all, err := h.db.Instances(t.Context()); err == nil && len(all) > 0 {
			nic, name = all[0].NICs[0], all[0].Name
		}
		switch v6 := fmt.Sprintf("%x", nic.IPv6.As16()); {
		case strings.Contains(script, "is-system-running"):
			return "running", 0
		case strings.Contains(script, "echo systemd"):
			return "systemd", 0
		case strings.Contains(script, "fib_trie"):
			return "Local:\n  +-- 0.0.0.0/0 2 0 2\n     |-- 10.9.9.0\n        /24 link UNICAST\n     |-- " + nic.IPv4.String() +
				"\n        /32 host LOCAL\n" + v6 + " 02 40 00 80     eth0\n", 0
		case strings.Contains(script, "/proc/net/route"):
			n, err := h.db.Network(t.Context(), "sysbr0")
			if err != nil {
				t.Error(err)
			}
			v4 := n.IPv4.Addr().As4()
			zero := strings.Repeat("0", 32)
			return fmt.Sprintf("Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\neth0\t00000000\t%02X%02X%02X%02X\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\n"+
				"%s 00 %s 00 %x 00000400 00000001 00000000 00000003     eth0\n", v4[3], v4[2], v4[1], v4[0], zero, zero, n.IPv6.Addr().As16()), 0
		case strings.Contains(script, "kernel/hostname"):
			return name + "\n", 0
		}
		return "", 0
	}
}

// failed are the checks that failed, each once.
func failed(r manager.TemplateTest) string {
	var all []string
	for _, c := range r.Checks {
		if text := c.Name + ": " + c.Found; !c.Passed && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return strings.Join(all, "\n")
}

func TestBootTest(t *testing.T) {
	console := filepath.Join(t.TempDir(), "console")
	if err := os.WriteFile(console, []byte("[  OK  ] Started a.\r\n[\x1b[0;1;31mFAILED\x1b[0m] Failed to start b.\r\nfailed, says no unit\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		test    sysctl.BootTest
		said    map[string]string
		console string
		want    string
	}{
		"all is well": {
			test: sysctl.BootTest{Running: []string{"crond"}, Listening: []uint16{22, 8080}, Commands: []string{"true"}, MayFail: []string{"^x.service"}},
			said: map[string]string{"*/comm": "init\ncrond\n", "/proc/net/tcp": "  0: 00000000:0016 00000000:0000 0A 0\n  1: 00:1F90 00:0000 0A 0\n",
				"--failed": "x.service loaded failed failed X\n"},
		},
		"nothing of what was expected": {
			test: sysctl.BootTest{Running: []string{"crond"}, Listening: []uint16{22}},
			said: map[string]string{"*/comm": "init\ncron\n", "/proc/net/tcp": "  0: 00000000:0016 0100007F:0016 01 0\n"},
			want: "runs crond: no process is called so\nlistens on 22: nobody listens",
		},
		"a unit failed":           {said: map[string]string{"--failed": "x.service loaded failed failed X\n"}, want: "no service failed: x.service loaded failed failed X"},
		"a unit failed by itself": {console: console, want: "no failure on the console: [\x1b[0;1;31mFAILED\x1b[0m] Failed to start b."},
		"scripts say more":        {console: console, said: map[string]string{"echo systemd": ""}, test: sysctl.BootTest{MayFail: []string{"FAILED"}}, want: "no failure on the console: failed, says no unit"},
		"another name":            {said: map[string]string{"kernel/hostname": "localhost"}, want: `host name: "localhost"`},
		"a full name":             {said: map[string]string{"kernel/hostname": "testdebian12-1.sysctl"}},
		"no gateway":              {said: map[string]string{"/proc/net/route": "eth0\t0009090A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"}, want: "eth0: gateway: 10.99.0.1 is missing: there is none\neth0: gateway: fd99::1 is missing: there is none"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.w.test, h.w.console = c.test, c.console
			h.w.answers = healthy(t, h, c.said)
			r, err := h.TestTemplate(t.Context(), manager.TestOptions{Template: "debian12"})
			if err != nil {
				t.Fatal(err)
			}
			if got := failed(r); got != c.want {
				t.Errorf("failed:\n%s\nwant:\n%s", got, c.want)
			}
			if r.Passed != (c.want == "") || r.Instance != "" {
				t.Errorf("passed %v, instance %q", r.Passed, r.Instance)
			}
			if left := h.w.left(); left != "" || len(h.names(t)) != 0 {
				t.Errorf("left: %q, %v", left, h.names(t))
			}
		})
	}
}

// A guest that does not come up is not booted again, and can be kept.
func TestBootTestNotUp(t *testing.T) {
	h := newHouse(t)
	h.w.test = sysctl.BootTest{Timeout: 200 * time.Millisecond}
	h.w.answers = func(script string) (string, int) {
		if strings.Contains(script, "is-system-running") {
			return "starting", 1
		}
		return "", 0
	}
	r, err := h.TestTemplate(t.Context(), manager.TestOptions{Template: "debian12", Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Checks[0]; c.Name != "boots" || c.Passed || c.Found != "not within 200ms: starting" {
		t.Errorf("first check: %+v", c)
	}
	if last := r.Checks[len(r.Checks)-1]; last.Phase != "end" || slices.ContainsFunc(r.Checks, func(c manager.TestCheck) bool { return c.Phase == "restart" }) {
		t.Errorf("checks: %+v", r.Checks)
	}
	info, err := h.Info(t.Context(), "testdebian12-1")
	if err != nil || r.Instance != "testdebian12-1" || info.Ephemeral || info.State.Status != sysctl.Stopped {
		t.Errorf("kept %q: %+v, %v", r.Instance, info.State, err)
	}
}

// A guest that does not halt by its init's own signal has failed, and says what ended it.
func TestBootTestDeafGuest(t *testing.T) {
	h := newHouse(t)
	h.w.deaf = true
	h.w.halters = map[string]halterFake{"telinit 0": {halts: true}}
	h.w.answers = healthy(t, h, nil)
	r, err := h.TestTemplate(t.Context(), manager.TestOptions{Template: "debian12", Timeout: 30 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if got := failed(r); got != `halts: halted after running "telinit 0" inside: the signal alone had not ended it within 10ms` {
		t.Errorf("failed: %s", got)
	}
}

// Whatever fails, and whenever it is interrupted, nothing is left that a delete does not remove.
func TestBootTestFaultAtEveryStep(t *testing.T) {
	test := func(t *testing.T, h house, ctx context.Context) error {
		h.w.answers = healthy(t, h, nil)
		_, err := h.TestTemplate(ctx, manager.TestOptions{Template: "debian12"})
		return err
	}
	everyFault(t, nil, test, func(t *testing.T, h house, err error) {
		if err == nil {
			t.Fatal("no error")
		}
		for _, name := range h.names(t) {
			if err := h.Delete(t.Context(), name, manager.DeleteOptions{Force: true}); err != nil {
				t.Fatal(err)
			}
		}
		if left := h.w.left(); left != "" {
			t.Errorf("left: %q", left)
		}
	})
}
