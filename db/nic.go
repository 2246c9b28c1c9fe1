package db

import (
	"context"
	"database/sql"
	"net/netip"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// ClaimNIC is one interface that a claim asks for. A valid address is claimed as it is; where it is not valid
// and there is a picker, the picker chooses; else there is none.
type ClaimNIC struct {
	NIC                sysctl.NIC
	PickIPv4, PickIPv6 sysctl.AddressPicker
	OwnMAC             bool // the interface has a MAC address already: none is made up
}

// ReplaceNICs gives an instance other interfaces: what it had claimed is free first, for itself too. It returns
// what was claimed, in the order given. Kinds and rules for pickers and mac are those of ClaimInstance; NotFound
// is also an absent instance.
func (d *DB) ReplaceNICs(ctx context.Context, id int64, nics []ClaimNIC, mac MACFunc) (claimed []sysctl.NIC, err error) {
	err = d.grow(ctx, func(t *tx) error {
		if err := t.hasInstance(ctx, id); err != nil {
			return err
		}
		if err := t.exec(ctx, "DELETE FROM nics WHERE instance = ?", id); err != nil {
			return err
		}
		if err := t.claimNICs(ctx, id, nics, mac); err != nil {
			return err
		}
		inst, err := instanceByID(ctx, t, id)
		claimed = inst.NICs
		return err
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

const nicColumns = "device, coalesce(network, ''), nics.name, coalesce(mac, ''), nics.ipv4, nics.ipv6"

// scanNIC reads one column more, before nicColumns: whose NIC it is.
func scanNIC(rows *sql.Rows, owner any) (nic sysctl.NIC, err error) {
	var v4, v6 sql.NullString
	if err = rows.Scan(owner, &nic.Device, &nic.Network, &nic.Name, &nic.MAC, &v4, &v6); err != nil {
		return nic, err
	}
	if nic.IPv4, err = parseAddr(v4); err == nil {
		nic.IPv6, err = parseAddr(v6)
	}
	return nic, err
}

// claimNICs makes the rows of an instance that has none.
func (t *tx) claimNICs(ctx context.Context, id int64, nics []ClaimNIC, mac MACFunc) error {
	seen := map[string]bool{}
	for i, c := range nics {
		n := c.NIC
		if seen[n.Device] {
			return sysctl.E(sysctl.Invalid, "device %q is listed twice", n.Device)
		}
		seen[n.Device] = true
		if n.MAC == "" && mac != nil && !c.OwnMAC {
			n.MAC = mac(id, n.Device)
		}
		n.MAC = strings.ToLower(n.MAC)
		if err := t.macFree(ctx, n.MAC); err != nil {
			return err
		}
		own, err := t.ownAddresses(ctx, n.Network)
		if err != nil {
			return err
		}
		reserved := slices.Concat(own, given(nics, i))
		if n.IPv4, err = t.address(ctx, n.Network, "ipv4", n.IPv4, c.PickIPv4, own, reserved); err != nil {
			return sysctl.Wrap(err, "device %s", n.Device)
		}
		if n.IPv6, err = t.address(ctx, n.Network, "ipv6", n.IPv6, c.PickIPv6, own, reserved); err != nil {
			return sysctl.Wrap(err, "device %s", n.Device)
		}
		err = t.exec(ctx, "INSERT INTO nics (instance, position, device, network, name, mac, ipv4, ipv6) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			id, i, n.Device, orNull(n.Network), n.Name, orNull(n.MAC), addrText(n.IPv4), addrText(n.IPv6))
		if err != nil {
			return err
		}
	}
	return nil
}

// given returns the addresses that NICs of the claim other than the i-th name for the same network: pickers
// keep off them.
func given(nics []ClaimNIC, i int) []netip.Addr {
	var list []netip.Addr
	for j, c := range nics {
		if j != i && c.NIC.Network == nics[i].NIC.Network {
			list = append(list, c.NIC.IPv4, c.NIC.IPv6)
		}
	}
	return list
}

// ownAddresses returns a network's own two addresses, valid or not. "" is no managed network.
func (t *tx) ownAddresses(ctx context.Context, network string) ([]netip.Addr, error) {
	if network == "" {
		return nil, nil
	}
	n, err := loadNetwork(ctx, t, network)
	return []netip.Addr{n.IPv4.Addr(), n.IPv6.Addr()}, err
}

// address returns the address that is given, if it is free, or a picked one, or none. column is the family's.
// Off managed networks everything is free.
func (t *tx) address(ctx context.Context, network, column string, given netip.Addr, pick sysctl.AddressPicker,
	own, reserved []netip.Addr) (netip.Addr, error) {
	a := given.Unmap()
	if !a.IsValid() {
		if pick == nil {
			return a, nil
		}
		taken, err := t.takenAddresses(ctx, network, column, reserved)
		if err != nil {
			return a, err
		}
		a, err = pick(func(a netip.Addr) bool { return taken[a.Unmap()] })
		if err != nil {
			return a, err
		}
		a = a.Unmap()
	}
	switch {
	case !a.IsValid():
		return a, nil
	case column == "ipv4" && !a.Is4():
		return a, sysctl.E(sysctl.Invalid, "address %s is no IPv4 address", a)
	case column == "ipv6" && a.Is4():
		return a, sysctl.E(sysctl.Invalid, "address %s is no IPv6 address", a)
	case network == "":
		return a, nil
	}
	for _, o := range own {
		if a == o {
			return a, sysctl.E(sysctl.Exists, "address %s is the one of network %s itself", a, network)
		}
	}
	return a, t.free(ctx, network, column, a)
}

// free fails with Exists, naming the holder, where an address of a managed network is claimed.
func (t *tx) free(ctx context.Context, network, column string, a netip.Addr) error {
	holder, err := texts(ctx, t, "SELECT i.name FROM nics n JOIN instances i ON i.id = n.instance WHERE n.network = ? AND n."+column+" = ?",
		network, addrText(a))
	if err == nil && len(holder) > 0 {
		err = sysctl.E(sysctl.Exists, "address %s of network %s is taken by instance %s", a, network, holder[0]).
			WithHint("sysctl network show %s", network)
	}
	return err
}

func (t *tx) takenAddresses(ctx context.Context, network, column string, reserved []netip.Addr) (map[netip.Addr]bool, error) {
	taken := map[netip.Addr]bool{}
	for _, a := range reserved {
		taken[a.Unmap()] = true
	}
	err := each(ctx, t, "SELECT "+column+" FROM nics WHERE network = ? AND "+column+" IS NOT NULL", []any{network},
		func(rows *sql.Rows) error {
			var s sql.NullString
			if err := rows.Scan(&s); err != nil {
				return err
			}
			a, err := parseAddr(s)
			taken[a] = true
			return err
		})
	return taken, err
}

func (t *tx) macFree(ctx context.Context, mac string) error {
	holder, err := texts(ctx, t, "SELECT i.name FROM nics n JOIN instances i ON i.id = n.instance WHERE n.mac = ?", orNull(mac))
	if err == nil && len(holder) > 0 {
		err = sysctl.E(sysctl.Exists, "MAC %s is taken by instance %s", mac, holder[0]).WithHint("sysctl info %s", holder[0])
	}
	return err
}
