package db

import (
	"context"
	"database/sql"

	"github.com/sysctl-os/sysctl"
)

// Instances and profiles keep their configuration in tables of the same shape: PREFIX_config,
// PREFIX_devices and PREFIX_device_options, whose column PREFIX names the owner. Prefixes are constants.

// setConfiguration replaces the owner's configuration.
func (t *tx) setConfiguration(ctx context.Context, prefix string, owner any, config map[string]string, devices map[string]sysctl.Device) error {
	for _, table := range []string{"_config", "_devices"} { // options go with their devices
		if err := t.exec(ctx, "DELETE FROM "+prefix+table+" WHERE "+prefix+" = ?", owner); err != nil {
			return err
		}
	}
	for key, value := range config {
		if err := t.exec(ctx, "INSERT INTO "+prefix+"_config VALUES (?, ?, ?)", owner, key, value); err != nil {
			return err
		}
	}
	for name, device := range devices {
		if err := t.exec(ctx, "INSERT INTO "+prefix+"_devices VALUES (?, ?)", owner, name); err != nil {
			return err
		}
		for key, value := range device {
			err := t.exec(ctx, "INSERT INTO "+prefix+"_device_options VALUES (?, ?, ?, ?)", owner, name, key, value)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// loadConfiguration reads the configuration of all owners, or of those that where (with its args) chooses.
// of returns the owner's maps.
func loadConfiguration[K comparable](ctx context.Context, q querier, prefix, where string, args []any,
	of func(K) (map[string]string, map[string]sysctl.Device)) error {
	err := each(ctx, q, "SELECT "+prefix+", key, value FROM "+prefix+"_config"+where, args, func(rows *sql.Rows) error {
		var owner K
		var key, value string
		if err := rows.Scan(&owner, &key, &value); err != nil {
			return err
		}
		config, _ := of(owner)
		config[key] = value
		return nil
	})
	if err != nil {
		return err
	}
	err = each(ctx, q, "SELECT "+prefix+", device FROM "+prefix+"_devices"+where, args, func(rows *sql.Rows) error {
		var owner K
		var name string
		if err := rows.Scan(&owner, &name); err != nil {
			return err
		}
		_, devices := of(owner)
		devices[name] = sysctl.Device{}
		return nil
	})
	if err != nil {
		return err
	}
	query := "SELECT " + prefix + ", device, key, value FROM " + prefix + "_device_options" + where
	return each(ctx, q, query, args, func(rows *sql.Rows) error {
		var owner K
		var name, key, value string
		if err := rows.Scan(&owner, &name, &key, &value); err != nil {
			return err
		}
		_, devices := of(owner)
		devices[name][key] = value
		return nil
	})
}
