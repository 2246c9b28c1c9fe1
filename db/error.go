package db

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/mattn/go-sqlite3"

	"github.com/sysctl-os/sysctl"
)

// fail classifies what a transaction ended with. SQLite's errors are told apart by code, never by text.
// What is classified already passes as it is.
func (d *DB) fail(ctx context.Context, err error) error {
	var own *sysctl.Error
	var fields sysctl.FieldErrors
	var lite sqlite3.Error
	switch {
	case err == nil, errors.As(err, &own), errors.As(err, &fields):
		return err
	case ctx.Err() != nil:
		// Whatever the driver made of it: interrupted, transaction over, …
		return sysctl.E(sysctl.Canceled, "database %s: %w", d.path, ctx.Err())
	case errors.As(err, &lite):
		return d.classify(lite, err)
	case sysctl.KindOf(err) == sysctl.NoSpace:
		return d.noSpace(err)
	}
	return sysctl.Wrap(err, "database %s", d.path)
}

func (d *DB) classify(lite sqlite3.Error, err error) error {
	switch lite.Code {
	case sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrProtocol:
		return sysctl.E(sysctl.Busy, "database %s is locked by another process: %w", d.path, err).
			WithHint("try again")
	case sqlite3.ErrFull:
		return d.noSpace(err)
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
		return sysctl.E(sysctl.Internal, "database %s is damaged: %w", d.path, err).
			WithHint("sqlite3 %s .recover", d.path)
	case sqlite3.ErrPerm, sqlite3.ErrAuth, sqlite3.ErrReadonly:
		return sysctl.E(sysctl.Permission, "database %s: %w", d.path, err)
	case sqlite3.ErrInterrupt:
		return sysctl.E(sysctl.Canceled, "database %s: %w", d.path, err)
	case sqlite3.ErrConstraint:
		// A net: the methods ask first and say who is in the way.
		switch lite.ExtendedCode {
		case sqlite3.ErrConstraintUnique, sqlite3.ErrConstraintPrimaryKey:
			return sysctl.E(sysctl.Exists, "database %s: %w", d.path, err)
		}
	}
	// ErrIoErr and ErrCantOpen carry what the system call said.
	if lite.SystemErrno != 0 {
		switch kind := sysctl.KindOf(lite.SystemErrno); kind {
		case sysctl.NoSpace:
			return d.noSpace(err)
		case sysctl.Permission:
			return sysctl.E(kind, "database %s: %w", d.path, err)
		}
	}
	return sysctl.Wrap(err, "database %s", d.path)
}

func (d *DB) noSpace(err error) error {
	return sysctl.E(sysctl.NoSpace, "database %s: %w", d.path, err).
		WithHint(makeRoom, filepath.Dir(d.path))
}
