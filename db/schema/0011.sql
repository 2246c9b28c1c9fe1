-- Of which run the newest crash is, so that one is noted once; '': of none, a start that failed.
ALTER TABLE crashes ADD COLUMN run TEXT NOT NULL DEFAULT '';
