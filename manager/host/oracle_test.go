package host

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
	"github.com/sysctl-os/sysctl/netconfig/guest"
	"github.com/sysctl-os/sysctl/storage"
	"golang.org/x/sys/unix"
)

// Oracles: the guests' own programs read what is rendered, in a network namespace of the test's, and what they make of it
// is compared with the model.

// oracleNetwork has what distinguishes the programs: several addresses of both families, gateways in the subnet,
// link-local and outside of it, routes with and without next hops, metrics and next hops outside of all subnets, MTUs, and an
// interface without addresses.
func oracleNetwork() sysctl.GuestNetwork {
	a, p := netip.MustParseAddr, netip.MustParsePrefix
	return sysctl.GuestNetwork{
		Hostname: "web1", DNS: []netip.Addr{a("192.0.2.53")}, Search: []string{"example.org"},
		NICs: []sysctl.GuestNIC{
			{Name: "eth0", MTU: 1450, Addresses: []netip.Prefix{p("10.0.0.5/24"), p("fd00::5/64"), p("10.1.1.5/16"), p("fd00:1::6/64")},
				Gateway4: a("10.0.0.1"), Gateway6: a("fe80::1")},
			{Name: "eth1", Addresses: []netip.Prefix{p("203.0.113.7/32"), p("2001:db8::7/128")}, Gateway4: a("169.254.0.1"), Gateway6: a("2001:db8:ffff::1"),
				Routes: []sysctl.Route{{Destination: p("198.18.0.0/15"), Via: a("169.254.0.9"), OnLink: true, Metric: 60}}},
			{Name: "eth2", MTU: 1280, Addresses: []netip.Prefix{p("fd00:2::2/64")}, Routes: []sysctl.Route{
				{Destination: p("2001:db8:1::/48"), Via: a("fd00:2::9")}, {Destination: p("2001:db8:2::/48"), Via: a("fd99::9"), OnLink: true, Metric: 70}}},
			{Name: "eth3", Addresses: []netip.Prefix{p("172.16.0.2/24"), p("172.16.9.2/24")}, Routes: []sysctl.Route{
				{Destination: p("192.0.2.0/24"), Via: a("172.16.0.9"), Metric: 50}, {Destination: p("198.51.100.0/24")}}},
			{Name: "eth4", MTU: 9000},
		},
	}
}

// lab is a tree with the network and mounts of its own in which its programs run.
type lab struct {
	t    *testing.T
	dir  string
	tree *storage.Tree
}

// newLab moves the test's thread into namespaces of its own, for good: the thread ends with the test.
func newLab(t *testing.T, tree *storage.Tree) *lab {
	t.Helper()
	needs.Root(t)
	needs.Program(t, "ip")
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(tree.Root().Fd())))
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, dir: dir, tree: tree}
	l.must(unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	for at, kind := range map[string]string{"proc": "proc", "run": "tmpfs", "dev": "tmpfs"} {
		l.must(os.MkdirAll(filepath.Join(dir, at), 0o755))
		l.must(unix.Mount(kind, filepath.Join(dir, at), kind, 0, ""))
		t.Cleanup(func() { // before the directory is removed
			if err := unix.Unmount(filepath.Join(dir, at), unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(l.emptied)
	for name, minor := range map[string]uint32{"null": 3, "zero": 5, "random": 8, "urandom": 9} {
		l.must(unix.Mknod(filepath.Join(dir, "dev", name), unix.S_IFCHR|0o666, int(unix.Mkdev(1, minor))))
	}
	for i := range oracleNetwork().NICs {
		l.ip(fmt.Sprintf("link add eth%d mtu 9000 type veth peer name far%d mtu 9000", i, i))
		l.ip(fmt.Sprintf("link set eth%d mtu 1500", i))
		l.ip(fmt.Sprintf("link set far%d up", i))
	}
	return l
}

// emptied ends what programs of the tree have left running: DHCP's clients stay.
func (l *lab) emptied() {
	roots, err := filepath.Glob("/proc/[0-9]*/root")
	l.must(err)
	for _, root := range roots {
		if at, err := os.Readlink(root); err != nil || at != l.dir { // one that has ended has none
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(root)))
		l.must(err)
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
			l.t.Error(err)
		}
	}
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// ip runs the host's ip program in the lab's network.
func (l *lab) ip(args string) []byte {
	l.t.Helper()
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
	return out
}

// command is a program of the tree's.
func (l *lab) command(ctx context.Context, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "container=lxc", "SYSTEMD_LOG_TARGET=console", "SYSTEMD_LOG_LEVEL=debug"}
	cmd.SysProcAttr = &unix.SysProcAttr{Chroot: l.dir, Pdeathsig: unix.SIGKILL}
	return cmd
}

func (l *lab) run(argv ...string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	if out, err := l.command(ctx, argv...).CombinedOutput(); err != nil {
		l.t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}

// render writes n for a renderer into the tree.
func (l *lab) render(renderer, dialect string, n sysctl.GuestNetwork) {
	l.t.Helper()
	g, err := guests{}.Detect(l.tree)
	l.must(err)
	g.Renderer, g.Dialect = renderer, dialect
	changes, err := guest.Render(l.tree, g, n)
	l.must(err)
	l.must(sysctl.Apply(l.tree, changes))
}

// found is what is set in the lab of a model, a line each, sorted; wanted is the same of the model. A metric counts where the model
// has one: each program has others of its own.
func (l *lab) found(n sysctl.GuestNetwork) []string {
	metrics := map[string]bool{}
	for _, nic := range n.NICs {
		for _, r := range nic.Routes {
			metrics[nic.Name+" "+r.Destination.String()] = r.Metric != 0
		}
	}
	var links []struct {
		Name      string `json:"ifname"`
		MTU       int
		Addresses []struct {
			Local, Scope string
			Length       int `json:"prefixlen"`
		} `json:"addr_info"`
	}
	l.must(json.Unmarshal(l.ip("-j addr show"), &links))
	var out []string
	for _, link := range links {
		if !strings.HasPrefix(link.Name, "eth") {
			continue
		}
		out = append(out, fmt.Sprintf("%s mtu %d", link.Name, link.MTU))
		for _, a := range link.Addresses {
			if a.Scope == "global" {
				out = append(out, fmt.Sprintf("%s address %s/%d", link.Name, a.Local, a.Length))
			}
		}
	}
	for _, family := range []string{"-4", "-6"} {
		var routes []struct {
			To, Dst, Gateway, Dev, Protocol, Type string
			Metric                                int
			Nexthops                              []struct{ Gateway, Dev string }
		}
		l.must(json.Unmarshal(l.ip("-j "+family+" route show table main"), &routes))
		for _, r := range slices.Clone(routes) { // the kernel makes one of routes by several interfaces that are as good
			for _, hop := range r.Nexthops {
				r.Gateway, r.Dev = hop.Gateway, hop.Dev
				routes = append(routes, r)
			}
		}
		for _, r := range routes {
			if r.Protocol == "kernel" || !strings.HasPrefix(r.Dev, "eth") || r.Gateway == "" && r.Dst != "198.51.100.0/24" {
				continue // of addresses, and the way to a gateway
			}
			line := fmt.Sprintf("%s route %s via %s", r.Dev, r.Dst, r.Gateway)
			if metrics[r.Dev+" "+r.Dst] {
				line += fmt.Sprintf(" metric %d", r.Metric)
			}
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

func wanted(n sysctl.GuestNetwork) []string {
	var out []string
	for _, nic := range n.NICs {
		mtu := nic.MTU
		if mtu == 0 {
			mtu = 1500
		}
		out = append(out, fmt.Sprintf("%s mtu %d", nic.Name, mtu))
		for _, a := range nic.Addresses {
			out = append(out, fmt.Sprintf("%s address %s", nic.Name, a))
		}
		for _, gateway := range []netip.Addr{nic.Gateway4, nic.Gateway6} {
			if gateway.IsValid() {
				out = append(out, fmt.Sprintf("%s route default via %s", nic.Name, gateway))
			}
		}
		for _, r := range nic.Routes {
			via := ""
			if r.Via.IsValid() {
				via = r.Via.String()
			}
			line := fmt.Sprintf("%s route %s via %s", nic.Name, r.Destination, via)
			if r.Metric != 0 {
				line += fmt.Sprintf(" metric %d", r.Metric)
			}
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

// compare waits until what is set is what was meant, and says the difference where that does not come.
func (l *lab) compare(n sysctl.GuestNetwork, patience time.Duration, log *bytes.Buffer) {
	l.t.Helper()
	l.comes(wanted(n), func() []string { return l.found(n) }, patience, log)
}

// comes waits until what is set, as found tells it, is what is wanted.
func (l *lab) comes(want []string, found func() []string, patience time.Duration, log *bytes.Buffer) {
	l.t.Helper()
	end := time.Now().Add(patience)
	for {
		got := found()
		if slices.Equal(got, want) {
			break
		}
		if time.Now().After(end) {
			for _, line := range got {
				if !slices.Contains(want, line) {
					l.t.Errorf("is set, and not meant: %s", line)
				}
			}
			for _, line := range want {
				if !slices.Contains(got, line) {
					l.t.Errorf("is not set: %s", line)
				}
			}
			l.t.Fatalf("%s\n%s", l.ip("route show"), log)
		}
		// Every change of the network is an event: the next one, or a second.
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Second)
		monitor := exec.CommandContext(ctx, "sh", "-c", "ip monitor address route link | head -n1")
		_ = monitor.Run() // that it ended is all
		cancel()
	}
	data, err := l.tree.ReadFile("/etc/resolv.conf")
	if err != nil || !strings.Contains(string(data), "nameserver 192.0.2.53\n") || strings.Contains(string(data), "nameserver 10.9.") || !strings.Contains(string(data), "search example.org\n") {
		l.t.Errorf("resolv.conf: %q, %v", data, err)
	}
}

// askingNetwork asks in every way for what servers and routers give: eth0 both families, eth1 IPv4 beside an address of IPv6,
// eth2 IPv6 beside an address of IPv4. eth3 is given nothing.
func askingNetwork() sysctl.GuestNetwork {
	p := netip.MustParsePrefix
	return sysctl.GuestNetwork{
		Hostname: "web1", DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")}, Search: []string{"example.org"},
		NICs: []sysctl.GuestNIC{
			{Name: "eth0", Method4: sysctl.MethodDHCP, Method6: sysctl.MethodSLAAC},
			{Name: "eth1", Method4: sysctl.MethodDHCP, Addresses: []netip.Prefix{p("fd00:1::5/64")}},
			{Name: "eth2", Method6: sysctl.MethodSLAAC, Addresses: []netip.Prefix{p("172.16.2.2/24")}},
			{Name: "eth3", Method4: sysctl.MethodNone, Method6: sysctl.MethodNone},
		},
	}
}

// answering has a server for DHCP and a router at the far end of every interface of the lab, in a network namespace of their own.
// On ethN it gives 10.9.N.50 with the gateway 10.9.N.1, itself as a resolver, which nobody is to use, and fd09:N::/64.
func (l *lab) answering() {
	l.t.Helper()
	script := "set -e; set --\n"
	for i := range oracleNetwork().NICs {
		script += fmt.Sprintf("until ip link show far%[1]d; do :; done >/dev/null 2>&1; ip addr add 10.9.%[1]d.1/24 dev far%[1]d; ip addr add fd09:%[1]d::1/64 dev far%[1]d nodad; ip link set far%[1]d up\n"+
			"set -- \"$@\" --interface=far%[1]d --dhcp-range=10.9.%[1]d.50,10.9.%[1]d.50,255.255.255.0 --dhcp-range=fd09:%[1]d::,ra-only,64\n", i)
	}
	dir := l.t.TempDir()
	script += "exec dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --no-ping --port=0 --user=root --log-facility=- --log-dhcp --enable-ra" +
		" --dhcp-option=option:dns-server,0.0.0.0 --dhcp-leasefile=" + dir + "/leases --pid-file=" + dir + "/pid \"$@\""
	cmd := exec.Command("unshare", "--net", "sh", "-c", script)
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	l.must(cmd.Start())
	l.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if l.t.Failed() {
			l.t.Logf("dnsmasq: %s", &log)
		}
	})
	for i := range oracleNetwork().NICs {
		far := fmt.Sprintf("far%d", i)
		for exec.Command("ip", "link", "show", far).Run() == nil { // until the other namespace is there, it is moved nowhere
			l.ip(fmt.Sprintf("link set %s netns %d", far, cmd.Process.Pid))
		}
	}
}

// asked is what is to come of askingNetwork: what routers give is known by its prefix.
func asked() []string {
	all := []string{
		"eth0 mtu 1500", "eth0 address 10.9.0.50/24", "eth0 route default via 10.9.0.1", "eth0 address fd09:0::", "eth0 route default via router",
		"eth1 mtu 1500", "eth1 address 10.9.1.50/24", "eth1 route default via 10.9.1.1", "eth1 address fd00:1::5/64",
		"eth2 mtu 1500", "eth2 address 172.16.2.2/24", "eth2 address fd09:2::", "eth2 route default via router", "eth3 mtu 1500",
	}
	slices.Sort(all)
	return all
}

// given is what is set in the lab, as asked has it.
func (l *lab) given() []string {
	var out []string
	for _, line := range l.found(askingNetwork()) {
		f := strings.Fields(line)
		if f[1] == "address" && strings.HasPrefix(f[2], "fd09:") {
			a := netip.MustParsePrefix(f[2]).Addr().As16()
			line = fmt.Sprintf("%s address fd09:%d::", f[0], int(a[2])<<8|int(a[3]))
		}
		if f[1] == "route" && strings.HasPrefix(f[4], "fe80:") {
			line = f[0] + " route default via router"
		}
		if f[0] != "eth4" {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// isOracle checks that the table of what Render writes says that it was read by its program.
func isOracle(t *testing.T, renderer, dialect string) {
	t.Helper()
	if !slices.ContainsFunc(guest.AllUnderstood(), func(u guest.Understood) bool {
		return u.Renderer == renderer && u.Dialect == dialect && u.Oracle != guest.ReadBack
	}) {
		t.Errorf("the table does not say that %s %q is read by its program", renderer, dialect)
	}
}

// busybox from 2013 to 2024.
func TestOracleBusybox(t *testing.T) {
	isOracle(t, guest.Ifupdown, "busybox")
	for _, file := range []string{"alpine-2.6-amd64", "alpine-3.6-amd64", "alpine-3.20-amd64", "alpine-3.20-i386"} {
		t.Run(file, func(t *testing.T) {
			l := newLab(t, realTree(t, "rootfs/"+file+".tar.gz"))
			l.render(guest.Ifupdown, "busybox", oracleNetwork())
			l.run("/bin/busybox", "ifup", "-a")
			l.compare(oracleNetwork(), 0, &bytes.Buffer{})
			l.run("/bin/busybox", "ifdown", "-a")
		})
		t.Run(file+" asks", func(t *testing.T) {
			needs.Program(t, "dnsmasq")
			tree := realTree(t, "rootfs/"+file+".tar.gz")
			if _, err := tree.Stat("/usr/share/udhcpc/default.script"); err != nil {
				return // the tree of 3.6 has none: its client would set nothing
			}
			l := newLab(t, tree)
			l.answering()
			l.render(guest.Ifupdown, "busybox", askingNetwork())
			l.run("/bin/busybox", "ifup", "-a")
			l.comes(asked(), l.given, patience, &bytes.Buffer{})
			l.run("/bin/busybox", "ifdown", "-a")
		})
	}
}
