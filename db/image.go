package db

import (
	"context"
	"database/sql"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// minPrefix is how many digits of an image's id must be given for it to be looked for.
const minPrefix = 4

// AddImage makes an image and those of the layers that are absent; i.Layers may name others that are there.
// Times that are zero become the present. An image of the same id stays as it is. In either case the aliases
// move to it. The kind is NotFound where i.Layers names a layer that is neither there nor given.
func (d *DB) AddImage(ctx context.Context, i sysctl.Image, layers []sysctl.Layer) error {
	return d.grow(ctx, func(t *tx) error {
		for _, l := range layers {
			if err := t.insertLayer(ctx, l); err != nil {
				return err
			}
		}
		if err := t.insertImage(ctx, i); err != nil {
			return err
		}
		for _, alias := range i.Aliases {
			if err := t.setAlias(ctx, alias, i.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) insertImage(ctx context.Context, i sysctl.Image) error {
	guest, err := guestText(i.Guest)
	if err != nil {
		return err
	}
	res, err := t.ExecContext(ctx, `INSERT INTO images (id, arch, guest, description, template, source, size, created)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		i.ID, i.Arch, guest, i.Description, i.Template, i.Source, i.Size, nanos(t.orNow(i.Created)))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	for n, layer := range i.Layers {
		if err := t.hasLayer(ctx, layer); err != nil {
			return err
		}
		if err := t.exec(ctx, "INSERT INTO image_layers VALUES (?, ?, ?)", i.ID, n, layer); err != nil {
			return err
		}
	}
	return nil
}

// SetAlias makes alias a name of the image with that id, and of no other. The kind is NotFound where there is none.
func (d *DB) SetAlias(ctx context.Context, alias, image string) error {
	return d.write(ctx, func(t *tx) error {
		found, err := exists(ctx, t, "SELECT 1 FROM images WHERE id = ?", image)
		if err == nil && !found {
			err = sysctl.E(sysctl.NotFound, "image %s not found", sysctl.ShortID(image)).WithHint("sysctl image list")
		}
		if err != nil {
			return err
		}
		return t.setAlias(ctx, alias, image)
	})
}

func (t *tx) setAlias(ctx context.Context, alias, image string) error {
	return t.exec(ctx, "INSERT INTO image_aliases (alias, image) VALUES (?, ?) ON CONFLICT (alias) DO UPDATE SET image = excluded.image",
		alias, image)
}

// RemoveAlias forgets one alias; its image stays. Absent is success.
func (d *DB) RemoveAlias(ctx context.Context, alias string) error {
	return d.write(ctx, func(t *tx) error { return t.exec(ctx, "DELETE FROM image_aliases WHERE alias = ?", alias) })
}

// DeleteImage forgets an image by its id, with its aliases. Absent is success. Its layers stay until they are
// deleted; instances made from it live on.
func (d *DB) DeleteImage(ctx context.Context, id string) error {
	return d.write(ctx, func(t *tx) error { return t.exec(ctx, "DELETE FROM images WHERE id = ?", id) })
}

// Image returns the image that ref means: an alias, else an id, else the beginning, of at least 4 digits, of
// one id. The kind is NotFound where it means none, Invalid where it is the beginning of several ids.
func (d *DB) Image(ctx context.Context, ref string) (i sysctl.Image, err error) {
	err = d.read(ctx, func(q querier) error {
		id, err := imageID(ctx, q, ref)
		if err != nil {
			return err
		}
		list, err := loadImages(ctx, q, id)
		if err == nil {
			i = list[0] // the snapshot that had the id has the row
		}
		return err
	})
	return i, err
}

// Images returns all images, the newest first.
func (d *DB) Images(ctx context.Context) (list []sysctl.Image, err error) {
	err = d.read(ctx, func(q querier) error {
		list, err = loadImages(ctx, q, "")
		return err
	})
	return list, err
}

func imageID(ctx context.Context, q querier, ref string) (string, error) {
	for _, query := range []string{"SELECT image FROM image_aliases WHERE alias = ?", "SELECT id FROM images WHERE id = ?"} {
		if exact, err := texts(ctx, q, query, ref); err != nil || len(exact) > 0 {
			return strings.Join(exact, ""), err // there is at most one
		}
	}
	if len(ref) >= minPrefix {
		ids, err := texts(ctx, q, "SELECT id FROM images WHERE substr(id, 1, ?) = ? ORDER BY id", len(ref), ref)
		if err != nil {
			return "", err
		}
		if len(ids) == 1 {
			return ids[0], nil
		}
		if len(ids) > 1 {
			return "", sysctl.E(sysctl.Invalid, "image %q is ambiguous: %d ids begin so", ref, len(ids)).WithHint("sysctl image list")
		}
	}
	return "", notFound(ctx, q, "image", ref, "SELECT alias FROM image_aliases ORDER BY alias", "sysctl image list")
}

// loadImages reads one image, or all where id is "".
func loadImages(ctx context.Context, q querier, id string) ([]sysctl.Image, error) {
	where, parts := "", ""
	var args []any
	if id != "" {
		where, parts, args = " WHERE id = ?", " WHERE image = ?", []any{id}
	}
	list := []sysctl.Image{}
	byID := map[string]int{}
	query := "SELECT id, arch, guest, description, template, source, size, created FROM images" + where + " ORDER BY created DESC, id"
	err := each(ctx, q, query, args, func(rows *sql.Rows) error {
		i := sysctl.Image{Aliases: []string{}, Layers: []string{}}
		var guest string
		var created int64
		if err := rows.Scan(&i.ID, &i.Arch, &guest, &i.Description, &i.Template, &i.Source, &i.Size, &created); err != nil {
			return err
		}
		i.Created = fromNanos(created)
		byID[i.ID] = len(list)
		err := parseGuest(guest, &i.Guest)
		list = append(list, i)
		return err
	})
	if err != nil {
		return nil, err
	}
	part := func(column, table, order string, add func(i *sysctl.Image, s string)) error {
		query := "SELECT image, " + column + " FROM " + table + parts + " ORDER BY " + order
		return each(ctx, q, query, args, func(rows *sql.Rows) error {
			var image, s string
			if err := rows.Scan(&image, &s); err != nil {
				return err
			}
			add(&list[byID[image]], s)
			return nil
		})
	}
	err = part("alias", "image_aliases", "alias",
		func(i *sysctl.Image, s string) { i.Aliases = append(i.Aliases, s) })
	if err != nil {
		return nil, err
	}
	return list, part("layer", "image_layers", "image, position",
		func(i *sysctl.Image, s string) { i.Layers = append(i.Layers, s) })
}
