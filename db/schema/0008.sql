-- A layer that an import has unpacked stays until then, so that the import can be tried again without unpacking it again.
CREATE TABLE kept_layers (
	layer TEXT PRIMARY KEY REFERENCES layers(id) ON DELETE CASCADE,
	until INTEGER NOT NULL
) STRICT;
