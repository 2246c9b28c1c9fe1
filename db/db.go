// Package db owns what is promised: instances, their configuration, addresses and id ranges, profiles,
// networks, images and layers, as rows of one SQLite file that many short processes share. It decides
// nothing and looks at nothing else; what the kernel does is asked elsewhere.
//
// Every method is one transaction: it happens whole or not at all, also under kill -9 and power cuts. No
// method needs a lock of the caller's to keep the rows consistent with each other. Errors are of
// kind Busy (another process held the file for 10 seconds), NoSpace, Permission, Canceled, or Internal where
// the file is damaged, besides the kinds named at each method. A context that ends while the lock of another
// process is waited for is noticed when that wait ends.
package db

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sysctl-os/sysctl"

	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"
)

const (
	// busyTimeout is how long another process's write is waited for.
	busyTimeout = 10 * time.Second

	// maxConns lets a few readers go along with the one writer there can be. Each costs an open file
	// and a page cache, so an idle one is kept but there are never many.
	maxConns = 4
)

// Options says which database is opened. All fields are required.
type Options struct {
	Path           string           // of the database file; its directory exists
	Now            func() time.Time // the clock; read once per transaction
	DefaultNetwork string           // network of eth0 in the profile "default" of a new database
}

// DB is an open database. It is safe for use by several goroutines.
type DB struct {
	sql    *sql.DB
	path   string // absolute
	now    func() time.Time
	writer chan struct{} // held by the one writer of this process: goroutines queue here, not in SQLite's polling
}

// Open opens the database, and makes it or brings its schema up to date where needed; only that waits for
// other processes that do the same. A new file has mode 0600. The kind is Unsupported where the file was
// written by a newer version or is not a database of sysctl's.
func Open(ctx context.Context, o Options) (*DB, error) {
	return open(ctx, o, busyTimeout)
}

func open(ctx context.Context, o Options, busy time.Duration) (*DB, error) {
	if o.Path == "" || o.Now == nil || o.DefaultNetwork == "" {
		return nil, sysctl.E(sysctl.Invalid, "open database: path, clock and default network are required")
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, sysctl.Wrap(err, "open database %s", o.Path)
	}
	pool, err := sql.Open("sqlite3", dsn(path, busy))
	if err != nil {
		return nil, sysctl.Wrap(err, "open database %s", path)
	}
	pool.SetMaxOpenConns(maxConns)
	pool.SetMaxIdleConns(maxConns)
	d := &DB{sql: pool, path: path, now: o.Now, writer: make(chan struct{}, 1)}
	if err := d.prepare(ctx, o.DefaultNetwork); err != nil {
		pool.Close()
		return nil, err
	}
	return d, nil
}

// Close closes the database. No method may be called afterwards.
func (d *DB) Close() error { return sysctl.Wrap(d.sql.Close(), "close database %s", d.path) }

// prepare makes sure that the file is there and has the schema of this version.
func (d *DB) prepare(ctx context.Context, network string) error {
	// An empty file is one that is being made, or whose maker died: looking into it would race with its
	// maker for the change to WAL, which SQLite does not wait for.
	if fi, err := os.Stat(d.path); err == nil && fi.Size() > 0 {
		var version int
		if err := d.sql.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
			return d.fail(ctx, err)
		}
		switch latest := len(migrations()); {
		case version == latest:
			return nil
		case version > latest:
			return d.tooNew(version, latest)
		}
	} else if err != nil && !os.IsNotExist(err) {
		return d.fail(ctx, err)
	}
	return d.migrate(ctx, network)
}

// dsn names the file and the options that every connection is opened with. mode=rw: SQLite must not make
// the file, since its mode would depend on the umask.
func dsn(path string, busy time.Duration) string {
	q := url.Values{
		"mode":          {"rw"},
		"_txlock":       {"immediate"},
		"_busy_timeout": {strconv.FormatInt(busy.Milliseconds(), 10)},
		"_foreign_keys": {"on"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return u.String()
}
