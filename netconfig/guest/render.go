package guest

import (
	"bytes"
	"errors"
	"io/fs"
	"net/netip"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// The renderers Probe knows. None means that nobody in the guest can be told by files: the
// runtime sets addresses from outside.
const (
	Ifupdown = "ifupdown"
	Networkd = "networkd"
	None     = "none"
)

// Render returns the changes that make the guest's own files say n. It is idempotent: rendered
// into a tree they were applied to, it returns none. A guest that is not known (sysctl.Guest.Known)
// is left untouched; with a renderer other than Ifupdown and Networkd, host name, hosts and
// resolv.conf are written, and no interfaces. Without resolvers in n, the guest's stay as they are.
//
// Files and blocks of interfaces that are not in n any more are removed, as are those for another
// renderer than the guest's present one. It fails with Invalid, for all bad fields at once, where
// n cannot be said in configuration files.
func Render(t sysctl.Tree, g sysctl.Guest, n sysctl.GuestNetwork) ([]sysctl.Change, error) {
	if !g.Known() {
		return nil, nil
	}
	if err := check(n); err != nil {
		return nil, err
	}
	b := &builder{tree: t}
	dns := probeResolver(t, g)
	b.ifupdown(g, n, dns)
	b.networkd(g, n)
	b.hostname(g, n)
	b.hosts(n)
	b.resolver(dns, n)
	if b.err != nil {
		return nil, b.err
	}
	return b.changes, nil
}

// builder collects the changes that really change something. After an error it does nothing more.
type builder struct {
	tree    sysctl.Tree
	changes []sysctl.Change
	err     error
}

// read returns a file's content, "" where there is none.
func (b *builder) read(name string) string {
	if b.err != nil {
		return ""
	}
	data, err := b.tree.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.err = sysctl.Wrap(err, "read %s", name)
	}
	return string(data)
}

// write makes name a regular file with this content. A file that is there keeps its mode.
func (b *builder) write(name, content, why string) {
	if b.err != nil {
		return
	}
	c := sysctl.Change{Path: name, Data: []byte(content), Perm: 0o644, Why: why}
	if fi, err := b.tree.Lstat(name); err == nil && fi.Mode().IsRegular() {
		c.Perm = fi.Mode().Perm()
		old, err := b.tree.ReadFile(name)
		if err == nil && bytes.Equal(old, c.Data) {
			return
		}
	}
	b.changes = append(b.changes, c)
}

// link makes name a symbolic link.
func (b *builder) link(target, name, why string) {
	if b.err != nil {
		return
	}
	if old, err := b.tree.Readlink(name); err == nil && old == target {
		return
	}
	b.changes = append(b.changes, sysctl.Change{Path: name, Link: target, Why: why})
}

// remove removes name.
func (b *builder) remove(name, why string) {
	if b.err != nil {
		return
	}
	if _, err := b.tree.Lstat(name); err == nil {
		b.changes = append(b.changes, sysctl.Change{Path: name, Remove: true, Why: why})
	}
}

// check reports everything in n that would break, or break out of, a configuration file.
func check(n sysctl.GuestNetwork) error {
	var bad sysctl.FieldErrors
	if n.Hostname == "" || !isWord(n.Hostname) {
		bad.Add("name", "%q cannot be a host name", n.Hostname)
	}
	for _, d := range append([]string{n.Domain}, n.Search...) {
		if !isWord(d) {
			bad.Add("domain", "%q cannot be a domain", d)
		}
	}
	seen := map[string]bool{}
	for _, nic := range n.NICs {
		if nic.Name == "" || len(nic.Name) > 15 || !isWord(nic.Name) || strings.ContainsAny(nic.Name, "/:*?[") || nic.Name == "lo" || seen[nic.Name] {
			bad.Add("devices."+nic.Name, "%q cannot be the name of an interface, or is another's", nic.Name)
		}
		seen[nic.Name] = true
		checkAddresses(&bad, nic)
	}
	return bad.Err()
}

func checkAddresses(bad *sysctl.FieldErrors, nic sysctl.GuestNIC) {
	for _, a := range nic.Addresses {
		if !a.IsValid() || a.Addr().Is4In6() || a.Addr().Zone() != "" {
			bad.Add("devices."+nic.Name, "%s is not an address with a prefix length", a)
		}
	}
	for _, f := range []family{pick(nic, false), pick(nic, true)} {
		if !f.gateway.IsValid() {
			continue
		}
		if f.gateway.Is6() != f.v6 || f.gateway.Is4In6() || f.gateway.Zone() != "" {
			bad.Add("devices."+nic.Name, "gateway %s is of the wrong family", f.gateway)
		} else if len(f.addresses) == 0 {
			bad.Add("devices."+nic.Name, "gateway %s needs an address of its family", f.gateway)
		}
	}
}

// isWord reports whether s is one word of printable ASCII without quotes, backslashes or comment signs.
func isWord(s string) bool {
	for _, r := range s {
		if r <= ' ' || r > '~' || strings.ContainsRune("\"'`\\#$;=", r) {
			return false
		}
	}
	return true
}

// family is what an interface has of one address family.
type family struct {
	v6        bool
	addresses []netip.Prefix
	gateway   netip.Addr
	metric    int // of the default route; 0: the kernel's default
}

// families returns what the i-th interface of n has of IPv4 and of IPv6. Of several interfaces with
// a gateway the first wins: the others' default routes get a worse metric, for no two may have the same.
func families(n sysctl.GuestNetwork, i int) (v4, v6 family) {
	v4, v6 = pick(n.NICs[i], false), pick(n.NICs[i], true)
	for _, earlier := range n.NICs[:i] {
		if earlier.Gateway4.IsValid() {
			v4.metric += 100
		}
		if earlier.Gateway6.IsValid() {
			v6.metric = max(v6.metric, 1024) + 100 // 1024 is what the kernel gives the first
		}
	}
	return v4, v6
}

func pick(nic sysctl.GuestNIC, v6 bool) family {
	f := family{v6: v6, gateway: nic.Gateway4}
	if v6 {
		f.gateway = nic.Gateway6
	}
	for _, a := range nic.Addresses {
		if a.Addr().Is6() == v6 {
			f.addresses = append(f.addresses, a)
		}
	}
	return f
}

// gatewayAt returns the index of the address whose subnet the gateway is in, or -1: then the
// gateway must first be made reachable on the link. A link-local gateway is on every link.
func (f family) gatewayAt() int {
	if f.gateway.IsLinkLocalUnicast() && f.v6 {
		return 0
	}
	for i, a := range f.addresses {
		if a.Bits() < a.Addr().BitLen() && a.Contains(f.gateway) {
			return i
		}
	}
	return -1
}
