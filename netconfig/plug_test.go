package netconfig

import (
	"net"
	"net/netip"
	"os/exec"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/sysctl-os/sysctl"
)

// What is plugged into a running guest can say nothing before what it may say is set: its end on the host is down until then.
func TestPlugNIC(t *testing.T) {
	isolate(t)
	guest := exec.Command("cat")
	guest.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	stop, err := guest.StdinPipe()
	must(t, err)
	must(t, guest.Start())
	t.Cleanup(func() { stop.Close(); guest.Wait() })
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br"}}
	must(t, netlink.LinkAdd(bridge))
	must(t, netlink.LinkSetUp(bridge))
	n := sysctl.BootNIC{Device: "lan", Type: "veth", Link: "br", HostName: "end", Name: "eth1", MAC: "02:00:00:00:00:01",
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.77.0.2/24"), netip.MustParsePrefix("fd77::2/64")}, Gateway4: netip.MustParseAddr("10.77.0.1")}
	up := func() bool {
		t.Helper()
		link, err := netlink.LinkByName("end")
		must(t, err)
		return link.Attrs().Flags&net.FlagUp != 0
	}
	for range 2 {
		must(t, PlugNIC(t.Context(), guest.Process.Pid, n))
		if up() {
			t.Error("it is up before it is set")
		}
		if has, err := HasAddresses(t.Context(), guest.Process.Pid, n); !has || err != nil {
			t.Errorf("addresses: %v %v", has, err)
		}
		must(t, SetLink(t.Context(), "sysctl-plugtest", sysctl.Link{Name: "end"}))
		if !up() {
			t.Error("it is down when it is set")
		}
	}
	if err := SetLink(t.Context(), "sysctl-plugtest", sysctl.Link{Name: "end", VLAN: 7}); sysctl.KindOf(err) != sysctl.Conflict {
		t.Errorf("a VLAN on a bridge that filters none: %v", err)
	}
}
