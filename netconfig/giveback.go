package netconfig

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/sysctl-os/sysctl"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// card describes an interface of the host.
func card(link netlink.Link) sysctl.Card {
	at := link.Attrs()
	c := sysctl.Card{Name: at.Name, Index: at.Index, MTU: at.MTU, MAC: at.HardwareAddr.String()}
	if link.Type() != "device" {
		c.Kind = link.Type()
	}
	return c
}

// GiveBack makes interfaces that an instance had the host's again, down, with their own names, MACs and MTUs, whatever
// the guest has done to them. guest is the network namespace of the instance, in which no process runs any more; nil: it
// is gone, and the kernel has brought back what is no virtual interface, under the guest's name. One that is the
// host's already stays as it is. One that is nowhere, because the guest has removed it or put it elsewhere, is success: there is
// nothing to give back. The kind is Conflict where the host has another interface of the name. Idempotent.
func GiveBack(ctx context.Context, guest *os.File, cards []sysctl.Card) error {
	var all []error
	for _, c := range cards {
		err := ctx.Err()
		if err == nil {
			err = giveBack(guest, c)
		}
		all = append(all, sysctl.Wrap(err, "give back interface %s", c.Name))
	}
	return errors.Join(all...)
}

func giveBack(guest *os.File, c sysctl.Card) error {
	var link netlink.Link
	var err error
	name := ""
	if guest != nil {
		if name, err = moveOut(guest, c); err != nil {
			return err
		}
	}
	if name != "" {
		link, err = netlink.LinkByName(name)
	} else if link, err = netlink.LinkByIndex(c.Index); err == nil && (!same(link, c) || link.Attrs().Name == c.Name) {
		return nil
	}
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return rename(link, c)
}

// moveOut moves the interface from the guest's namespace into ours, under a name that nobody has. It returns the name, or ""
// where the interface is not in there.
func moveOut(guest *os.File, c sysctl.Card) (name string, err error) {
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return "", err
	}
	defer home.Close()
	err = inNamespace(guest, func() error {
		link, err := netlink.LinkByIndex(c.Index)
		if gone(err) || err == nil && !same(link, c) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := netlink.LinkSetDown(link); err != nil {
			return err
		}
		free := freeName()
		if err := netlink.LinkSetName(link, free); err != nil {
			return err
		}
		if err := netlink.LinkSetNsFd(link, int(home.Fd())); err != nil {
			return err
		}
		name = free
		return nil
	})
	return name, err
}

// freeName is a name of an interface that nobody has.
func freeName() string { return fmt.Sprintf("sy%.10s", rand.Text()) }

// inNamespace runs f in another network namespace. A thread that cannot come back ends.
func inNamespace(ns *os.File, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- err
			return // still locked
		}
		defer home.Close()
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err == nil {
			err = f()
			if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
				done <- errors.Join(err, back)
				return // still locked
			}
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

// rename makes an interface of the host what it was.
func rename(link netlink.Link, c sysctl.Card) error {
	if err := netlink.LinkSetDown(link); err != nil { // what is up cannot be renamed
		return err
	}
	if mac, err := net.ParseMAC(c.MAC); err == nil && link.Attrs().HardwareAddr.String() != c.MAC {
		if err := netlink.LinkSetHardwareAddr(link, mac); err != nil {
			return err
		}
	}
	if link.Attrs().MTU != c.MTU {
		if err := netlink.LinkSetMTU(link, c.MTU); err != nil {
			return err
		}
	}
	err := netlink.LinkSetName(link, c.Name)
	if errors.Is(err, unix.EEXIST) {
		return sysctl.E(sysctl.Conflict, "the host has another one of that name; it is called %s", link.Attrs().Name).
			WithHint("ip link set %s name %s", link.Attrs().Name, c.Name)
	}
	return err
}

// same reports whether a link can be the card: a guest that has removed it may have made another with its index.
func same(link netlink.Link, c sysctl.Card) bool { return card(link).Kind == c.Kind }

// gone reports the absence of an interface.
func gone(err error) bool {
	var missing netlink.LinkNotFoundError
	return errors.As(err, &missing) || errors.Is(err, unix.ENODEV)
}
