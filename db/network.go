package db

import (
	"context"
	"database/sql"

	"github.com/sysctl-os/sysctl"
)

const networkNames = "SELECT name FROM networks ORDER BY name"

// EnsureNetwork makes a network where there is none of its name, and returns the one there is: two processes
// that race agree. What is stored wins over n.
func (d *DB) EnsureNetwork(ctx context.Context, n sysctl.Network) (stored sysctl.Network, err error) {
	err = d.grow(ctx, func(t *tx) error {
		err := t.exec(ctx, `INSERT INTO networks (name, ipv4, ipv6, nat, mtu, nft_table, domain)
			VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING`,
			n.Name, prefixText(n.IPv4), prefixText(n.IPv6), n.NAT, n.MTU, n.Table, n.Domain)
		if err != nil {
			return err
		}
		stored, err = loadNetwork(ctx, t, n.Name)
		return err
	})
	return stored, err
}

// UpdateNetwork replaces everything of a network but its name. Claimed addresses stay. The kind is NotFound
// where there is none of that name.
func (d *DB) UpdateNetwork(ctx context.Context, n sysctl.Network) error {
	return d.write(ctx, func(t *tx) error {
		if _, err := loadNetwork(ctx, t, n.Name); err != nil {
			return err
		}
		return t.exec(ctx, "UPDATE networks SET ipv4 = ?, ipv6 = ?, nat = ?, mtu = ?, nft_table = ?, domain = ? WHERE name = ?",
			prefixText(n.IPv4), prefixText(n.IPv6), n.NAT, n.MTU, n.Table, n.Domain, n.Name)
	})
}

// Network returns a network. The kind is NotFound where there is none of that name.
func (d *DB) Network(ctx context.Context, name string) (n sysctl.Network, err error) {
	err = d.read(ctx, func(q querier) error {
		n, err = loadNetwork(ctx, q, name)
		return err
	})
	return n, err
}

// Networks returns all networks, sorted by name.
func (d *DB) Networks(ctx context.Context) (list []sysctl.Network, err error) {
	err = d.read(ctx, func(q querier) error {
		list, err = loadNetworks(ctx, q, "")
		return err
	})
	return list, err
}

// NetworkNICs returns the NICs that are on a network, by name of the instance, which may not be ready.
// It is empty for a network that does not exist.
func (d *DB) NetworkNICs(ctx context.Context, network string) (map[string][]sysctl.NIC, error) {
	nics := map[string][]sysctl.NIC{}
	err := d.read(ctx, func(q querier) error {
		query := "SELECT i.name, " + nicColumns + " FROM nics JOIN instances i ON i.id = nics.instance WHERE network = ? ORDER BY i.id, position"
		return each(ctx, q, query, []any{network}, func(rows *sql.Rows) error {
			var instance string
			nic, err := scanNIC(rows, &instance)
			nics[instance] = append(nics[instance], nic)
			return err
		})
	})
	return nics, err
}

func loadNetwork(ctx context.Context, q querier, name string) (sysctl.Network, error) {
	list, err := loadNetworks(ctx, q, " WHERE name = ?", name)
	if err == nil && len(list) == 0 {
		err = notFound(ctx, q, "network", name, networkNames, "sysctl network list")
	}
	if err != nil {
		return sysctl.Network{}, err
	}
	return list[0], nil
}

func loadNetworks(ctx context.Context, q querier, where string, args ...any) ([]sysctl.Network, error) {
	list := []sysctl.Network{}
	query := "SELECT name, ipv4, ipv6, nat, mtu, nft_table, domain FROM networks" + where + " ORDER BY name"
	err := each(ctx, q, query, args, func(rows *sql.Rows) error {
		var n sysctl.Network
		var v4, v6 string
		err := rows.Scan(&n.Name, &v4, &v6, &n.NAT, &n.MTU, &n.Table, &n.Domain)
		if err != nil {
			return err
		}
		if n.IPv4, err = parsePrefix(v4); err == nil {
			n.IPv6, err = parsePrefix(v6)
		}
		list = append(list, n)
		return err
	})
	return list, err
}
