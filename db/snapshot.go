package db

import (
	"context"
	"database/sql"

	"github.com/sysctl-os/sysctl"
)

// Snapshots returns an instance's snapshots, the oldest first. One that is not there has none.
func (d *DB) Snapshots(ctx context.Context, instance int64) (list []sysctl.Snapshot, err error) {
	err = d.read(ctx, func(q querier) error {
		list, err = loadSnapshots(ctx, q, instance)
		return err
	})
	return list, err
}

// AddSnapshot notes a snapshot, whose layers have rows. A time that is zero becomes the present. The kind is Exists where
// the instance has one of that name, NotFound where the instance, a layer or a profile is absent.
func (d *DB) AddSnapshot(ctx context.Context, instance int64, s sysctl.Snapshot) error {
	return d.grow(ctx, func(t *tx) error { return t.insertSnapshot(ctx, instance, s) })
}

// SealInstance notes that an instance's upper is a layer from here on, the uppermost of its list, and that it runs no
// changed copies any more; and, where there is one, the snapshot that ends in that layer. Until Settled, Pending
// says that the upper is still to be moved. Kinds as AddSnapshot; Conflict where something is pending already.
func (d *DB) SealInstance(ctx context.Context, instance int64, l sysctl.Layer, s *sysctl.Snapshot) error {
	return d.grow(ctx, func(t *tx) error {
		if err := t.hasInstance(ctx, instance); err != nil {
			return err
		}
		if err := t.insertLayer(ctx, l); err != nil {
			return err
		}
		err := t.exec(ctx, `INSERT INTO instance_layers
			SELECT ?1, coalesce(max(position) + 1, 0), ?2 FROM instance_layers WHERE instance = ?1`, instance, l.ID)
		if err == nil {
			err = t.exec(ctx, "DELETE FROM instance_patched WHERE instance = ?", instance)
		}
		if err == nil {
			err = t.setPending(ctx, instance, l.ID)
		}
		if err == nil && s != nil {
			err = t.insertSnapshot(ctx, instance, *s)
		}
		return err
	})
}

// RestoreInstance makes an instance's layers and configuration those of a snapshot, and its interfaces nics, as ReplaceNICs
// does. Until Settled, Pending says that its upper is still to be dropped.
func (d *DB) RestoreInstance(ctx context.Context, instance int64, s sysctl.Snapshot, nics []ClaimNIC, mac MACFunc) error {
	return d.grow(ctx, func(t *tx) error {
		guest, err := guestText(s.Guest)
		if err == nil {
			err = t.update(ctx, instance, "guest", guest)
		}
		for _, table := range []string{"instance_layers", "instance_patched", "nics"} {
			if err == nil {
				err = t.exec(ctx, "DELETE FROM "+table+" WHERE instance = ?", instance)
			}
		}
		if err == nil {
			err = t.setLayers(ctx, "instance", instance, s.Layers)
		}
		if err == nil {
			err = t.setConfiguration(ctx, "instance", instance, s.Config, s.Devices)
		}
		if err == nil {
			err = t.setProfiles(ctx, "instance", instance, s.Profiles)
		}
		if err == nil {
			err = t.claimNICs(ctx, instance, nics, mac)
		}
		if err == nil {
			err = t.setPending(ctx, instance, "")
		}
		return err
	})
}

// Pending says what is still to be done to an instance's upper: nothing; it becomes a layer; or, where layer is "", it
// is dropped.
func (d *DB) Pending(ctx context.Context, instance int64) (layer string, pending bool, err error) {
	err = d.read(ctx, func(q querier) error {
		return each(ctx, q, "SELECT coalesce(layer, '') FROM instance_pending WHERE instance = ?", []any{instance},
			func(rows *sql.Rows) error { pending = true; return rows.Scan(&layer) })
	})
	return layer, pending, err
}

// Settled notes that what was pending has been done. That nothing was is success. A power cut may take it back: it can be
// done twice.
func (d *DB) Settled(ctx context.Context, instance int64) error {
	return d.writeSoon(ctx, func(t *tx) error { return t.exec(ctx, "DELETE FROM instance_pending WHERE instance = ?", instance) })
}

// RenameSnapshot gives a snapshot another name. The kind is Exists where the instance has another of that name, NotFound
// where it has none of the old one.
func (d *DB) RenameSnapshot(ctx context.Context, instance int64, name, to string) error {
	return d.write(ctx, func(t *tx) error {
		if name != to {
			if err := t.snapshotFree(ctx, instance, to); err != nil {
				return err
			}
		}
		res, err := t.ExecContext(ctx, "UPDATE snapshots SET name = ? WHERE instance = ? AND name = ?", to, instance, name)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return sysctl.E(sysctl.NotFound, "snapshot %q not found", name)
	})
}

// DeleteSnapshot forgets a snapshot. Absent is success. Its layers stay until they are deleted.
func (d *DB) DeleteSnapshot(ctx context.Context, instance int64, name string) error {
	return d.write(ctx, func(t *tx) error {
		return t.exec(ctx, "DELETE FROM snapshots WHERE instance = ? AND name = ?", instance, name)
	})
}

func (t *tx) setPending(ctx context.Context, instance int64, layer string) error {
	found, err := exists(ctx, t, "SELECT 1 FROM instance_pending WHERE instance = ?", instance)
	if err == nil && found {
		err = sysctl.E(sysctl.Conflict, "an earlier change of instance %d is not finished", instance)
	}
	if err != nil {
		return err
	}
	return t.exec(ctx, "INSERT INTO instance_pending VALUES (?, ?)", instance, orNull(layer))
}

func (t *tx) snapshotFree(ctx context.Context, instance int64, name string) error {
	taken, err := exists(ctx, t, "SELECT 1 FROM snapshots WHERE instance = ? AND name = ?", instance, name)
	if err == nil && taken {
		err = sysctl.E(sysctl.Exists, "snapshot %q exists already", name)
	}
	return err
}

func (t *tx) insertSnapshot(ctx context.Context, instance int64, s sysctl.Snapshot) error {
	if err := t.hasInstance(ctx, instance); err != nil {
		return err
	}
	if err := t.snapshotFree(ctx, instance, s.Name); err != nil {
		return err
	}
	guest, err := guestText(s.Guest)
	if err != nil {
		return err
	}
	var expires sql.NullInt64
	if !s.Expires.IsZero() {
		expires = sql.NullInt64{Int64: nanos(s.Expires), Valid: true}
	}
	res, err := t.ExecContext(ctx, "INSERT INTO snapshots (instance, name, guest, created, expires, scheduled) VALUES (?, ?, ?, ?, ?, ?)",
		instance, s.Name, guest, nanos(t.orNow(s.Created)), expires, s.Scheduled)
	if err != nil {
		return err
	}
	id, err := res.LastInsertId()
	if err == nil {
		err = t.setLayers(ctx, "snapshot", id, s.Layers)
	}
	if err == nil {
		err = t.setConfiguration(ctx, "snapshot", id, s.Config, s.Devices)
	}
	if err == nil {
		err = t.setProfiles(ctx, "snapshot", id, s.Profiles)
	}
	return err
}

// setLayers makes the list of an owner that has none.
func (t *tx) setLayers(ctx context.Context, prefix string, owner int64, layers []string) error {
	for i, layer := range layers {
		if err := t.hasLayer(ctx, layer); err != nil {
			return err
		}
		if err := t.exec(ctx, "INSERT INTO "+prefix+"_layers VALUES (?, ?, ?)", owner, i, layer); err != nil {
			return err
		}
	}
	return nil
}

func loadSnapshots(ctx context.Context, q querier, instance int64) ([]sysctl.Snapshot, error) {
	list := []sysctl.Snapshot{}
	byID := map[int64]int{}
	args := []any{instance}
	err := each(ctx, q, "SELECT id, name, guest, created, expires, scheduled FROM snapshots WHERE instance = ? ORDER BY id", args, func(rows *sql.Rows) error {
		s := sysctl.Snapshot{Layers: []string{}, Profiles: []string{}, Config: map[string]string{}, Devices: map[string]sysctl.Device{}}
		var id, created int64
		var expires sql.NullInt64
		var guest string
		if err := rows.Scan(&id, &s.Name, &guest, &created, &expires, &s.Scheduled); err != nil {
			return err
		}
		s.Created = fromNanos(created)
		if expires.Valid {
			s.Expires = fromNanos(expires.Int64)
		}
		byID[id] = len(list)
		err := parseGuest(guest, &s.Guest)
		list = append(list, s)
		return err
	})
	if err != nil || len(list) == 0 {
		return list, err
	}
	const where = " WHERE snapshot IN (SELECT id FROM snapshots WHERE instance = ?)"
	err = loadConfiguration(ctx, q, "snapshot", where, args, func(id int64) (map[string]string, map[string]sysctl.Device) {
		return list[byID[id]].Config, list[byID[id]].Devices
	})
	parts := func(column string, add func(s *sysctl.Snapshot, v string)) {
		if err != nil {
			return
		}
		query := "SELECT snapshot, " + column + " FROM snapshot_" + column + "s" + where + " ORDER BY snapshot, position"
		err = each(ctx, q, query, args, func(rows *sql.Rows) error {
			var id int64
			var v string
			err := rows.Scan(&id, &v)
			if err == nil {
				add(&list[byID[id]], v)
			}
			return err
		})
	}
	parts("layer", func(s *sysctl.Snapshot, v string) { s.Layers = append(s.Layers, v) })
	parts("profile", func(s *sysctl.Snapshot, v string) { s.Profiles = append(s.Profiles, v) })
	return list, err
}

// SnapshotCounts returns how many snapshots instances have, by id; one without any is not there.
func (d *DB) SnapshotCounts(ctx context.Context) (counts map[int64]int, err error) {
	counts = map[int64]int{}
	err = d.read(ctx, func(q querier) error {
		return each(ctx, q, "SELECT instance, count(*) FROM snapshots GROUP BY instance", nil, func(rows *sql.Rows) error {
			var id int64
			var n int
			err := rows.Scan(&id, &n)
			counts[id] = n
			return err
		})
	})
	return counts, err
}
