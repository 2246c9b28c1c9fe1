package db

import (
	"context"
	"database/sql"

	"github.com/sysctl-os/sysctl"
)

const instanceNames = "SELECT name FROM instances ORDER BY name"

// Instance returns an instance, ready or not. The kind is NotFound where there is none of that name.
func (d *DB) Instance(ctx context.Context, name string) (inst sysctl.Instance, err error) {
	err = d.read(ctx, func(q querier) error {
		list, err := loadInstances(ctx, q, "name", name)
		if err == nil && len(list) == 0 {
			err = notFound(ctx, q, "instance", name, instanceNames, "sysctl list")
		}
		if err == nil {
			inst = list[0]
		}
		return err
	})
	return inst, err
}

// InstanceByID returns an instance, ready or not. The kind is NotFound where there is none.
func (d *DB) InstanceByID(ctx context.Context, id int64) (inst sysctl.Instance, err error) {
	err = d.read(ctx, func(q querier) error {
		inst, err = instanceByID(ctx, q, id)
		return err
	})
	return inst, err
}

// Instances returns all instances, ready or not, sorted by name. It takes the same number of queries for
// any number of them.
func (d *DB) Instances(ctx context.Context) (list []sysctl.Instance, err error) {
	err = d.read(ctx, func(q querier) error {
		list, err = loadInstances(ctx, q, "", nil)
		return err
	})
	return list, err
}

func instanceByID(ctx context.Context, q querier, id int64) (sysctl.Instance, error) {
	list, err := loadInstances(ctx, q, "id", id)
	if err == nil && len(list) == 0 {
		err = noInstance(id)
	}
	if err != nil {
		return sysctl.Instance{}, err
	}
	return list[0], nil
}

func noInstance(id int64) error {
	return sysctl.E(sysctl.NotFound, "instance %d not found", id).WithHint("sysctl list")
}

// loadInstances reads the instances whose column has the value, or all where column is "".
func loadInstances(ctx context.Context, q querier, column string, value any) ([]sysctl.Instance, error) {
	query := `SELECT id, name, ready, ephemeral, image_id, template, guest,
		coalesce(id_base, shared_ids.base), coalesce(id_size, shared_ids.size), shared_ids.base IS NOT NULL, created
		FROM instances LEFT JOIN shared_ids ON shared_ids.instance = instances.id`
	var args []any
	if column != "" {
		query += " WHERE " + column + " = ?"
		args = []any{value}
	}
	list := []sysctl.Instance{}
	err := each(ctx, q, query+" ORDER BY name", args, func(rows *sql.Rows) error {
		inst, err := scanInstance(rows)
		list = append(list, inst)
		return err
	})
	if err != nil || len(list) == 0 {
		return list, err
	}
	byID := make(map[int64]*sysctl.Instance, len(list))
	for i := range list {
		byID[list[i].ID] = &list[i]
	}
	where := ""
	if column != "" { // both columns it may be are unique
		where, args = " WHERE instance = ?", []any{list[0].ID}
	}
	return list, loadParts(ctx, q, where, args, byID)
}

func scanInstance(rows *sql.Rows) (sysctl.Instance, error) {
	inst := sysctl.Instance{
		Layers: []string{}, Profiles: []string{}, NICs: []sysctl.NIC{},
		Config: map[string]string{}, Devices: map[string]sysctl.Device{},
	}
	var guest string
	var created int64
	var base, size sql.NullInt64
	var shared bool
	err := rows.Scan(&inst.ID, &inst.Name, &inst.Ready, &inst.Ephemeral, &inst.Image, &inst.Template, &guest,
		&base, &size, &shared, &created)
	if err != nil {
		return inst, err
	}
	inst.IDMap = sysctl.IDMap{Base: uint32(base.Int64), Size: uint32(size.Int64), Shared: shared}
	inst.Created = fromNanos(created)
	return inst, parseGuest(guest, &inst.Guest)
}

// loadParts reads what the tables around instances hold of the instances in byID, which are all there are
// or the one that where chooses.
func loadParts(ctx context.Context, q querier, where string, args []any, byID map[int64]*sysctl.Instance) error {
	err := loadConfiguration(ctx, q, "instance", where, args,
		func(id int64) (map[string]string, map[string]sysctl.Device) { return byID[id].Config, byID[id].Devices })
	if err != nil {
		return err
	}
	list := func(query string, add func(inst *sysctl.Instance, s string)) error {
		return each(ctx, q, query+where+" ORDER BY instance, position", args, func(rows *sql.Rows) error {
			var id int64
			var s string
			if err := rows.Scan(&id, &s); err != nil {
				return err
			}
			add(byID[id], s)
			return nil
		})
	}
	err = list("SELECT instance, profile FROM instance_profiles",
		func(inst *sysctl.Instance, s string) { inst.Profiles = append(inst.Profiles, s) })
	if err != nil {
		return err
	}
	err = list("SELECT instance, layer FROM instance_layers",
		func(inst *sysctl.Instance, s string) { inst.Layers = append(inst.Layers, s) })
	if err != nil {
		return err
	}
	if err := loadPatched(ctx, q, where, args, byID); err != nil {
		return err
	}
	query := "SELECT instance, " + nicColumns + " FROM nics" + where + " ORDER BY instance, position"
	return each(ctx, q, query, args, func(rows *sql.Rows) error {
		var id int64
		nic, err := scanNIC(rows, &id)
		if err != nil {
			return err
		}
		byID[id].NICs = append(byID[id].NICs, nic)
		return nil
	})
}

// MarkRunning sets the ready bit of an instance that was made and started, and tells of its run (RunStarted), in one
// transaction. The kind is NotFound where there is no such instance.
func (d *DB) MarkRunning(ctx context.Context, id int64, run string) error {
	return d.write(ctx, func(t *tx) error {
		err := t.update(ctx, id, "ready", true)
		if err == nil {
			err = t.runStarted(ctx, id, run)
		}
		return err
	})
}

// MarkReady sets or clears the ready bit. The kind is NotFound where there is no such instance.
func (d *DB) MarkReady(ctx context.Context, id int64, ready bool) error {
	return d.write(ctx, func(t *tx) error { return t.update(ctx, id, "ready", ready) })
}

// MarkAllReady sets the ready bit of all of them, or of none. The kind is NotFound where there is no such instance.
func (d *DB) MarkAllReady(ctx context.Context, ids []int64) error {
	return d.write(ctx, func(t *tx) error {
		for _, id := range ids {
			if err := t.update(ctx, id, "ready", true); err != nil {
				return err
			}
		}
		return nil
	})
}

// RenameInstance gives an instance another name. To have that name already is success. The kind is Exists
// where it is another's, NotFound where there is no such instance.
func (d *DB) RenameInstance(ctx context.Context, id int64, to string) error {
	return d.write(ctx, func(t *tx) error {
		if err := t.nameFree(ctx, to, id); err != nil {
			return err
		}
		return t.update(ctx, id, "name", to)
	})
}

// SetInstanceConfig replaces an instance's own configuration and devices. The kind is NotFound where there is
// no such instance.
func (d *DB) SetInstanceConfig(ctx context.Context, id int64, config map[string]string, devices map[string]sysctl.Device) error {
	return d.grow(ctx, func(t *tx) error {
		if err := t.hasInstance(ctx, id); err != nil {
			return err
		}
		if err := t.setConfiguration(ctx, "instance", id, config, devices); err != nil {
			return err
		}
		return t.tell(ctx, id, sysctl.InstanceUpdated)
	})
}

// SetInstanceProfiles replaces an instance's list of profiles. The kind is NotFound where there is no such
// instance or profile, Invalid where one is listed twice.
func (d *DB) SetInstanceProfiles(ctx context.Context, id int64, profiles []string) error {
	return d.grow(ctx, func(t *tx) error {
		if err := t.hasInstance(ctx, id); err != nil {
			return err
		}
		if err := t.setProfiles(ctx, "instance", id, profiles); err != nil {
			return err
		}
		return t.tell(ctx, id, sysctl.InstanceUpdated)
	})
}

// SetInstanceGuest replaces what was detected of the guest, without waiting for the disk: it can be detected again. The
// kind is NotFound where there is no such instance.
func (d *DB) SetInstanceGuest(ctx context.Context, id int64, guest sysctl.Guest) error {
	return d.writeSoon(ctx, func(t *tx) error {
		text, err := guestText(guest)
		if err != nil {
			return err
		}
		return t.update(ctx, id, "guest", text)
	})
}

// DeleteInstance forgets an instance and frees its name, addresses and id range. Absent is success. Its layers
// stay until they are deleted.
func (d *DB) DeleteInstance(ctx context.Context, id int64) error {
	return d.write(ctx, func(t *tx) error { return t.exec(ctx, "DELETE FROM instances WHERE id = ?", id) })
}

// update sets one column of an instance.
func (t *tx) update(ctx context.Context, id int64, column string, value any) error {
	res, err := t.ExecContext(ctx, "UPDATE instances SET "+column+" = ? WHERE id = ?", value, id)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return noInstance(id)
}

func (t *tx) hasInstance(ctx context.Context, id int64) error {
	found, err := exists(ctx, t, "SELECT 1 FROM instances WHERE id = ?", id)
	if err == nil && !found {
		err = noInstance(id)
	}
	return err
}

// nameFree fails with Exists where an instance other than except has the name.
func (t *tx) nameFree(ctx context.Context, name string, except int64) error {
	taken, unready := false, false
	err := each(ctx, t, "SELECT NOT ready FROM instances WHERE name = ? AND id <> ?", []any{name, except},
		func(rows *sql.Rows) error { taken = true; return rows.Scan(&unready) })
	switch {
	case err != nil:
		return err
	case unready:
		return sysctl.E(sysctl.Exists, "instance %q exists already: it is being made or deleted, or that was interrupted", name).
			WithHint("sysctl delete %s", name)
	case taken:
		return sysctl.E(sysctl.Exists, "instance %q exists already", name).WithHint("sysctl list")
	}
	return nil
}

// setProfiles replaces the list of an instance or snapshot.
func (t *tx) setProfiles(ctx context.Context, prefix string, id int64, profiles []string) error {
	if err := t.exec(ctx, "DELETE FROM "+prefix+"_profiles WHERE "+prefix+" = ?", id); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, name := range profiles {
		if seen[name] {
			return sysctl.E(sysctl.Invalid, "profile %q is listed twice", name)
		}
		seen[name] = true
		if err := t.hasProfile(ctx, name); err != nil {
			return err
		}
		if err := t.exec(ctx, "INSERT INTO "+prefix+"_profiles VALUES (?, ?, ?)", id, i, name); err != nil {
			return err
		}
	}
	return nil
}
