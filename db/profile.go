package db

import (
	"context"
	"database/sql"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const (
	defaultProfile = "default"
	profileNames   = "SELECT name FROM profiles ORDER BY name"
	usersOfProfile = "SELECT i.name FROM instance_profiles p JOIN instances i ON i.id = p.instance WHERE p.profile = ? ORDER BY i.name"

	snapshotsOfProfile = `SELECT i.name || '/' || s.name FROM snapshot_profiles p JOIN snapshots s ON s.id = p.snapshot
		JOIN instances i ON i.id = s.instance WHERE p.profile = ? ORDER BY 1`
)

// CreateProfile makes a profile. The kind is Exists where the name is taken.
func (d *DB) CreateProfile(ctx context.Context, p sysctl.Profile) error {
	return d.grow(ctx, func(t *tx) error {
		taken, err := exists(ctx, t, "SELECT 1 FROM profiles WHERE name = ?", p.Name)
		if err == nil && taken {
			err = sysctl.E(sysctl.Exists, "profile %q exists already", p.Name).WithHint("sysctl profile edit %s", p.Name)
		}
		if err != nil {
			return err
		}
		return t.insertProfile(ctx, p)
	})
}

// UpdateProfile replaces everything of a profile but its name. The kind is NotFound where there is none of that name.
func (d *DB) UpdateProfile(ctx context.Context, p sysctl.Profile) error {
	return d.grow(ctx, func(t *tx) error {
		if err := t.hasProfile(ctx, p.Name); err != nil {
			return err
		}
		if err := t.exec(ctx, "UPDATE profiles SET description = ?, text = ? WHERE name = ?", p.Description, p.Text, p.Name); err != nil {
			return err
		}
		return t.setConfiguration(ctx, "profile", p.Name, p.Config, p.Devices)
	})
}

// DeleteProfile deletes a profile. The kind is Conflict for the profile "default" and for one that instances
// or snapshots use, NotFound where there is none of that name: nothing undoes the making of a profile, so an absent one
// is a user's mistake.
func (d *DB) DeleteProfile(ctx context.Context, name string) error {
	return d.write(ctx, func(t *tx) error {
		if name == defaultProfile {
			return sysctl.E(sysctl.Conflict, "profile %q cannot be deleted", name).WithHint("sysctl profile edit %s", name)
		}
		if err := t.hasProfile(ctx, name); err != nil {
			return err
		}
		users, err := texts(ctx, t, usersOfProfile, name)
		if err != nil {
			return err
		}
		snapshots, err := texts(ctx, t, snapshotsOfProfile, name)
		if err != nil {
			return err
		}
		users = append(users, snapshots...)
		if len(users) > 0 {
			return sysctl.E(sysctl.Conflict, "profile %q is used by: %s", name, strings.Join(users, ", ")).
				WithHint("sysctl profile show %s", name)
		}
		return t.exec(ctx, "DELETE FROM profiles WHERE name = ?", name)
	})
}

// Profile returns a profile. The kind is NotFound where there is none of that name.
func (d *DB) Profile(ctx context.Context, name string) (p sysctl.Profile, err error) {
	err = d.read(ctx, func(q querier) error {
		list, err := loadProfiles(ctx, q, name)
		if err == nil && len(list) == 0 {
			err = notFound(ctx, q, "profile", name, profileNames, "sysctl profile list")
		}
		if err == nil {
			p = list[0]
		}
		return err
	})
	return p, err
}

// Profiles returns all profiles, sorted by name.
func (d *DB) Profiles(ctx context.Context) (list []sysctl.Profile, err error) {
	err = d.read(ctx, func(q querier) error {
		list, err = loadProfiles(ctx, q, "")
		return err
	})
	return list, err
}

// ProfileUsers returns the names of the instances that use a profile, sorted.
func (d *DB) ProfileUsers(ctx context.Context, name string) (users []string, err error) {
	err = d.read(ctx, func(q querier) error {
		users, err = texts(ctx, q, usersOfProfile, name)
		return err
	})
	return users, err
}

func (t *tx) insertProfile(ctx context.Context, p sysctl.Profile) error {
	if err := t.exec(ctx, "INSERT INTO profiles (name, description, text) VALUES (?, ?, ?)", p.Name, p.Description, p.Text); err != nil {
		return err
	}
	return t.setConfiguration(ctx, "profile", p.Name, p.Config, p.Devices)
}

func (t *tx) hasProfile(ctx context.Context, name string) error {
	found, err := exists(ctx, t, "SELECT 1 FROM profiles WHERE name = ?", name)
	if err == nil && !found {
		err = notFound(ctx, t, "profile", name, profileNames, "sysctl profile list")
	}
	return err
}

// loadProfiles reads one profile, or all where name is "".
func loadProfiles(ctx context.Context, q querier, name string) ([]sysctl.Profile, error) {
	where, parts := "", ""
	var args []any
	if name != "" {
		where, parts, args = " WHERE name = ?", " WHERE profile = ?", []any{name}
	}
	list := []sysctl.Profile{}
	byName := map[string]int{}
	err := each(ctx, q, "SELECT name, description, text FROM profiles"+where+" ORDER BY name", args, func(rows *sql.Rows) error {
		p := sysctl.Profile{Config: map[string]string{}, Devices: map[string]sysctl.Device{}}
		err := rows.Scan(&p.Name, &p.Description, &p.Text)
		byName[p.Name] = len(list)
		list = append(list, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, loadConfiguration(ctx, q, "profile", parts, args,
		func(name string) (map[string]string, map[string]sysctl.Device) {
			p := list[byName[name]]
			return p.Config, p.Devices
		})
}
