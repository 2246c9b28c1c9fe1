package db

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// applicationID marks the file as ours ("sysc"), for file(1) and for migrate.
const applicationID = 0x73797363

//go:embed schema/*.sql
var schemaFiles embed.FS

// migrations returns the names of the schema files in order: the n-th, from 1, leads from version n-1 to n.
func migrations() []string {
	names, err := fs.Glob(schemaFiles, "schema/*.sql") // sorted, since ReadDir is
	if err != nil {
		panic(err) // only a malformed pattern
	}
	return names
}

// migrate makes the schema, or brings an older one up to date, in one transaction. It holds flock(2) on the
// directory: not on the file, because closing any descriptor of that would drop the locks SQLite has on it in
// this process.
func (d *DB) migrate(ctx context.Context, network string) error {
	dir, err := lockDir(filepath.Dir(d.path))
	if err != nil {
		return d.fail(ctx, err)
	}
	defer dir.Close()
	var version int
	err = d.read(ctx, func(q querier) error {
		version, err = d.checkFile(ctx, q)
		return err
	})
	if err != nil {
		return err
	}
	// It is a property of the file, which every later connection finds there.
	if _, err := d.sql.ExecContext(ctx, "PRAGMA journal_mode = WAL"); err != nil {
		return d.fail(ctx, err)
	}
	if err := allocateLog(d.path); err != nil {
		return d.fail(ctx, err)
	}
	err = d.write(ctx, func(t *tx) error {
		names := migrations()
		for _, name := range names[version:] {
			script, err := schemaFiles.ReadFile(name)
			if err != nil {
				return err
			}
			if _, err := t.ExecContext(ctx, string(script)); err != nil {
				return sysctl.Wrap(err, "%s", name)
			}
		}
		if version == 0 {
			if err := seed(ctx, t, network); err != nil {
				return err
			}
		}
		if err := t.pragma(ctx, "application_id", applicationID); err != nil {
			return err
		}
		return t.pragma(ctx, "user_version", len(names))
	})
	if err != nil {
		return err
	}
	// The tables get their blocks while there is room for them.
	_, err = d.sql.ExecContext(ctx, "PRAGMA wal_checkpoint")
	return d.fail(ctx, err)
}

// lockDir locks a directory until it is closed.
func lockDir(path string) (*os.File, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := sysctl.Flock(dir, unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}

func createFile(path string, dir *os.File) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	overwriteInPlace(f)
	if err := f.Close(); err != nil {
		return err
	}
	return dir.Sync()
}

// checkFile returns the version of the file's schema, 0 for an empty one, if this version may migrate it.
func (d *DB) checkFile(ctx context.Context, q querier) (int, error) {
	var version, app, objects int
	err := q.QueryRowContext(ctx, `SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_user_version, pragma_application_id`).Scan(&version, &app, &objects)
	if err != nil {
		return 0, err
	}
	if latest := len(migrations()); version > latest {
		return 0, d.tooNew(version, latest)
	}
	ours := app == applicationID
	empty := version == 0 && app == 0 && objects == 0
	if version < 0 || !ours && !empty {
		return 0, sysctl.E(sysctl.Unsupported, "%s is not a database of sysctl's", d.path)
	}
	return version, nil
}

func (d *DB) tooNew(version, latest int) error {
	return sysctl.E(sysctl.Unsupported, "database %s has schema %d, this version of sysctl knows schemas up to %d",
		d.path, version, latest).WithHint("install the newer version of sysctl that last used it")
}

// seed writes the rows that every new database has.
func seed(ctx context.Context, t *tx, network string) error {
	return t.insertProfile(ctx, sysctl.Profile{
		Name:        defaultProfile,
		Description: "What an instance gets when no profile is named",
		Devices:     map[string]sysctl.Device{"eth0": {"type": "nic", "network": network}},
	})
}
