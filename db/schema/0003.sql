-- A snapshot is what an instance was: layers, lowest first, and configuration. It goes with its instance.
CREATE TABLE snapshots (
	id       INTEGER PRIMARY KEY AUTOINCREMENT,
	instance INTEGER NOT NULL REFERENCES instances(id) ON DELETE CASCADE,
	name     TEXT NOT NULL,
	guest    TEXT NOT NULL, -- JSON of a Guest
	created  INTEGER NOT NULL,
	UNIQUE (instance, name)
) STRICT;

CREATE TABLE snapshot_layers (
	snapshot INTEGER NOT NULL REFERENCES snapshots(id) ON DELETE CASCADE,
	position INTEGER NOT NULL,
	layer    TEXT NOT NULL REFERENCES layers(id) ON DELETE RESTRICT,
	PRIMARY KEY (snapshot, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX snapshot_layers_layer ON snapshot_layers(layer);

CREATE TABLE snapshot_config (
	snapshot INTEGER NOT NULL REFERENCES snapshots(id) ON DELETE CASCADE,
	key      TEXT NOT NULL,
	value    TEXT NOT NULL,
	PRIMARY KEY (snapshot, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshot_devices (
	snapshot INTEGER NOT NULL REFERENCES snapshots(id) ON DELETE CASCADE,
	device   TEXT NOT NULL,
	PRIMARY KEY (snapshot, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshot_device_options (
	snapshot INTEGER NOT NULL,
	device   TEXT NOT NULL,
	key      TEXT NOT NULL,
	value    TEXT NOT NULL,
	PRIMARY KEY (snapshot, device, key),
	FOREIGN KEY (snapshot, device) REFERENCES snapshot_devices(snapshot, device) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshot_profiles (
	snapshot INTEGER NOT NULL REFERENCES snapshots(id) ON DELETE CASCADE,
	position INTEGER NOT NULL,
	profile  TEXT NOT NULL REFERENCES profiles(name) ON DELETE RESTRICT,
	PRIMARY KEY (snapshot, position),
	UNIQUE (snapshot, profile)
) STRICT, WITHOUT ROWID;
CREATE INDEX snapshot_profiles_profile ON snapshot_profiles(profile);

-- What the rows promise of an instance's upper and is still to be done: it becomes a layer that is in its list
-- already or, where layer is NULL, it is dropped. Whoever takes the instance's lock does it first.
CREATE TABLE instance_pending (
	instance INTEGER PRIMARY KEY REFERENCES instances(id) ON DELETE CASCADE,
	layer    TEXT REFERENCES layers(id) ON DELETE RESTRICT
) STRICT;
CREATE INDEX instance_pending_layer ON instance_pending(layer);
