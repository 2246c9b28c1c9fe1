package guest

import (
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const (
	connmanUnit = "connman.service"
	connmanConf = "/etc/connman/main.conf"
	connmanKey  = "NetworkInterfaceBlacklist"
	// connmanDefault is what connman leaves alone where its file does not say.
	connmanDefault = "vmnet,vboxnet,virbr,ifb,ve-,vb-"
)

// connman tells connman, which would take the addresses off that the runtime has set, to leave our interfaces alone. A
// group that comes again adds to the first, and of a key the last value counts: so a block at the end is enough,
// with what the file's own line says.
func (b *builder) connman(n sysctl.GuestNetwork) {
	old := b.read(connmanConf)
	rest, at := cutBlock(splitLines(old))
	// Most guests have no such unit, and to look through all targets takes a while.
	runs := unitPath(b.tree, connmanUnit) != "" && enabled(b.tree, connmanUnit) || linked(b.tree, runlevels, "", func(name string) bool { return name == "connman" })
	if len(n.NICs) == 0 || !runs {
		switch {
		case at < 0:
		case len(rest) == 0:
			b.remove(connmanConf, "connman")
		default:
			b.write(connmanConf, joinLines(rest), "connman")
		}
		return
	}
	list := connmanDefault
	for _, line := range rest {
		if key, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == connmanKey {
			list = strings.TrimSpace(value)
		}
	}
	names := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ';' || r == ' ' })
	for _, nic := range n.NICs {
		if !slices.Contains(names, nic.Name) {
			names = append(names, nic.Name)
		}
	}
	b.write(connmanConf, joinLines(putBlock(rest, -1, []string{"[General]", connmanKey + "=" + strings.Join(names, ",")})), "connman")
}
