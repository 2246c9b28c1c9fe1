package host

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl/internal/needs"
	"github.com/sysctl-os/sysctl/netconfig/guest"
	"github.com/sysctl-os/sysctl/storage"
	"golang.org/x/sys/unix"
)

// patience is how long a daemon may take to set everything. It is no measure of speed.
const patience = time.Minute

// debianTree is a Debian 12 with every program that configures networks there, and the package of ifupdown-ng, which
// cannot be installed beside ifupdown, in its root directory.
func debianTree(t *testing.T) *storage.Tree {
	t.Helper()
	needs.Root(t)
	program := needs.Program(t, "mmdebstrap")
	dir, err := os.MkdirTemp("/var/tmp", "sysctl-oracle-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cmd := exec.Command(program, "--quiet", "--variant=minbase", "--include=ifupdown,iproute2,systemd,dbus,netplan.io,network-manager,isc-dhcp-client",
		`--customize-hook=chroot "$1" sh -c 'cd / && apt-get -qq download ifupdown-ng'`, "bookworm", dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mmdebstrap: %v\n%s", err, out)
	}
	tree, err := storage.OpenDirTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	confined(t, tree)
	return tree
}

// daemon runs a program of the tree's until the test ends, and keeps what it says.
func (l *lab) daemon(argv ...string) *bytes.Buffer {
	l.t.Helper()
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	cmd := l.command(ctx, argv...)
	cmd.Stdout, cmd.Stderr = &log, &log
	l.must(cmd.Start())
	l.t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
	return &log
}

// contained makes the lab look like a container from inside: what depends on udev then does without.
func (l *lab) contained() {
	l.t.Helper()
	at := filepath.Join(l.dir, "sys")
	l.must(unix.Mount("sysfs", at, "sysfs", unix.MS_RDONLY, ""))
	l.t.Cleanup(func() {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			l.t.Error(err)
		}
	})
	l.must(os.WriteFile(filepath.Join(l.dir, "etc/machine-id"), []byte(strings.Repeat("ab", 16)+"\n"), 0o444))
	l.must(os.MkdirAll(filepath.Join(l.dir, "run/systemd"), 0o755))
	l.must(os.WriteFile(filepath.Join(l.dir, "run/systemd/container"), []byte("lxc\n"), 0o644))
}

// networkd starts systemd-networkd.
func (l *lab) networkd() *bytes.Buffer {
	l.t.Helper()
	l.run("/usr/bin/install", "-d", "-o", "systemd-network", "/run/systemd/netif", "/run/systemd/netif/links", "/run/systemd/netif/leases", "/run/systemd/netif/lldp")
	return l.daemon("/usr/lib/systemd/systemd-networkd")
}

// Debian's programs, one after the other in one tree: each renderer takes away what was written for the one before.
func TestOracleDebian(t *testing.T) {
	tree := debianTree(t)
	n := oracleNetwork()
	for _, c := range []struct {
		name, renderer, dialect string
		start                   func(l *lab) *bytes.Buffer
	}{
		{"ifupdown", guest.Ifupdown, "0.8", func(l *lab) *bytes.Buffer {
			l.run("/bin/mkdir", "-p", "/run/network")
			l.run("/sbin/ifup", "-a")
			return new(bytes.Buffer)
		}},
		{"networkd", guest.Networkd, "", func(l *lab) *bytes.Buffer {
			l.contained()
			return l.networkd()
		}},
		{"netplan", guest.Netplan, "", func(l *lab) *bytes.Buffer {
			l.contained()
			l.run("/usr/libexec/netplan/generate")
			return l.networkd()
		}},
		{"NetworkManager", guest.NetworkManager, "", func(l *lab) *bytes.Buffer {
			l.contained()
			l.run("/bin/mkdir", "-p", "/run/dbus")
			l.daemon("/usr/bin/dbus-daemon", "--system", "--nofork", "--nopidfile")
			return l.daemon("/usr/sbin/NetworkManager", "--no-daemon", "--log-level=INFO")
		}},
		{"ifupdown-ng", guest.Ifupdown, "ng", func(l *lab) *bytes.Buffer {
			l.run("/bin/sh", "-c", "dpkg-deb --fsys-tarfile /ifupdown-ng_*.deb | tar -x --keep-directory-symlink -C / && mkdir -p /run/network")
			l.run("/sbin/ifup", "-a")
			return new(bytes.Buffer)
		}},
	} {
		isOracle(t, c.renderer, c.dialect)
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, tree)
			if c.dialect == "ng" { // what Debian's file includes by a pattern is an error to it
				l.must(tree.WriteFile("/etc/network/interfaces", nil, 0o644))
			}
			l.render(c.renderer, c.dialect, n)
			log := c.start(l)
			l.compare(n, patience, log)
		})
		t.Run(c.name+" asks", func(t *testing.T) {
			needs.Program(t, "dnsmasq")
			l := newLab(t, tree)
			l.answering()
			l.render(c.renderer, c.dialect, askingNetwork())
			log := c.start(l)
			want := asked()
			if c.dialect == "ng" { // dhclient is not told the metric: the second default route is not set
				want = slices.DeleteFunc(want, func(line string) bool { return line == "eth1 route default via 10.9.1.1" })
			}
			l.comes(want, l.given, patience, log)
		})
	}
}
