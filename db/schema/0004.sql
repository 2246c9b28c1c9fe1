-- When a snapshot is to be deleted (NULL: never), and whether its instance's schedule made it.
ALTER TABLE snapshots ADD COLUMN expires INTEGER;
ALTER TABLE snapshots ADD COLUMN scheduled INTEGER NOT NULL DEFAULT 0 CHECK (scheduled IN (0, 1));
CREATE INDEX snapshots_expires ON snapshots(expires) WHERE expires IS NOT NULL;

-- Up to when an instance's schedule has been kept. Another schedule begins when it is first seen.
CREATE TABLE instance_schedules (
	instance INTEGER PRIMARY KEY REFERENCES instances(id) ON DELETE CASCADE,
	schedule TEXT NOT NULL,
	kept     INTEGER NOT NULL
) STRICT;
