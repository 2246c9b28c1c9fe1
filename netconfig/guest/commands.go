package guest

import "github.com/sysctl-os/sysctl"

// NICCommands are what makes a running guest's own tools set up an interface that has come, by the files that Render has written, and let
// go of one that is going to leave. Each works only when those before it have. nil: this guest's have no command for one interface
// alone.
func NICCommands(g sysctl.Guest, nic string) (up, down [][]string) {
	switch g.Renderer {
	case Ifupdown:
		// It may believe that it has set up one of that name, which is gone.
		force := "--force" // ifup(8) of Debian
		if g.Dialect == "busybox" || g.Dialect == "ng" {
			force = "-f"
		}
		return [][]string{{"ifup", force, nic}}, [][]string{{"ifdown", force, nic}}
	case Networkd:
		return [][]string{{"networkctl", "reload"}, {"networkctl", "reconfigure", nic}}, nil // since systemd 244
	case Netplan:
		return [][]string{{"netplan", "generate"}, {"networkctl", "reload"}, {"networkctl", "reconfigure", nic}}, nil
	case NetworkManager:
		return [][]string{{"nmcli", "connection", "reload"}, {"nmcli", "device", "connect", nic}}, [][]string{{"nmcli", "device", "disconnect", nic}}
	case IfcfgRedHat:
		return [][]string{{"ifup", nic}}, [][]string{{"ifdown", nic}}
	case IfcfgSUSE:
		if g.Dialect == "wicked" {
			return [][]string{{"wicked", "ifup", nic}}, [][]string{{"wicked", "ifdown", nic}}
		}
		return [][]string{{"ifup", nic}}, [][]string{{"ifdown", nic}}
	case Netifrc:
		if g.Dialect == "baselayout1" {
			return [][]string{{"/etc/init.d/net." + nic, "restart"}}, [][]string{{"/etc/init.d/net." + nic, "stop"}}
		}
		return [][]string{{"rc-service", "net." + nic, "restart"}}, [][]string{{"rc-service", "net." + nic, "stop"}}
	}
	return nil, nil
}
