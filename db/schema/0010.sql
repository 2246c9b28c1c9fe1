-- Instances with security.idmap.isolated=false: several may have the same range of host ids. Their id_base is NULL: there it is unique.
CREATE TABLE shared_ids (
	instance INTEGER PRIMARY KEY REFERENCES instances(id) ON DELETE CASCADE,
	base     INTEGER NOT NULL CHECK (base >= 0),
	size     INTEGER NOT NULL CHECK (size > 0)
) STRICT;
