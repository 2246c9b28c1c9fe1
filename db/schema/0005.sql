-- What a network is, it is by keys, like an instance.

ALTER TABLE networks ADD COLUMN description TEXT NOT NULL DEFAULT '';

CREATE TABLE network_config (
	network TEXT NOT NULL REFERENCES networks(name) ON DELETE CASCADE,
	key     TEXT NOT NULL,
	value   TEXT NOT NULL,
	PRIMARY KEY (network, key)
) STRICT, WITHOUT ROWID;

INSERT INTO network_config SELECT name, 'ipv4.address', iif(ipv4 = '', 'none', ipv4) FROM networks;
INSERT INTO network_config SELECT name, 'ipv6.address', iif(ipv6 = '', 'none', ipv6) FROM networks;
INSERT INTO network_config SELECT name, 'ipv4.nat', 'true' FROM networks WHERE nat AND ipv4 <> '';
INSERT INTO network_config SELECT name, 'ipv6.nat', 'true' FROM networks WHERE nat AND ipv6 <> '';
INSERT INTO network_config SELECT name, 'bridge.mtu', mtu FROM networks WHERE mtu <> 0;

ALTER TABLE networks DROP COLUMN ipv4;
ALTER TABLE networks DROP COLUMN ipv6;
ALTER TABLE networks DROP COLUMN nat;
ALTER TABLE networks DROP COLUMN mtu;
ALTER TABLE networks DROP COLUMN nft_table;
ALTER TABLE networks DROP COLUMN domain;

-- A forward leads what arrives at an address of the host to instances. Its parts follow the instance they name.
CREATE TABLE network_forwards (
	network     TEXT NOT NULL REFERENCES networks(name) ON DELETE CASCADE,
	listen      TEXT NOT NULL,
	description TEXT NOT NULL,
	target      TEXT, -- address
	PRIMARY KEY (network, listen)
) STRICT, WITHOUT ROWID;

CREATE TABLE network_forward_ports (
	network      TEXT NOT NULL,
	listen       TEXT NOT NULL,
	protocol     TEXT NOT NULL CHECK (protocol IN ('tcp', 'udp')),
	first        INTEGER NOT NULL,
	last         INTEGER NOT NULL,
	instance     INTEGER REFERENCES instances(id) ON DELETE CASCADE,
	target       TEXT, -- address, where no instance is named
	target_first INTEGER NOT NULL,
	target_last  INTEGER NOT NULL,
	PRIMARY KEY (network, listen, protocol, first),
	FOREIGN KEY (network, listen) REFERENCES network_forwards(network, listen) ON DELETE CASCADE,
	CHECK ((instance IS NULL) <> (target IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX network_forward_ports_instance ON network_forward_ports(instance);
