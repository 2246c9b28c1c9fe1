-- 1: it was started and not stopped since, so a host that comes up again starts it where boot.autostart says nothing.
ALTER TABLE instances ADD COLUMN power INTEGER NOT NULL DEFAULT 0 CHECK (power IN (0, 1));

-- How often a guest's init has crashed in a row, since somebody has started it.
CREATE TABLE crashes (
	instance INTEGER PRIMARY KEY REFERENCES instances(id) ON DELETE CASCADE,
	count    INTEGER NOT NULL,
	last     INTEGER NOT NULL,
	cause    TEXT NOT NULL,
	due      INTEGER NOT NULL -- when it is to be started again, 0: it is not
) STRICT;
