-- A layer of changed copies (storage.StagePatched) belongs to the list of layers whose files it hides.

CREATE TABLE patched_layers (
	base    TEXT PRIMARY KEY, -- ids of those layers, lowest first, a space between two
	edition INTEGER NOT NULL, -- of what found the files
	layer   TEXT REFERENCES layers(id) ON DELETE RESTRICT, -- NULL: there is nothing to change
	files   TEXT NOT NULL, -- JSON: what was changed, by path
	unsure  TEXT NOT NULL  -- JSON: names
) STRICT;
CREATE INDEX patched_layers_layer ON patched_layers(layer);

-- What an instance runs changed copies of, since its newest start.
CREATE TABLE instance_patched (
	instance INTEGER PRIMARY KEY REFERENCES instances(id) ON DELETE CASCADE,
	layer    TEXT REFERENCES layers(id) ON DELETE RESTRICT,
	files    INTEGER NOT NULL,
	own      INTEGER NOT NULL,
	unsure   TEXT NOT NULL -- JSON: names
) STRICT;
CREATE INDEX instance_patched_layer ON instance_patched(layer);
