package db

import (
	"context"
	"database/sql"

	"github.com/sysctl-os/sysctl"
)

// MoveIDs gives an instance another range of host ids, of a block as ClaimInstance takes it; what it has itself counts as free.
// The caller holds its lock, and it does not run. Kinds as ClaimInstance.
func (d *DB) MoveIDs(ctx context.Context, id int64, b IDBlock) (m sysctl.IDMap, err error) {
	err = d.write(ctx, func(t *tx) error {
		if m, err = t.freeRange(ctx, b, id); err != nil {
			return err
		}
		base, size := ownIDs(&m)
		res, err := t.ExecContext(ctx, "UPDATE instances SET id_base = ?, id_size = ? WHERE id = ?", base, size, id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return noInstance(id)
		}
		return t.shareIDs(ctx, id, m)
	})
	return m, err
}

// ownIDs are the columns of a range that nobody else has, NULL where there is none.
func ownIDs(m *sysctl.IDMap) (base, size sql.NullInt64) {
	if m == nil || m.Shared {
		return base, size
	}
	return sql.NullInt64{Int64: int64(m.Base), Valid: true}, sql.NullInt64{Int64: int64(m.Size), Valid: true}
}

// shareIDs notes the range of an instance that shares it, and no other's.
func (t *tx) shareIDs(ctx context.Context, id int64, m sysctl.IDMap) error {
	_, err := t.ExecContext(ctx, "DELETE FROM shared_ids WHERE instance = ?", id)
	if err == nil && m.Shared {
		_, err = t.ExecContext(ctx, "INSERT INTO shared_ids (instance, base, size) VALUES (?, ?, ?)", id, int64(m.Base), int64(m.Size))
	}
	return err
}

// freeRange returns the lowest range of the block that overlaps with no instance's but that of own, whichever block that
// one's came from; of a shared block that of another instance that shares its range, if there is one of that size.
func (t *tx) freeRange(ctx context.Context, b IDBlock, own int64) (sysctl.IDMap, error) {
	// The highest id of all, 2^32-1, is no id: to chown and setresuid it means "leave as it is".
	const end = 1<<32 - 1
	size := uint64(b.Size)
	if size == 0 || b.Count <= 0 || uint64(b.Base)+size > end {
		return sysctl.IDMap{}, sysctl.E(sysctl.Invalid, "id block of %d ranges of %d ids from %d has no range", b.Count, b.Size, b.Base)
	}
	if b.Shared {
		var base sql.NullInt64
		err := t.QueryRowContext(ctx, `SELECT min(base) FROM shared_ids WHERE size = ?1 AND instance != ?2 AND (base = ?3 OR NOT ?4)`,
			int64(b.Size), own, int64(b.Base), b.Fixed).Scan(&base)
		if err != nil || base.Valid {
			return sysctl.IDMap{Base: uint32(base.Int64), Size: b.Size, Shared: true}, err
		}
	}
	next := uint64(b.Base) // the lowest range that may still be free
	last := min(next+uint64(b.Count-1)*size, end-size)
	var holder string
	err := each(ctx, t, `SELECT name, id_base AS base, id_base + id_size FROM instances WHERE id_base IS NOT NULL AND id != ?1
		UNION ALL SELECT name, base, base + size FROM shared_ids JOIN instances ON id = instance WHERE id != ?1 ORDER BY base`, []any{own},
		func(rows *sql.Rows) error {
			var name string
			var from, to uint64
			if err := rows.Scan(&name, &from, &to); err != nil {
				return err
			}
			if from < next+size && next < to {
				k := (to - uint64(b.Base) + size - 1) / size // the first range that begins at or after to
				next, holder = uint64(b.Base)+k*size, name
			}
			return nil
		})
	switch {
	case err != nil:
		return sysctl.IDMap{}, err
	case b.Fixed && next > last:
		return sysctl.IDMap{}, sysctl.E(sysctl.Exists, "security.idmap.base: instance %s has some of the %d ids from %d on", holder, b.Size, b.Base).
			WithHint("sysctl info %s", holder)
	case next > last:
		return sysctl.IDMap{}, sysctl.E(sysctl.NoSpace, "no range of %d ids is left of the %d from %d on", b.Size, b.Count, b.Base).
			WithHint("sysctl delete NAME, or configure more id ranges")
	}
	return sysctl.IDMap{Base: uint32(next), Size: b.Size, Shared: b.Shared}, nil
}
