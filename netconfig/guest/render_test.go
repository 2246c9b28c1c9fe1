package guest_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"path"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
	"github.com/sysctl-os/sysctl/netconfig/guest"
)

func TestUnknownGuestIsLeftAlone(t *testing.T) {
	tree, g := systems["debian12"].tree()
	g.ID = ""
	if changes := render(t, tree, g, full); len(changes) != 0 {
		t.Errorf("changes: %v", changes)
	}
}

func TestRendererNoneGetsIdentityOnly(t *testing.T) {
	tree, g := systems["debian12"].tree()
	g.Renderer = guest.None
	for _, c := range render(t, tree, g, full) {
		if c.Path != "/etc/hostname" && c.Path != "/etc/hosts" && c.Path != "/etc/resolv.conf" {
			t.Errorf("%s is changed", c.Path)
		}
	}
}

func TestGoneInterfacesAreRemoved(t *testing.T) {
	for _, name := range sortedKeys(systems) {
		tree, g := systems[name].tree()
		settle(t, tree, g, full)
		one := full
		one.NICs = full.NICs[2:3]
		settle(t, tree, g, one)
		for path, content := range tree.Files() {
			if path == "/etc/systemd/network/10-sysctl-eth0.network" || strings.Contains(content, "10.0.0.5") {
				t.Errorf("%s: %s still speaks of eth0:\n%s", name, path, content)
			}
		}
	}
}

// Another renderer than before takes its predecessor's files away.
func TestRendererChanges(t *testing.T) {
	tree, g := systems["debian12"].tree()
	settle(t, tree, g, full)
	for _, renderer := range []string{guest.Networkd, guest.Ifupdown, guest.None} {
		g.Renderer = renderer
		settle(t, tree, g, full)
		files := tree.Files()
		if got := strings.Contains(files["/etc/network/interfaces"], "10.0.0.5"); got != (renderer == guest.Ifupdown) {
			t.Errorf("%s: interfaces has our addresses: %v", renderer, got)
		}
		_, got := files["/etc/systemd/network/10-sysctl-eth0.network"]
		if got != (renderer == guest.Networkd) {
			t.Errorf("%s: networkd has our file: %v", renderer, got)
		}
		if !strings.Contains(files["/etc/network/interfaces"], "iface wlan0 inet dhcp") {
			t.Errorf("%s: the foreign interface is gone", renderer)
		}
	}
}

func TestWithoutResolversResolvConfStays(t *testing.T) {
	tree, g := systems["debian12"].tree()
	n := full
	n.DNS = nil
	for _, c := range render(t, tree, g, n) {
		if c.Path == "/etc/resolv.conf" {
			t.Errorf("resolv.conf becomes %s", c.Data)
		}
	}
}

func TestResolverFollowsTheGuest(t *testing.T) {
	resolved := map[string]string{"/etc/resolv.conf": "-> ../run/systemd/resolve/stub-resolv.conf"}
	for _, c := range []struct {
		name   string
		files  map[string]string
		link   bool // resolv.conf stays a link
		dropIn bool
	}{
		{"resolved that does not run", resolved, false, false},
		{"resolved", map[string]string{"/etc/resolv.conf": resolved["/etc/resolv.conf"],
			"/etc/systemd/system/sysinit.target.wants/systemd-resolved.service": "-> x"}, true, true},
		{"resolved gone", map[string]string{"/etc/resolv.conf": resolved["/etc/resolv.conf"],
			"/etc/systemd/resolved.conf.d/10-sysctl.conf": "# Written by sysctl at every start: x\n"}, false, false},
		{"resolvconf that is not installed", map[string]string{"/etc/resolv.conf": "-> /run/resolvconf/resolv.conf"}, false, false},
		{"a link into nowhere", map[string]string{"/etc/resolv.conf": "-> /nowhere"}, false, false},
		{"a link to itself", map[string]string{"/etc/resolv.conf": "-> resolv.conf"}, false, false},
		{"nothing", nil, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := treetest.New(c.files)
			settle(t, tree, systems["debian12"].guest, full)
			_, err := tree.Readlink("/etc/resolv.conf")
			if link := err == nil; link != c.link {
				t.Errorf("resolv.conf is a link: %v, want %v", link, c.link)
			}
			content := tree.Files()["/etc/resolv.conf"]
			if has := strings.Contains(content, "nameserver 192.0.2.53\nnameserver 2001:db8::53\n"); has == c.link {
				t.Errorf("resolv.conf = %q", content)
			}
			dropIn, has := tree.Files()["/etc/systemd/resolved.conf.d/10-sysctl.conf"]
			if has != c.dropIn || has && !strings.Contains(dropIn, "[Resolve]\nDNS=192.0.2.53 2001:db8::53\nDomains=sysctl.example corp.example\n") {
				t.Errorf("drop-in = %q", dropIn)
			}
		})
	}
}

// Who asks for addresses leaves the instance's own resolvers alone; where it has none, or nobody asks, nothing is in the way.
func TestAskersLeaveTheResolver(t *testing.T) {
	const hook, conf = "/etc/dhcp/dhclient-enter-hooks.d/sysctl", "/etc/udhcpc/udhcpc.conf"
	none := asked
	none.DNS = nil
	for name, c := range map[string]struct {
		n    sysctl.GuestNetwork
		more map[string]string
		want bool
	}{
		"asked": {asked, nil, true}, "static": {full, nil, false}, "no resolvers": {none, nil, false},
		"resolved": {asked, map[string]string{"/etc/resolv.conf": "-> ../run/systemd/resolve/stub-resolv.conf", "/etc/systemd/system/sysinit.target.wants/systemd-resolved.service": "-> x"}, false},
	} {
		files := map[string]string{"/etc/dhcp/dhclient-enter-hooks.d/": "", "/usr/share/udhcpc/default.script": "", conf: "# mine\nIF_METRIC=7"}
		maps.Copy(files, c.more)
		tree := treetest.New(files)
		g := systems["debian12"].guest
		g.Renderer, g.Dialect = guest.Ifupdown, "0.8"
		settle(t, tree, g, c.n)
		got := tree.Files()
		if has := strings.HasSuffix(got[hook], "\nmake_resolv_conf() { :; }\n"); has != c.want {
			t.Errorf("%s: %q", name, got[hook])
		}
		if has := strings.HasPrefix(got[conf], "# mine\nIF_METRIC=7\nRESOLV_CONF=no # Written by sysctl"); has != c.want || !c.want && got[conf] != files[conf] {
			t.Errorf("%s: %q", name, got[conf])
		}
		settle(t, tree, g, full)
		if got := tree.Files(); got[hook] != "" || strings.TrimSpace(got[conf]) != files[conf] {
			t.Errorf("%s, then static: %q %q", name, got[hook], got[conf])
		}
	}
}

func TestHosts(t *testing.T) {
	g := systems["debian12"].guest
	tree := treetest.New(map[string]string{"/etc/hosts": "# top\n::1 localhost\n"})
	n := sysctl.GuestNetwork{Hostname: "web1"}
	settle(t, tree, g, n)
	want := lines("# top", "::1 localhost", "", "# sysctl: begin (rewritten at every start, changes here are lost)",
		"127.0.0.1\tlocalhost", "127.0.1.1\tweb1", "# sysctl: end")
	if got := file(t, tree, "/etc/hosts"); got != want {
		t.Errorf("hosts = %q, want %q", got, want)
	}
	// Renamed, with a line added below our block.
	if err := tree.WriteFile("/etc/hosts", []byte(want+"192.0.2.1 mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	n = sysctl.GuestNetwork{Hostname: "web2", NICs: full.NICs[:1]}
	settle(t, tree, g, n)
	want = lines("# top", "::1 localhost", "", "# sysctl: begin (rewritten at every start, changes here are lost)",
		"127.0.0.1\tlocalhost", "10.0.0.5\tweb2", "fd00::5\tweb2", "# sysctl: end", "192.0.2.1 mine")
	if got := file(t, tree, "/etc/hosts"); got != want {
		t.Errorf("hosts = %q, want %q", got, want)
	}
}

// A block whose end somebody has deleted must not swallow what follows.
func TestBlockWithoutEnd(t *testing.T) {
	g := systems["debian12"].guest
	tree := treetest.New(map[string]string{"/etc/hosts": "# sysctl: begin\n127.0.0.1 localhost\n192.0.2.1 mine\n"})
	settle(t, tree, g, sysctl.GuestNetwork{Hostname: "web1"})
	if got := file(t, tree, "/etc/hosts"); !strings.Contains(got, "192.0.2.1 mine\n") || strings.Count(got, "127.0.0.1") != 1 {
		t.Errorf("hosts = %q", got)
	}
}

// The network service is enabled where it is not, by the means of the guest's init.
func TestServiceIsEnabled(t *testing.T) {
	const unit = "/etc/systemd/system/multi-user.target.wants/networking.service"
	for _, c := range []struct {
		system string
		more   map[string]string
		want   string // the link, "" = none
	}{
		{"debian12", nil, unit},
		{"debian12", map[string]string{"/etc/systemd/system/network-online.target.wants/networking.service": "-> x"}, ""},
		{"debian12", map[string]string{"/etc/systemd/system/networking.service": "-> /dev/null"}, ""},
		{"debian7", nil, "/etc/rcS.d/S40networking"},
		{"debian6", nil, ""},
		{"alpine-busybox", nil, "/etc/runlevels/boot/networking"},
		{"alpine-ng", nil, ""},
		{"networkd252", nil, "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service"},
		{"networkd219", nil, ""},
	} {
		tree, g := systems[c.system].tree()
		for name, content := range c.more {
			if err := tree.Symlink(strings.TrimPrefix(content, "-> "), name); err != nil {
				t.Fatal(err)
			}
		}
		found := ""
		for _, change := range render(t, tree, g, full) {
			if change.Link != "" && path.Dir(change.Path) != "/etc/systemd/system/network-online.target.wants" && path.Dir(change.Path) != "/etc/systemd/system/sockets.target.wants" {
				found += change.Path
			}
		}
		if found != c.want {
			t.Errorf("%s with %v: link %q, want %q", c.system, c.more, found, c.want)
		}
	}
}

func TestBadNetworkNamesEveryField(t *testing.T) {
	tree, g := systems["debian12"].tree()
	_, err := guest.Render(tree, g, sysctl.GuestNetwork{
		Hostname: "a\nb", Domain: "x y", Search: []string{"ok", "no;"},
		NICs: []sysctl.GuestNIC{
			{Name: "eth0\nup rm -rf /", Addresses: []netip.Prefix{{}}},
			{Name: "eth1", Gateway4: netip.MustParseAddr("10.0.0.1")},
			{Name: "eth1", Addresses: prefixes("10.0.0.1/8"), Gateway4: netip.MustParseAddr("fe80::1")},
			{Name: "../x"}, {Name: "lo"},
		},
	})
	if sysctl.KindOf(err) != sysctl.Invalid {
		t.Fatalf("error = %v", err)
	}
	for _, want := range []string{`"a\nb" cannot be a host name`, `"x y" cannot be a domain`, `"no;" cannot`, `up rm -rf /" cannot be the name`,
		"is not an address", "gateway 10.0.0.1 needs an address", `"eth1" cannot be`, "gateway fe80::1 is of the wrong family", `"../x" cannot`, `"lo" cannot`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %q", want, err)
		}
	}
}

// Links of a hostile guest lead only to what the guest has: what they point at stays as it is.
func TestLinksAreReplacedNotFollowed(t *testing.T) {
	files := map[string]string{"/etc/passwd": "root:x:0:0\n"}
	for _, name := range []string{"/etc/network/interfaces", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/systemd/network/10-sysctl-eth0.network"} {
		files[name] = "-> /etc/passwd"
	}
	for _, renderer := range []string{guest.Ifupdown, guest.Networkd} {
		tree := treetest.New(files)
		g := systems["debian12"].guest
		g.Renderer, g.Dialect = renderer, "0.8"
		settle(t, tree, g, full)
		if got := file(t, tree, "/etc/passwd"); got != files["/etc/passwd"] {
			t.Errorf("%s: passwd = %q", renderer, got)
		}
		for _, w := range tree.Writes() {
			if !strings.HasPrefix(w, "/etc/") || path.Clean(w) != w {
				t.Errorf("%s: wrote %s", renderer, w)
			}
		}
	}
}

// fragments of interfaces files as people write them; those of eth… go when the interface is ours.
var fragments = []string{
	"", "# a comment\n", "auto lo\niface lo inet loopback\n", "iface lo inet loopback\n", "auto eth0\n", "auto eth0 wlan0 eth1\n",
	"allow-hotplug eth2\n", "iface eth0 inet dhcp\n", "iface eth0 inet static\n\taddress 192.0.2.7\n\n\t# in\n\tnetmask 255.255.255.0\n\n",
	"iface wlan0 inet dhcp\n\twpa-ssid x \\\n\ty\n", "iface eth1 inet6 auto\n", "iface eth0:0 inet static\n\taddress 192.0.2.8\n",
	"mapping eth0 wlan0\n\tscript /x\n", "source /etc/network/interfaces.d/*\n", "source-directory interfaces.d\n",
	"# sysctl: begin\nauto eth9\niface eth9 inet dhcp\n# sysctl: end\n", "# sysctl: begin\n", "\tup stray\n", "\\\n",
}

// For any interfaces file, NICs and dialect: applied, there is nothing left to do; foreign stanzas are
// kept; of ours there is one. And taking all NICs away leaves nothing of them.
func TestRenderSettles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	dialects := []string{"0.6", "0.7", "0.8", "ng", "busybox"}
	for i := range 3000 {
		var content strings.Builder
		for range random.IntN(8) {
			content.WriteString(fragments[random.IntN(len(fragments))])
		}
		content.WriteString([]string{"", "\tup last", "\\"}[random.IntN(3)]) // without a newline
		tree := treetest.New(map[string]string{
			"/etc/network/interfaces": content.String(), "/etc/network/interfaces.d/a": fragments[random.IntN(len(fragments))],
			"/etc/hosts": fragments[random.IntN(len(fragments))], "/etc/resolv.conf": fragments[random.IntN(len(fragments))],
			"/etc/init.d/networking": "",
		})
		g := systems["debian7"].guest
		g.Renderer, g.Dialect = guest.Ifupdown, dialects[random.IntN(len(dialects))]
		n := full
		n.NICs = full.NICs[:random.IntN(len(full.NICs)+1)]
		before := fmt.Sprintf("%s dialect, %d NICs, from\n%s", g.Dialect, len(n.NICs), content.String())
		settle(t, tree, g, n)
		got := file(t, tree, "/etc/network/interfaces")
		if want := strings.Count(content.String(), "iface wlan0 inet dhcp\n\twpa-ssid x \\\n\ty\n"); strings.Count(got, "iface wlan0 inet dhcp\n\twpa-ssid x \\\n\ty\n") != want {
			t.Errorf("run %d: foreign stanza lost: %s\nto\n%s", i, before, got)
		}
		for _, nic := range n.NICs {
			if c := strings.Count("\n"+got, "\nauto "+nic.Name+"\n"); c != 1 {
				t.Errorf("run %d: %d times auto %s: %s\nto\n%s", i, c, nic.Name, before, got)
			}
		}
		n.NICs = nil
		settle(t, tree, g, n)
		if got := file(t, tree, "/etc/network/interfaces"); strings.Contains(got, "10.0.0.5") || !strings.Contains(got, "iface lo inet loopback") && !strings.Contains(file(t, tree, "/etc/network/interfaces.d/a"), "iface lo") {
			t.Errorf("run %d: without NICs: %s\nto\n%s", i, before, got)
		}
		if t.Failed() {
			return
		}
	}
}
