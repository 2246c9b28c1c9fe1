package db

import (
	"context"
	"database/sql"
	"time"
)

// Expired is a snapshot whose time has come.
type Expired struct{ Instance, Snapshot string }

// ExpiredSnapshots returns the snapshots that are to be deleted, by instance and age.
func (d *DB) ExpiredSnapshots(ctx context.Context, now time.Time) (list []Expired, err error) {
	err = d.read(ctx, func(q querier) error {
		return each(ctx, q, `SELECT i.name, s.name FROM snapshots s JOIN instances i ON i.id = s.instance
			WHERE s.expires <= ? AND i.ready = 1 ORDER BY i.name, s.id`, []any{nanos(now)}, func(rows *sql.Rows) error {
			var e Expired
			err := rows.Scan(&e.Instance, &e.Snapshot)
			list = append(list, e)
			return err
		})
	})
	return list, err
}

// Schedule returns the schedule of an instance that was seen last, and up to when it has been kept; "" where none was.
func (d *DB) Schedule(ctx context.Context, instance int64) (schedule string, kept time.Time, err error) {
	err = d.read(ctx, func(q querier) error {
		return each(ctx, q, "SELECT schedule, kept FROM instance_schedules WHERE instance = ?", []any{instance}, func(rows *sql.Rows) error {
			var n int64
			err := rows.Scan(&schedule, &n)
			kept = fromNanos(n)
			return err
		})
	})
	return schedule, kept, err
}

// SetSchedule notes up to when an instance's schedule has been kept; "" forgets it. A power cut may take it back.
func (d *DB) SetSchedule(ctx context.Context, instance int64, schedule string, kept time.Time) error {
	return d.writeSoon(ctx, func(t *tx) error {
		if schedule == "" {
			return t.exec(ctx, "DELETE FROM instance_schedules WHERE instance = ?", instance)
		}
		return t.exec(ctx, "INSERT OR REPLACE INTO instance_schedules VALUES (?, ?, ?)", instance, schedule, nanos(kept))
	})
}
