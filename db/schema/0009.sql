-- A profile as somebody wrote it, with its comments; '': nobody did.
ALTER TABLE profiles ADD COLUMN text TEXT NOT NULL DEFAULT '';
