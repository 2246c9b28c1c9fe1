package db

import (
	"context"
	"database/sql"

	"github.com/sysctl-os/sysctl"
)

// PowerOn notes that an instance is being started. A power cut may take it back. The kind is NotFound where there is no such
// instance.
func (d *DB) PowerOn(ctx context.Context, id int64) error {
	return d.writeSoon(ctx, func(t *tx) error { return t.update(ctx, id, "power", true) })
}

// SetPower notes that an instance was stopped, or, with on, that it was and counts as running: in both cases no restart of it
// is due any more. Otherwise as PowerOn.
func (d *DB) SetPower(ctx context.Context, id int64, on bool) error {
	return d.writeSoon(ctx, func(t *tx) error {
		err := t.update(ctx, id, "power", on)
		if err == nil {
			err = t.exec(ctx, "UPDATE crashes SET due = 0 WHERE instance = ? AND due <> 0", id)
		}
		return err
	})
}

// Powered returns the instances that were started and not stopped since, by id.
func (d *DB) Powered(ctx context.Context) (on map[int64]bool, err error) {
	on = map[int64]bool{}
	err = d.read(ctx, func(q querier) error {
		return each(ctx, q, "SELECT id FROM instances WHERE power = 1", nil, func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			on[id] = true
			return err
		})
	})
	return on, err
}

// Crashes returns the crashes of an instance since somebody has started it; one that is not there has none.
func (d *DB) Crashes(ctx context.Context, id int64) (c sysctl.Crashes, err error) {
	err = d.read(ctx, func(q querier) error {
		return each(ctx, q, "SELECT count, last, cause, due, run FROM crashes WHERE instance = ?", []any{id}, func(rows *sql.Rows) error {
			var last, due int64
			err := rows.Scan(&c.Count, &last, &c.Cause, &due, &c.Run)
			c.Last = fromNanos(last)
			if due != 0 {
				c.Due = fromNanos(due)
			}
			return err
		})
	})
	return c, err
}

// SetCrashes notes the crashes of an instance, and whether it counts as running. Otherwise as PowerOn.
func (d *DB) SetCrashes(ctx context.Context, id int64, c sysctl.Crashes, on bool) error {
	return d.writeSoon(ctx, func(t *tx) error {
		var due int64
		if !c.Due.IsZero() {
			due = nanos(c.Due)
		}
		err := t.update(ctx, id, "power", on)
		if err == nil {
			err = t.exec(ctx, "INSERT OR REPLACE INTO crashes VALUES (?, ?, ?, ?, ?, ?)", id, c.Count, nanos(c.Last), c.Cause, due, c.Run)
		}
		return err
	})
}

// ForgetCrashes notes that an instance has none. Nearly always it has none, and nothing is written.
func (d *DB) ForgetCrashes(ctx context.Context, id int64) error {
	was, err := d.Crashes(ctx, id)
	if err != nil || was.Count == 0 {
		return err
	}
	return d.writeSoon(ctx, func(t *tx) error { return t.exec(ctx, "DELETE FROM crashes WHERE instance = ?", id) })
}
