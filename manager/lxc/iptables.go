package lxc

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tables are the kernel's packet filter tables of the time before nft, as far as a host has them.
type tables struct {
	names    string // a file that is there while ip_tables is in the kernel (net/netfilter/x_tables.c, xt_proto_init)
	modules  string // directory of the modules of all kernels
	disabled string // a file that says 1 where no module may be loaded any more
	path     []string
}

func hostTables() tables {
	return tables{names: "/proc/net/ip_tables_names", modules: "/lib/modules", disabled: "/proc/sys/kernel/modules_disabled",
		path: strings.Split(hookPath, ":")}
}

// have reports whether the kernel has them.
func (t tables) have() bool {
	_, err := os.Stat(t.names)
	return err == nil
}

// possible reports whether the kernel has them or can load them.
func (t tables) possible(release string) bool {
	if t.have() {
		return true
	}
	if b, err := os.ReadFile(t.disabled); err != nil || strings.TrimSpace(string(b)) != "0" || t.modprobe() == "" {
		return false
	}
	found, err := filepath.Glob(filepath.Join(t.modules, release, "kernel/net/ipv4/netfilter/ip_tables.ko*"))
	return err == nil && len(found) > 0
}

func (t tables) modprobe() string {
	for _, dir := range t.path {
		if p, err := exec.LookPath(filepath.Join(dir, "modprobe")); err == nil {
			return p
		}
	}
	return ""
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
