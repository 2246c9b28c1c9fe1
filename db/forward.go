package db

import (
	"context"
	"database/sql"
	"net/netip"

	"github.com/sysctl-os/sysctl"
)

// PutForward makes a forward of a network what it is given as, with all its parts; mine are the ids of the instances that parts name. The kind is
// Conflict where another forward listens at the same address and port, NotFound where the network is not there.
func (d *DB) PutForward(ctx context.Context, network string, f sysctl.Forward, mine map[string]int64) error {
	return d.grow(ctx, func(t *tx) error {
		if _, err := loadNetwork(ctx, t, network); err != nil {
			return err
		}
		if err := t.portsFree(ctx, network, f); err != nil {
			return err
		}
		if err := t.exec(ctx, "DELETE FROM network_forwards WHERE network = ? AND listen = ?", network, f.Listen.String()); err != nil {
			return err
		}
		err := t.exec(ctx, "INSERT INTO network_forwards VALUES (?, ?, ?, ?)", network, f.Listen.String(), f.Description, addrText(f.Target))
		for _, p := range f.Ports {
			if err != nil {
				return err
			}
			target := addrText(p.Target)
			id := sql.NullInt64{}
			if p.Instance != "" {
				id, target = sql.NullInt64{Int64: mine[p.Instance], Valid: true}, sql.NullString{}
			}
			err = t.exec(ctx, "INSERT INTO network_forward_ports VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", network, f.Listen.String(), p.Protocol,
				p.Listen.First, p.Listen.Last, id, target, p.TargetPorts.First, p.TargetPorts.Last)
		}
		return err
	})
}

// portsFree reports another forward that gets what f is to get: at its address or at every address of the host.
func (t *tx) portsFree(ctx context.Context, network string, f sysctl.Forward) error {
	all, err := loadNetworks(ctx, t, "")
	if err != nil {
		return err
	}
	for _, n := range all {
		for _, other := range n.Forwards {
			same := n.Name == network && other.Listen == f.Listen
			if same || other.Listen.Is4() != f.Listen.Is4() || other.Listen != f.Listen && !other.Listen.IsUnspecified() && !f.Listen.IsUnspecified() {
				continue
			}
			if other.Target.IsValid() && f.Target.IsValid() {
				return sysctl.E(sysctl.Conflict, "everything at %s is led to %s by network %s", other.Listen, other.Target, n.Name).
					WithHint("sysctl network forward show %s %s", n.Name, other.Listen)
			}
			for _, p := range other.Ports {
				for _, q := range f.Ports {
					if p.Protocol == q.Protocol && p.Listen.Overlaps(q.Listen) {
						return sysctl.E(sysctl.Conflict, "%s port %s of %s is led elsewhere by network %s", p.Protocol, p.Listen, other.Listen, n.Name).
							WithHint("sysctl network forward show %s %s", n.Name, other.Listen)
					}
				}
			}
		}
	}
	return nil
}

// DeleteForward deletes a forward. Absent is success.
func (d *DB) DeleteForward(ctx context.Context, network string, listen netip.Addr) error {
	return d.write(ctx, func(t *tx) error {
		return t.exec(ctx, "DELETE FROM network_forwards WHERE network = ? AND listen = ?", network, listen.String())
	})
}

// loadForwards reads the forwards of all networks, or of those that where (with its args) chooses. A part that names an instance has the address
// that the instance has on the network, of the family that is listened in, or none.
func loadForwards(ctx context.Context, q querier, where string, args []any, of func(network string) *[]sysctl.Forward) error {
	err := each(ctx, q, "SELECT network, listen, description, target FROM network_forwards"+where+" ORDER BY network, listen", args, func(rows *sql.Rows) error {
		var network, listen string
		var target sql.NullString
		f := sysctl.Forward{Ports: []sysctl.ForwardPort{}}
		err := rows.Scan(&network, &listen, &f.Description, &target)
		if err == nil {
			f.Listen, err = netip.ParseAddr(listen)
		}
		if err == nil {
			f.Target, err = parseAddr(target)
		}
		list := of(network)
		*list = append(*list, f)
		return err
	})
	if err != nil {
		return err
	}
	query := `SELECT network, listen, protocol, first, last, target_first, target_last, target, (SELECT name FROM instances WHERE id = p.instance),
		(SELECT CASE WHEN p.listen LIKE '%:%' THEN n.ipv6 ELSE n.ipv4 END FROM nics n WHERE n.instance = p.instance AND n.network = p.network ORDER BY position LIMIT 1)
		FROM network_forward_ports p` + where + " ORDER BY network, listen, protocol, first"
	return each(ctx, q, query, args, func(rows *sql.Rows) error {
		var network, listen string
		var target, instance, held sql.NullString
		var p sysctl.ForwardPort
		err := rows.Scan(&network, &listen, &p.Protocol, &p.Listen.First, &p.Listen.Last, &p.TargetPorts.First, &p.TargetPorts.Last, &target, &instance, &held)
		if p.Instance = instance.String; instance.Valid {
			target = held
		}
		if err == nil {
			p.Target, err = parseAddr(target)
		}
		for i, f := range *of(network) {
			if f.Listen.String() == listen {
				(*of(network))[i].Ports = append(f.Ports, p)
			}
		}
		return err
	})
}
