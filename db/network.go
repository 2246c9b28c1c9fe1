package db

import (
	"context"
	"database/sql"
	"net/netip"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const networkNames = "SELECT name FROM networks ORDER BY name"

// EnsureNetwork makes a network where there is none of its name, and returns the one there is: two processes
// that race agree. What is stored wins over n.
func (d *DB) EnsureNetwork(ctx context.Context, n sysctl.Network) (stored sysctl.Network, err error) {
	err = d.grow(ctx, func(t *tx) error {
		found, err := exists(ctx, t, "SELECT 1 FROM networks WHERE name = ?", n.Name)
		if err == nil && !found {
			err = t.insertNetwork(ctx, n)
		}
		if err != nil {
			return err
		}
		stored, err = loadNetwork(ctx, t, n.Name)
		return err
	})
	return stored, err
}

// CreateNetwork makes a network. The kind is Exists where the name is taken.
func (d *DB) CreateNetwork(ctx context.Context, n sysctl.Network) error {
	return d.grow(ctx, func(t *tx) error {
		taken, err := exists(ctx, t, "SELECT 1 FROM networks WHERE name = ?", n.Name)
		if err == nil && taken {
			err = sysctl.E(sysctl.Exists, "network %q exists already", n.Name).WithHint("sysctl network edit %s", n.Name)
		}
		if err != nil {
			return err
		}
		return t.insertNetwork(ctx, n)
	})
}

func (t *tx) insertNetwork(ctx context.Context, n sysctl.Network) error {
	if err := t.exec(ctx, "INSERT INTO networks (name, description) VALUES (?, ?)", n.Name, n.Description); err != nil {
		return err
	}
	return t.setNetworkConfig(ctx, n)
}

func (t *tx) setNetworkConfig(ctx context.Context, n sysctl.Network) error {
	if err := t.exec(ctx, "DELETE FROM network_config WHERE network = ?", n.Name); err != nil {
		return err
	}
	for key, value := range n.Config {
		if err := t.exec(ctx, "INSERT INTO network_config VALUES (?, ?, ?)", n.Name, key, value); err != nil {
			return err
		}
	}
	return nil
}

// Reclaim is what an instance's interfaces claim anew.
type Reclaim struct {
	Instance int64
	NICs     []ClaimNIC
}

// UpdateNetwork replaces everything of a network but its name, and in the same transaction the interfaces of instances: those
// of all of them are free first. With again not nil, it is Busy where an instance that is not among them is on the network. The kind is
// NotFound where there is none of that name; the others are those of ReplaceNICs.
func (d *DB) UpdateNetwork(ctx context.Context, n sysctl.Network, again []Reclaim, mac MACFunc) error {
	return d.grow(ctx, func(t *tx) error {
		if _, err := loadNetwork(ctx, t, n.Name); err != nil {
			return err
		}
		if err := t.exec(ctx, "UPDATE networks SET description = ? WHERE name = ?", n.Description, n.Name); err != nil {
			return err
		}
		if err := t.setNetworkConfig(ctx, n); err != nil {
			return err
		}
		for _, r := range again {
			if err := t.exec(ctx, "DELETE FROM nics WHERE instance = ?", r.Instance); err != nil {
				return err
			}
		}
		if again != nil {
			newcomers, err := texts(ctx, t, "SELECT i.name FROM nics n JOIN instances i ON i.id = n.instance WHERE n.network = ?", n.Name)
			if err == nil && len(newcomers) > 0 {
				err = sysctl.E(sysctl.Busy, "instance %s has just come to network %s: try again", newcomers[0], n.Name)
			}
			if err != nil {
				return err
			}
		}
		for _, r := range again {
			if err := t.claimNICs(ctx, r.Instance, r.NICs, mac); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteNetwork deletes a network. The kind is Conflict where instances or profiles use it, NotFound where there is
// none of that name.
func (d *DB) DeleteNetwork(ctx context.Context, name string) error {
	return d.write(ctx, func(t *tx) error {
		if _, err := loadNetwork(ctx, t, name); err != nil {
			return err
		}
		users, err := networkUsers(ctx, t, name)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			return sysctl.E(sysctl.Conflict, "network %q is used by: %s", name, strings.Join(users, ", ")).WithHint("sysctl network show %s", name)
		}
		return t.exec(ctx, "DELETE FROM networks WHERE name = ?", name)
	})
}

// RenameNetwork gives a network that nobody uses another name. The kinds are those of DeleteNetwork, and Exists.
func (d *DB) RenameNetwork(ctx context.Context, name, to string) error {
	return d.grow(ctx, func(t *tx) error {
		if _, err := loadNetwork(ctx, t, name); err != nil {
			return err
		}
		users, err := networkUsers(ctx, t, name)
		if err == nil && len(users) > 0 {
			err = sysctl.E(sysctl.Conflict, "network %q is used by: %s", name, strings.Join(users, ", ")).WithHint("sysctl network show %s", name)
		}
		taken := false
		if err == nil {
			taken, err = exists(ctx, t, "SELECT 1 FROM networks WHERE name = ?", to)
		}
		if err == nil && taken {
			err = sysctl.E(sysctl.Exists, "network %q exists already", to)
		}
		if err != nil {
			return err
		}
		for _, statement := range []string{
			"PRAGMA defer_foreign_keys = ON",
			"UPDATE networks SET name = ?1 WHERE name = ?2",
			"UPDATE network_config SET network = ?1 WHERE network = ?2",
			"UPDATE network_forwards SET network = ?1 WHERE network = ?2",
			"UPDATE network_forward_ports SET network = ?1 WHERE network = ?2",
		} {
			args := []any{to, name}
			if strings.HasPrefix(statement, "PRAGMA") {
				args = nil
			}
			if err := t.exec(ctx, statement, args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// networkUsers are the instances with a NIC on a network, half-made ones too, and the profiles that name it.
func networkUsers(ctx context.Context, q querier, name string) ([]string, error) {
	return texts(ctx, q, `SELECT DISTINCT i.name FROM nics n JOIN instances i ON i.id = n.instance WHERE n.network = ?1
		UNION ALL SELECT DISTINCT 'profile ' || profile FROM profile_device_options WHERE key = 'network' AND value = ?1
		ORDER BY 1`, name)
}

// NetworkUsers returns who uses a network: names of instances, and "profile NAME".
func (d *DB) NetworkUsers(ctx context.Context, name string) (users []string, err error) {
	err = d.read(ctx, func(q querier) error {
		users, err = networkUsers(ctx, q, name)
		return err
	})
	return users, err
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

// loadNetworks reads networks with their keys, their forwards and what the transactions here need of these: the two subnets.
func loadNetworks(ctx context.Context, q querier, where string, args ...any) ([]sysctl.Network, error) {
	list := []sysctl.Network{}
	byName := map[string]int{}
	err := each(ctx, q, "SELECT name, description FROM networks"+where+" ORDER BY name", args, func(rows *sql.Rows) error {
		n := sysctl.Network{Config: map[string]string{}}
		err := rows.Scan(&n.Name, &n.Description)
		byName[n.Name] = len(list)
		list = append(list, n)
		return err
	})
	if err != nil {
		return nil, err
	}
	where = strings.Replace(where, "name", "network", 1)
	err = each(ctx, q, "SELECT network, key, value FROM network_config"+where, args, func(rows *sql.Rows) error {
		var name, key, value string
		if err := rows.Scan(&name, &key, &value); err != nil {
			return err
		}
		list[byName[name]].Config[key] = value
		return nil
	})
	if err == nil {
		err = loadForwards(ctx, q, where, args, func(network string) *[]sysctl.Forward { return &list[byName[network]].Forwards })
	}
	for i, n := range list {
		list[i].IPv4, list[i].IPv6 = subnet(n.Config["ipv4.address"]), subnet(n.Config["ipv6.address"])
	}
	return list, err
}

// subnet is what a key says of a network's own address: "none" is none.
func subnet(value string) netip.Prefix {
	p, _ := netip.ParsePrefix(value)
	return p
}
