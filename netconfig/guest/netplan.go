package guest

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const (
	netplanDir  = "/etc/netplan"
	netplanOurs = "90-sysctl.yaml"
	whyNetplan  = "network (netplan)"
)

// netplan writes one file. netplan merges all, and joins their lists of addresses and routes: so
// what other files say of our interfaces is taken out of them, and a file that says nothing else is
// moved aside.
func (b *builder) netplan(g sysctl.Guest, n sysctl.GuestNetwork, _ resolver) {
	mine := named(n)
	want := map[string]string{}
	if len(n.NICs) > 0 {
		want[netplanOurs] = netplanFile(n, b.oldNetplan(g, n))
	}
	isYAML := func(base string) bool { return strings.HasSuffix(base, ".yaml") }
	b.own(directory{path: netplanDir, why: whyNetplan, mode: secret, is: isYAML,
		foreign: func(_, content string) bool {
			devices := netplanDevices(content)
			return len(devices) > 0 && !slices.ContainsFunc(devices, func(d netplanDevice) bool { return !d.speaksOf(n) })
		}}, want)
	if g.Renderer != Netplan {
		return
	}
	for _, name := range regularFiles(b.tree, netplanDir, isYAML) {
		content := b.read(name)
		if strings.HasPrefix(content, mark) || content == "" {
			continue
		}
		if kept := netplanWithout(content, n); kept != content {
			b.write(name, kept, whyNetplan)
		}
		b.checkNetplan(name, b.read(name), mine)
	}
}

// checkNetplan refuses a file that speaks of our interfaces in a form that is not understood here:
// braces, or names that stand for several sections.
func (b *builder) checkNetplan(name, content string, mine func(string) bool) {
	for _, line := range splitLines(content) {
		text, _, _ := strings.Cut(line, "#")
		key, value, _ := strings.Cut(text, ":")
		if k := strings.TrimSpace(key); (k == "network" || k == "ethernets") && strings.Contains(value, "{") {
			for _, word := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune("{}[], :\"'", r) }) {
				if mine(word) && b.err == nil {
					b.err = sysctl.E(sysctl.Conflict, "%s: says what %s is, in braces: write it as a block, or remove it", name, word)
				}
			}
		}
	}
}

// oldNetplan reports whether netplan is older than 0.96, as in the first Ubuntu 18.04: it refuses whole files for a key that it does
// not know. What it has no words for is refused.
func (b *builder) oldNetplan(g sysctl.Guest, n sysctl.GuestNetwork) bool {
	data, err := b.tree.ReadFile("/var/lib/dpkg/status")
	if err != nil || g.Renderer != Netplan {
		return false
	}
	if v := packageVersion(data, "netplan.io"); v.text == "" || v.atLeast(0, 96, 0) {
		return false
	}
	for i, nic := range n.NICs {
		v4, v6 := families(n, i)
		if v4.dhcp() && v4.metric != 0 {
			b.cannotSay(nic.Name, "DHCP beside another default route, whose metric netplan knows since 0.96")
		}
		for _, h := range append(v4.hops(false, true), v6.hops(false, true)...) {
			if !h.via.IsValid() {
				b.cannotSay(nic.Name, "route to %s without a next hop, which netplan knows since 0.96", h.dst)
			}
		}
	}
	return true
}

func netplanFile(n sysctl.GuestNetwork, old bool) string {
	out := []string{mark + ": changes are lost.", "network:", "  version: 2", "  ethernets:"}
	for i, nic := range n.NICs {
		v4, v6 := families(n, i)
		out = append(out, "    "+nic.Name+":", "      dhcp4: "+trueFalse(v4.dhcp()), "      dhcp6: "+trueFalse(v6.dhcp()),
			"      accept-ra: "+trueFalse(v6.dhcp() || v6.slaac()))
		if v4.dhcp() && !old {
			// Between those of static default routes (families).
			metric := fmt.Sprint("        route-metric: ", v4.metric+10)
			out = append(out, "      dhcp4-overrides:", metric)
			if v6.dhcp() {
				out = append(out, "      dhcp6-overrides:", metric) // netplan refuses different ones
			}
		}
		if nic.MTU != 0 {
			out = append(out, fmt.Sprint("      mtu: ", nic.MTU))
		}
		if len(nic.Addresses) > 0 {
			out = append(out, "      addresses:")
			for _, a := range nic.Addresses {
				out = append(out, `      - "`+a.String()+`"`)
			}
		}
		hops := append(v4.hops(true, true), v6.hops(true, true)...)
		if len(hops) > 0 {
			out = append(out, "      routes:")
		}
		for _, h := range hops {
			// "default" is unknown to old versions.
			out = append(out, `      - to: "`+h.dst.String()+`"`)
			if h.via.IsValid() {
				out = append(out, `        via: "`+h.via.String()+`"`)
			} else {
				out = append(out, "        scope: link")
			}
			if h.onlink {
				out = append(out, "        on-link: true")
			}
			if h.metric != 0 {
				out = append(out, fmt.Sprint("        metric: ", h.metric))
			}
		}
	}
	return joinLines(out)
}

func trueFalse(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// netplanDevice is one interface of a netplan file: the lines from its name on, to the next of the
// same depth or less.
type netplanDevice struct {
	section  string // "ethernets", …
	from, to int    // lines; to is excluded
	names    []string
}

var netplanName = lazily(`(?:^|[\s{,])(?:set-name|name):\s*["']?([^"'\s,}]+)`)

// speaksOf reports whether the device is, or matches, one of n's interfaces.
func (d netplanDevice) speaksOf(n sysctl.GuestNetwork) bool {
	return d.section == "ethernets" && slices.ContainsFunc(d.names, func(pattern string) bool {
		return slices.ContainsFunc(n.NICs, func(nic sysctl.GuestNIC) bool {
			ok, err := path.Match(pattern, nic.Name)
			return ok && err == nil
		})
	})
}

// netplanDevices returns the interfaces a file defines, by the indentation of its lines.
func netplanDevices(content string) []netplanDevice {
	lines := splitLines(content)
	var out []netplanDevice
	section, sectionDepth, depth := "", -1, -1
	for i, line := range lines {
		text := strings.TrimSpace(line)
		if text == "" || text[0] == '#' {
			continue
		}
		indent := len(line) - len(strings.TrimLeft(line, " "))
		key, value, isKey := strings.Cut(text, ":")
		value = strings.TrimSpace(value)
		if len(out) > 0 && out[len(out)-1].to < 0 && indent <= depth {
			out[len(out)-1].to = i
		}
		switch {
		case !isKey:
		case indent <= sectionDepth || section == "":
			section, sectionDepth, depth = "", -1, -1
			if indent > 0 && (value == "" || value[0] == '#') {
				section, sectionDepth = key, indent
			}
			continue
		case depth < 0 || indent == depth:
			depth = indent
			out = append(out, netplanDevice{section: section, from: i, to: -1, names: []string{strings.Trim(key, `"'`)}})
		}
		if len(out) > 0 && out[len(out)-1].to < 0 {
			for _, m := range netplanName().FindAllStringSubmatch(line, -1) {
				out[len(out)-1].names = append(out[len(out)-1].names, m[1])
			}
		}
	}
	if len(out) > 0 && out[len(out)-1].to < 0 {
		out[len(out)-1].to = len(lines)
	}
	return out
}

// netplanWithout removes n's interfaces from a file that has others too, and the line that opens
// a section of which nothing is left.
func netplanWithout(content string, n sysctl.GuestNetwork) string {
	lines := splitLines(content)
	left := map[string]int{}
	gone := make([]bool, len(lines))
	ours := map[string]bool{}
	for _, d := range netplanDevices(content) {
		if !d.speaksOf(n) {
			left[d.section]++
			continue
		}
		ours[d.section] = true
		for i := d.from; i < d.to; i++ {
			gone[i] = true
		}
	}
	var out []string
	for i, line := range lines {
		key := strings.TrimSuffix(strings.TrimSpace(line), ":")
		if !gone[i] && !(ours[key] && left[key] == 0) {
			out = append(out, line)
		}
	}
	return joinLines(out)
}
