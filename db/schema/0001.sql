-- Times are nanoseconds since 1970 in UTC. Addresses are in canonical text form; NULL is "none claimed".
-- Positions order a list, from 0.

CREATE TABLE layers (
	id      TEXT PRIMARY KEY,
	size    INTEGER NOT NULL,
	created INTEGER NOT NULL
) STRICT;

CREATE TABLE images (
	id          TEXT PRIMARY KEY,
	arch        TEXT NOT NULL,
	guest       TEXT NOT NULL, -- JSON of a Guest
	description TEXT NOT NULL,
	template    TEXT NOT NULL,
	source      TEXT NOT NULL,
	size        INTEGER NOT NULL,
	created     INTEGER NOT NULL
) STRICT;

CREATE TABLE image_aliases (
	alias TEXT PRIMARY KEY,
	image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE
) STRICT;
CREATE INDEX image_aliases_image ON image_aliases(image);

CREATE TABLE image_layers (
	image    TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
	position INTEGER NOT NULL,
	layer    TEXT NOT NULL REFERENCES layers(id) ON DELETE RESTRICT,
	PRIMARY KEY (image, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_layers_layer ON image_layers(layer);

CREATE TABLE profiles (
	name        TEXT PRIMARY KEY,
	description TEXT NOT NULL
) STRICT;

CREATE TABLE profile_config (
	profile TEXT NOT NULL REFERENCES profiles(name) ON DELETE CASCADE,
	key     TEXT NOT NULL,
	value   TEXT NOT NULL,
	PRIMARY KEY (profile, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE profile_devices (
	profile TEXT NOT NULL REFERENCES profiles(name) ON DELETE CASCADE,
	device  TEXT NOT NULL,
	PRIMARY KEY (profile, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE profile_device_options (
	profile TEXT NOT NULL,
	device  TEXT NOT NULL,
	key     TEXT NOT NULL,
	value   TEXT NOT NULL,
	PRIMARY KEY (profile, device, key),
	FOREIGN KEY (profile, device) REFERENCES profile_devices(profile, device) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE networks (
	name      TEXT PRIMARY KEY,
	ipv4      TEXT NOT NULL, -- address/length, '' = none
	ipv6      TEXT NOT NULL,
	nat       INTEGER NOT NULL CHECK (nat IN (0, 1)),
	mtu       INTEGER NOT NULL,
	nft_table TEXT NOT NULL,
	domain    TEXT NOT NULL
) STRICT;

-- image_id tells where an instance came from for as long as it lives; image is the row, while there is one.
-- The writer gives ranges that do not overlap; UNIQUE is the net under it.
CREATE TABLE instances (
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	name         TEXT NOT NULL UNIQUE,
	ready        INTEGER NOT NULL CHECK (ready IN (0, 1)),
	ephemeral    INTEGER NOT NULL CHECK (ephemeral IN (0, 1)),
	image_id     TEXT NOT NULL,
	image        TEXT REFERENCES images(id) ON DELETE SET NULL,
	template     TEXT NOT NULL,
	guest        TEXT NOT NULL, -- JSON of a Guest
	id_base      INTEGER UNIQUE,
	id_size      INTEGER CHECK (id_size > 0),
	created      INTEGER NOT NULL,
	CHECK ((id_base IS NULL) = (id_size IS NULL))
) STRICT;
CREATE INDEX instances_image ON instances(image);

CREATE TABLE instance_config (
	instance INTEGER NOT NULL REFERENCES instances(id) ON DELETE CASCADE,
	key      TEXT NOT NULL,
	value    TEXT NOT NULL,
	PRIMARY KEY (instance, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE instance_devices (
	instance INTEGER NOT NULL REFERENCES instances(id) ON DELETE CASCADE,
	device   TEXT NOT NULL,
	PRIMARY KEY (instance, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE instance_device_options (
	instance INTEGER NOT NULL,
	device   TEXT NOT NULL,
	key      TEXT NOT NULL,
	value    TEXT NOT NULL,
	PRIMARY KEY (instance, device, key),
	FOREIGN KEY (instance, device) REFERENCES instance_devices(instance, device) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE instance_profiles (
	instance INTEGER NOT NULL REFERENCES instances(id) ON DELETE CASCADE,
	position INTEGER NOT NULL,
	profile  TEXT NOT NULL REFERENCES profiles(name) ON DELETE RESTRICT,
	PRIMARY KEY (instance, position),
	UNIQUE (instance, profile)
) STRICT, WITHOUT ROWID;
CREATE INDEX instance_profiles_profile ON instance_profiles(profile);

CREATE TABLE instance_layers (
	instance INTEGER NOT NULL REFERENCES instances(id) ON DELETE CASCADE,
	position INTEGER NOT NULL,
	layer    TEXT NOT NULL REFERENCES layers(id) ON DELETE RESTRICT,
	PRIMARY KEY (instance, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX instance_layers_layer ON instance_layers(layer);

-- network NULL: not on a managed network (a host's bridge or interface), whose addresses are not ours to guard.
CREATE TABLE nics (
	instance INTEGER NOT NULL REFERENCES instances(id) ON DELETE CASCADE,
	position INTEGER NOT NULL,
	device   TEXT NOT NULL,
	network  TEXT REFERENCES networks(name) ON DELETE RESTRICT,
	name     TEXT NOT NULL,
	mac      TEXT UNIQUE,
	ipv4     TEXT,
	ipv6     TEXT,
	PRIMARY KEY (instance, device),
	UNIQUE (network, ipv4),
	UNIQUE (network, ipv6)
) STRICT, WITHOUT ROWID;
