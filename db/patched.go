package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// PatchedLayer is what was found in a list of layers, and the layer of changed copies that lies on top of them.
type PatchedLayer struct {
	Edition int    // of what found it
	Layer   string // Layer.ID; "": there is nothing to change
	Files   map[string][]sysctl.Patch
	Unsure  []string
}

// baseOf names a list of layers.
func baseOf(layers []string) string { return strings.Join(layers, " ") }

// PatchedLayer returns what was found in a list of layers, lowest first. The kind is NotFound where nobody has looked.
func (d *DB) PatchedLayer(ctx context.Context, layers []string) (PatchedLayer, error) {
	var p PatchedLayer
	found := false
	err := d.read(ctx, func(q querier) error {
		return each(ctx, q, "SELECT edition, layer, files, unsure FROM patched_layers WHERE base = ?", []any{baseOf(layers)},
			func(rows *sql.Rows) error {
				found = true
				var layer sql.NullString
				var files, unsure string
				if err := rows.Scan(&p.Edition, &layer, &files, &unsure); err != nil {
					return err
				}
				p.Layer = layer.String
				if err := json.Unmarshal([]byte(files), &p.Files); err != nil {
					return err
				}
				return json.Unmarshal([]byte(unsure), &p.Unsure)
			})
	})
	if err == nil && !found {
		err = sysctl.E(sysctl.NotFound, "nobody has looked into these layers")
	}
	return p, err
}

// SetPatchedLayer notes what was found in a list of layers, in place of what was found before, and makes the row of the
// layer of copies where it is absent.
func (d *DB) SetPatchedLayer(ctx context.Context, layers []string, p PatchedLayer, l sysctl.Layer) error {
	files, err := json.Marshal(p.Files)
	if err != nil {
		return err
	}
	unsure, err := json.Marshal(p.Unsure)
	if err != nil {
		return err
	}
	return d.grow(ctx, func(t *tx) error {
		if p.Layer != "" {
			err := t.exec(ctx, "INSERT INTO layers (id, size, created) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
				l.ID, l.Size, nanos(t.orNow(l.Created)))
			if err != nil {
				return err
			}
		}
		return t.exec(ctx, "INSERT OR REPLACE INTO patched_layers (base, edition, layer, files, unsure) VALUES (?, ?, ?, ?, ?)",
			baseOf(layers), p.Edition, sql.NullString{String: p.Layer, Valid: p.Layer != ""}, string(files), string(unsure))
	})
}

// ForgetPatchedLayers forgets what was found in lists of layers that no image and no instance consists of any more. Their
// layers of copies stay until they are deleted.
func (d *DB) ForgetPatchedLayers(ctx context.Context) error {
	const stale = ` FROM patched_layers WHERE base NOT IN (
		SELECT group_concat(layer, ' ' ORDER BY position) FROM image_layers GROUP BY image
		UNION SELECT group_concat(layer, ' ' ORDER BY position) FROM instance_layers GROUP BY instance)`
	var any bool
	err := d.read(ctx, func(q querier) (err error) {
		any, err = exists(ctx, q, "SELECT 1"+stale)
		return err
	})
	if err != nil || !any {
		return err
	}
	return d.write(ctx, func(t *tx) error { return t.exec(ctx, "DELETE"+stale) })
}

// SetInstancePatched notes what an instance runs changed copies of. The kind is NotFound where there is no such instance.
func (d *DB) SetInstancePatched(ctx context.Context, id int64, p sysctl.Patched) error {
	unsure, err := json.Marshal(p.Unsure)
	if err != nil {
		return err
	}
	return d.write(ctx, func(t *tx) error {
		if err := t.hasInstance(ctx, id); err != nil {
			return err
		}
		if !p.Any() {
			return t.exec(ctx, "DELETE FROM instance_patched WHERE instance = ?", id)
		}
		return t.exec(ctx, "INSERT OR REPLACE INTO instance_patched (instance, layer, files, own, unsure) VALUES (?, ?, ?, ?, ?)",
			id, sql.NullString{String: p.Layer, Valid: p.Layer != ""}, p.Files, p.Own, string(unsure))
	})
}

// loadPatched reads it of the instances in byID.
func loadPatched(ctx context.Context, q querier, where string, args []any, byID map[int64]*sysctl.Instance) error {
	query := "SELECT instance, layer, files, own, unsure FROM instance_patched" + where
	return each(ctx, q, query, args, func(rows *sql.Rows) error {
		var id int64
		var layer sql.NullString
		var unsure string
		var p sysctl.Patched
		if err := rows.Scan(&id, &layer, &p.Files, &p.Own, &unsure); err != nil {
			return err
		}
		p.Layer = layer.String
		if err := json.Unmarshal([]byte(unsure), &p.Unsure); err != nil {
			return err
		}
		if p.Unsure == nil {
			p.Unsure = []string{}
		}
		byID[id].Patched = p
		return nil
	})
}
