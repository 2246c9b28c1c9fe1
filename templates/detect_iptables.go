package templates

import "strings"

// iptables finds out which of the kernel's tables the guest's iptables speaks to: it is a link to the program of one kind
// or the other, or a program of the time before there were two.
func (d *detector) iptables() {
	for _, name := range []string{"/sbin/iptables", "/usr/sbin/iptables"} {
		at := d.resolve(name)
		if at == "" {
			continue
		}
		d.g.Iptables = "legacy"
		if strings.Contains(base(at), "nft") {
			d.g.Iptables = "nft"
		}
		d.saw("%s: iptables for %s tables", at, d.g.Iptables)
		return
	}
}
