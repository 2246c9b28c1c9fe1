package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/sysctl-os/sysctl"
)

// querier is what a read and a write transaction have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// tx is a write transaction with its one idea of the present.
type tx struct {
	*sql.Tx
	now time.Time
}

// write runs f in a transaction that holds the write lock from its beginning: what f reads stays true until
// it commits. f's error rolls everything back. It is on disk when write returns.
//
// Where the disk is full, old events make room: what a verb tells must not keep it from doing its work.
func (d *DB) write(ctx context.Context, f func(*tx) error) error {
	return d.onConn(ctx, true, func(c *sql.Conn) error {
		err := d.transact(ctx, c, f)
		if sysctl.KindOf(err) == sysctl.NoSpace {
			err = d.transact(ctx, c, func(t *tx) error {
				if err := t.forgetEvents(ctx, forgotten); err != nil {
					return err
				}
				return f(t)
			})
		}
		return err
	})
}

// grow is write for what the user adds. The last of the disk is left to those who make room.
func (d *DB) grow(ctx context.Context, f func(*tx) error) error {
	if err := d.room(); err != nil {
		return err
	}
	return d.write(ctx, f)
}

// growSoon is grow that does not wait for the disk, like writeSoon.
func (d *DB) growSoon(ctx context.Context, f func(*tx) error) error {
	if err := d.room(); err != nil {
		return err
	}
	return d.writeSoon(ctx, f)
}

// writeSoon is write without waiting for the disk: a power cut may take it back until another transaction,
// of whichever process, is on disk.
func (d *DB) writeSoon(ctx context.Context, f func(*tx) error) error {
	return d.onConn(ctx, true, func(c *sql.Conn) (err error) {
		if _, err := c.ExecContext(ctx, "PRAGMA synchronous = NORMAL"); err != nil {
			return d.fail(ctx, err)
		}
		defer func() {
			if _, err := c.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = FULL"); err != nil {
				discard(c)
			}
		}()
		return d.transact(ctx, c, f)
	})
}

// transact is one write transaction on a connection.
func (d *DB) transact(ctx context.Context, c *sql.Conn, f func(*tx) error) error {
	t, err := c.BeginTx(ctx, nil) // immediate, by the DSN
	if err != nil {
		return d.fail(ctx, err)
	}
	defer t.Rollback() // after a commit it does nothing
	if err := f(&tx{Tx: t, now: d.now()}); err != nil {
		return d.fail(ctx, err)
	}
	return d.fail(ctx, t.Commit())
}

// onConn runs f with a connection of its own; those who write queue for it.
func (d *DB) onConn(ctx context.Context, writes bool, f func(*sql.Conn) error) error {
	if writes {
		select {
		case d.writer <- struct{}{}:
		case <-ctx.Done():
			return d.fail(ctx, ctx.Err())
		}
		defer func() { <-d.writer }()
	}
	c, err := d.sql.Conn(ctx)
	if err != nil {
		return d.fail(ctx, err)
	}
	defer c.Close()
	return f(c)
}

// discard keeps the pool from handing out again a connection in an unknown state.
func discard(c *sql.Conn) { _ = c.Raw(func(any) error { return driver.ErrBadConn }) }

// read runs f on a snapshot, beside a writer. It does not use sql.Tx, since that would take the write lock.
func (d *DB) read(ctx context.Context, f func(querier) error) error {
	return d.onConn(ctx, false, func(c *sql.Conn) error {
		if _, err := c.ExecContext(ctx, "BEGIN DEFERRED"); err != nil {
			return d.fail(ctx, err)
		}
		defer func() {
			if _, err := c.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); err != nil {
				discard(c)
			}
		}()
		return d.fail(ctx, f(c))
	})
}

// each calls row for every row of a query. Rows are read without the context's cancelation: watching
// for it costs the driver a goroutine per row, and no query here takes long.
func each(ctx context.Context, q querier, query string, args []any, row func(*sql.Rows) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	rows, err := q.QueryContext(context.WithoutCancel(ctx), query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// texts returns the one text column of a query.
func texts(ctx context.Context, q querier, query string, args ...any) ([]string, error) {
	list := []string{}
	err := each(ctx, q, query, args, func(rows *sql.Rows) error {
		var s string
		err := rows.Scan(&s)
		list = append(list, s)
		return err
	})
	return list, err
}

// exists reports whether a query has a row.
func exists(ctx context.Context, q querier, query string, args ...any) (bool, error) {
	found := false
	err := each(ctx, q, query, args, func(*sql.Rows) error { found = true; return nil })
	return found, err
}

// exec runs one statement.
func (t *tx) exec(ctx context.Context, query string, args ...any) error {
	_, err := t.ExecContext(ctx, query, args...)
	return err
}

// pragma sets a pragma, which takes no parameters, to a number.
func (t *tx) pragma(ctx context.Context, name string, n int) error {
	return t.exec(ctx, fmt.Sprintf("PRAGMA %s = %d", name, n))
}
