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
	"database/sql/driver"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/sysctl-os/sysctl"
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
	path   string   // absolute
	index  *os.File // see attach
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
	d := &DB{path: path, now: o.Now, writer: make(chan struct{}, 1)}
	if err := d.makeFiles(); err != nil {
		return nil, d.fail(ctx, err)
	}
	d.sql = sql.OpenDB(connector{dsn(path, busy)})
	d.sql.SetMaxOpenConns(maxConns)
	d.sql.SetMaxIdleConns(maxConns)
	if err := d.prepare(ctx, o.DefaultNetwork); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// Close closes the database, for a process that goes on; one that ends need not call it, and is quicker: the
// last to close copies the log into the database and waits for the disk twice. No method may be called
// afterwards. Of several DBs of one file in one process none may be closed while another process uses the file:
// closing drops the locks of all (fcntl(2)).
func (d *DB) Close() error {
	err := d.sql.Close()
	if closed := d.index.Close(); !errors.Is(closed, os.ErrClosed) {
		err = errors.Join(err, closed)
	}
	return sysctl.Wrap(err, "close database %s", d.path)
}

// makeFiles makes the database's file where it is absent, and what lies beside it.
func (d *DB) makeFiles() error {
	dir, err := lockDir(filepath.Dir(d.path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := createFile(d.path, dir); err != nil {
		return err
	}
	d.index, err = attach(d.path)
	return err
}

// prepare makes sure that the file has the schema of this version.
func (d *DB) prepare(ctx context.Context, network string) error {
	// An empty file is one that is being made, or whose maker died: looking into it would race with its
	// maker for the change to WAL, which SQLite does not wait for.
	fi, err := os.Stat(d.path)
	if err != nil {
		return d.fail(ctx, err)
	}
	if fi.Size() == 0 {
		return d.migrate(ctx, network)
	}
	var version int
	var journal string
	err = d.sql.QueryRowContext(ctx, "SELECT user_version, journal_mode FROM pragma_user_version, pragma_journal_mode").
		Scan(&version, &journal)
	if err != nil {
		return d.fail(ctx, err)
	}
	switch latest := len(migrations()); {
	case version > latest:
		return d.tooNew(version, latest)
	case version < latest || journal != "wal":
		return d.migrate(ctx, network)
	}
	// Only the first time, or after somebody else's tool removed it. Where there is no room, SQLite will say so
	// when it needs some.
	if err := allocateLog(d.path); sysctl.KindOf(err) != sysctl.NoSpace {
		return d.fail(ctx, err)
	}
	return nil
}

// connector opens connections.
type connector struct{ dsn string }

func (c connector) Driver() driver.Driver {
	return &sqlite3.SQLiteDriver{ConnectHook: func(conn *sqlite3.SQLiteConn) error {
		// The last connection that is closed leaves the log and its index.
		err := conn.SetFileControlInt("main", sqlite3.SQLITE_FCNTL_PERSIST_WAL, 1)
		if err == nil {
			err = conn.SetFileControlInt("main", sqlite3.SQLITE_FCNTL_CHUNK_SIZE, growth)
		}
		if err == nil {
			_, err = conn.Exec("PRAGMA wal_autocheckpoint = "+strconv.Itoa(checkpointPages), nil)
		}
		return err
	}}
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(c.dsn) }

// dsn names the file and the options that every connection is opened with. mode=rw: SQLite must not make
// the file, since its mode would depend on the umask.
func dsn(path string, busy time.Duration) string {
	q := url.Values{
		"mode":          {"rw"},
		"_txlock":       {"immediate"},
		"_busy_timeout": {strconv.FormatInt(busy.Milliseconds(), 10)},
		"_foreign_keys": {"on"},
		"_synchronous":  {"FULL"},
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return u.String()
}
