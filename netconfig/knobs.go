package netconfig

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// netKnobs is where the kernel's network settings of the calling thread's namespace are.
const netKnobs = "/proc/sys/net/"

// ensureForwarding lets the host route for n.
func ensureForwarding(n sysctl.Network) error {
	if n.IPv4.IsValid() {
		if err := setKnob("ipv4/ip_forward", "1"); err != nil {
			return err
		}
	}
	if !n.IPv6.IsValid() {
		return nil
	}
	const all = "ipv6/conf/all/forwarding"
	if v, err := readKnob(all); err != nil || v == "1" {
		return err
	}
	if err := keepRouterAdverts(n.Bridge); err != nil {
		return err
	}
	return setKnob(all, "1")
}

// keepRouterAdverts sets accept_ra to 2 on every interface that takes router advertisements now.
// At 1 the kernel stops taking them, and drops the default route it has from them, the moment
// forwarding is switched on.
func keepRouterAdverts(bridge string) error {
	interfaces, err := os.ReadDir(netKnobs + "ipv6/conf")
	if err != nil {
		return sysctl.Wrap(err, "list interfaces")
	}
	for _, e := range interfaces {
		name := e.Name()
		if name == "all" || name == "default" || name == "lo" || name == bridge {
			continue
		}
		takes, err := readKnob("ipv6/conf/" + name + "/accept_ra")
		if errors.Is(err, fs.ErrNotExist) {
			continue // the interface has gone
		}
		if err != nil {
			return err
		}
		forwards, err := readKnob("ipv6/conf/" + name + "/forwarding")
		if err != nil || takes != "1" || forwards != "0" {
			continue
		}
		if err := setKnob("ipv6/conf/"+name+"/accept_ra", "2"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// ensureBridgeKnobs prepares the bridge for IPv6, before it is set up: on even where new
// interfaces have none, deaf to routers (a guest could pose as one), and without duplicate
// address detection.
func ensureBridgeKnobs(bridge string) error {
	if _, err := os.Stat(netKnobs + "ipv6"); errors.Is(err, fs.ErrNotExist) {
		return sysctl.E(sysctl.Unsupported, "network %s: this host has no IPv6", bridge).
			WithHint("set ipv6.address=none on the network")
	}
	for _, k := range []struct{ name, value string }{{"disable_ipv6", "0"}, {"accept_ra", "0"}, {"accept_dad", "0"}} {
		if err := setKnob("ipv6/conf/"+bridge+"/"+k.name, k.value); err != nil {
			return err
		}
	}
	return nil
}

// setKnob writes a setting unless it has the value already.
func setKnob(name, value string) error {
	old, err := readKnob(name)
	if err != nil || old == value {
		return err
	}
	if err := os.WriteFile(netKnobs+name, []byte(value), 0); err != nil {
		return knobError(name, value, err)
	}
	return nil
}

func readKnob(name string) (string, error) {
	b, err := os.ReadFile(netKnobs + name)
	return strings.TrimSpace(string(b)), sysctl.Wrap(err, "read setting net.%s", strings.ReplaceAll(name, "/", "."))
}

func knobError(name, value string, err error) error {
	key := "net." + strings.ReplaceAll(name, "/", ".")
	kind := sysctl.KindOf(err)
	if kind == sysctl.Internal {
		kind = sysctl.Unsupported // /proc/sys is read-only, as in another container
	}
	return sysctl.E(kind, "set %s=%s: %w", key, value, err).WithHint("sysctl -w %s=%s", key, value)
}
