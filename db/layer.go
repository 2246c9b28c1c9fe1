package db

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
)

// Layers returns all layers, sorted by id.
func (d *DB) Layers(ctx context.Context) ([]sysctl.Layer, error) {
	return d.layers(ctx, "")
}

// UnusedLayers returns the layers that no image, instance or snapshot names and that are not copies for one, sorted by id.
func (d *DB) UnusedLayers(ctx context.Context) ([]sysctl.Layer, error) {
	return d.layers(ctx, ` WHERE NOT EXISTS (SELECT 1 FROM image_layers WHERE layer = layers.id)
		AND NOT EXISTS (SELECT 1 FROM instance_layers WHERE layer = layers.id)
		AND NOT EXISTS (SELECT 1 FROM snapshot_layers WHERE layer = layers.id)
		AND NOT EXISTS (SELECT 1 FROM patched_layers WHERE layer = layers.id)
		AND NOT EXISTS (SELECT 1 FROM instance_patched WHERE layer = layers.id)
		AND NOT EXISTS (SELECT 1 FROM kept_layers WHERE layer = layers.id AND until > ?)`, nanos(d.now()))
}

// Layer returns a layer. The kind is NotFound where there is none.
func (d *DB) Layer(ctx context.Context, id string) (sysctl.Layer, error) {
	list, err := d.layers(ctx, " WHERE id = ?", id)
	if err == nil && len(list) == 0 {
		err = noLayer(id)
	}
	if err != nil {
		return sysctl.Layer{}, err
	}
	return list[0], nil
}

// AddLayer makes a layer that no image names yet. One of the same id stays as it is. A time that is zero becomes the present.
func (d *DB) AddLayer(ctx context.Context, l sysctl.Layer) error {
	return d.grow(ctx, func(t *tx) error { return t.insertLayer(ctx, l) })
}

// KeepLayer makes a layer that nothing names and that stays until then all the same, or until DropLayers.
func (d *DB) KeepLayer(ctx context.Context, l sysctl.Layer, until time.Time) error {
	return d.grow(ctx, func(t *tx) error {
		err := t.insertLayer(ctx, l)
		if err == nil {
			err = t.exec(ctx, "INSERT OR REPLACE INTO kept_layers VALUES (?, ?)", l.ID, nanos(until))
		}
		return err
	})
}

// DropLayers forgets that the layers are to stay. What is named otherwise stays.
func (d *DB) DropLayers(ctx context.Context, ids []string) error {
	return d.write(ctx, func(t *tx) error {
		for _, id := range ids {
			if err := t.exec(ctx, "DELETE FROM kept_layers WHERE layer = ?", id); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) insertLayer(ctx context.Context, l sysctl.Layer) error {
	return t.exec(ctx, "INSERT INTO layers (id, size, created) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
		l.ID, l.Size, nanos(t.orNow(l.Created)))
}

// DeleteLayer forgets a layer. Absent is success. The kind is Conflict where an image, instance or snapshot names it: then
// its files are needed. After success nothing can come to need them, until AddImage brings the layer again: the
// caller keeps that apart from the removal of the files.
func (d *DB) DeleteLayer(ctx context.Context, id string) error {
	return d.write(ctx, func(t *tx) error {
		users, err := texts(ctx, t, `SELECT 'image ' || substr(image, 1, 12) FROM image_layers WHERE layer = ?1
			UNION SELECT 'instance ' || i.name FROM instance_layers l JOIN instances i ON i.id = l.instance WHERE l.layer = ?1
			UNION SELECT 'snapshot ' || i.name || '/' || s.name FROM snapshot_layers l JOIN snapshots s ON s.id = l.snapshot
				JOIN instances i ON i.id = s.instance WHERE l.layer = ?1
			UNION SELECT 'changed copies for an image or instance' FROM patched_layers WHERE layer = ?1
			UNION SELECT 'instance ' || i.name FROM instance_patched p JOIN instances i ON i.id = p.instance WHERE p.layer = ?1
			ORDER BY 1`, id)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			return sysctl.E(sysctl.Conflict, "layer %s is used by %s", sysctl.ShortID(id), strings.Join(users, ", "))
		}
		return t.exec(ctx, "DELETE FROM layers WHERE id = ?", id)
	})
}

func (d *DB) layers(ctx context.Context, where string, args ...any) ([]sysctl.Layer, error) {
	list := []sysctl.Layer{}
	err := d.read(ctx, func(q querier) error {
		return each(ctx, q, "SELECT id, size, created FROM layers"+where+" ORDER BY id", args, func(rows *sql.Rows) error {
			var l sysctl.Layer
			var created int64
			err := rows.Scan(&l.ID, &l.Size, &created)
			l.Created = fromNanos(created)
			list = append(list, l)
			return err
		})
	})
	return list, err
}

func (t *tx) hasLayer(ctx context.Context, id string) error {
	found, err := exists(ctx, t, "SELECT 1 FROM layers WHERE id = ?", id)
	if err == nil && !found {
		err = noLayer(id)
	}
	return err
}

func noLayer(id string) error {
	return sysctl.E(sysctl.NotFound, "layer %s not found", sysctl.ShortID(id)).WithHint("sysctl image list")
}
