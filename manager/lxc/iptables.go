package lxc

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// tables are the kernel's packet filter tables of the time before nft, as far as a host has them.
type tables struct {
	names    string // a file that is there while ip_tables is in the kernel (net/netfilter/x_tables.c, xt_proto_init)
	names6   string // the same of ip6_tables
	modules  string // directory of the kernel's modules
	disabled string // a file that says 1 where no module may be loaded any more
	path     []string
}

// hostTables are those of the kernel of a release (uname -r).
func hostTables(release string) tables {
	return tables{names: "/proc/net/ip_tables_names", names6: "/proc/net/ip6_tables_names", modules: filepath.Join("/lib/modules", release), disabled: "/proc/sys/kernel/modules_disabled",
		path: strings.Split(hookPath, ":")}
}

// have reports whether the kernel has them, and those of IPv6 where there is a module of them.
func (t tables) have() bool {
	return there(t.names) && (there(t.names6) || !t.module("ipv6/netfilter/ip6_tables.ko*"))
}

func there(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func (t tables) module(pattern string) bool {
	found, err := filepath.Glob(filepath.Join(t.modules, "kernel/net", pattern))
	return err == nil && len(found) > 0
}

// possible reports whether the kernel has them or can load them.
func (t tables) possible() bool {
	if there(t.names) {
		return true
	}
	return t.loadable() && t.module("ipv4/netfilter/ip_tables.ko*")
}

// loadable reports whether modules can be loaded at all.
func (t tables) loadable() bool {
	b, err := os.ReadFile(t.disabled)
	return err == nil && strings.TrimSpace(string(b)) == "0" && t.modprobe() != ""
}

func (t tables) modprobe() string {
	for _, dir := range t.path {
		if p, err := exec.LookPath(filepath.Join(dir, "modprobe")); err == nil {
			return p
		}
	}
	return ""
}

// loadTables loads those of this host.
func loadTables(ctx context.Context) error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return sysctl.Wrap(err, "uname")
	}
	hostTables(unix.ByteSliceToString(u.Release[:])).load(ctx)
	return nil
}

// load loads them where they are missing. A guest cannot: the kernel requests tables, matches and targets by itself, but
// not ip_tables and ip6_tables. What cannot be loaded is left out: the guest's own iptables says what it misses.
func (t tables) load(ctx context.Context) {
	if t.have() {
		return
	}
	if modprobe := t.modprobe(); modprobe != "" {
		exec.CommandContext(ctx, modprobe, "-a", "-q", "ip_tables", "ip6_tables", "iptable_filter", "iptable_nat", "iptable_mangle", "iptable_raw",
			"ip6table_filter", "ip6table_mangle", "ip6table_raw").Run()
	}
}
