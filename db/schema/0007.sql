-- What has happened, told in the transaction in which it does: by triggers, so that no verb can forget it. The newest ones
-- are kept. Ids are never used again, so a follower asks for those after the last that it has seen.
CREATE TABLE events (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	time    INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000000),
	action  TEXT NOT NULL, -- "instance-created", …
	name    TEXT NOT NULL,
	context TEXT NOT NULL DEFAULT '{}' -- JSON of an object of strings
) STRICT;

CREATE TRIGGER events_bounded AFTER INSERT ON events BEGIN
	DELETE FROM events WHERE id <= NEW.id - 10000;
END;

-- Whether an instance has ever been whole: one that was never does not count as deleted.
ALTER TABLE instances ADD COLUMN whole INTEGER NOT NULL DEFAULT 0;
UPDATE instances SET whole = ready;

CREATE TRIGGER instance_made AFTER UPDATE OF ready ON instances WHEN NEW.ready AND NOT OLD.ready AND NOT OLD.whole BEGIN
	UPDATE instances SET whole = 1 WHERE id = NEW.id;
	INSERT INTO events (action, name, context) VALUES ('instance-created', NEW.name, json_object('template', NEW.template));
END;
CREATE TRIGGER instance_renamed AFTER UPDATE OF name ON instances WHEN NEW.name <> OLD.name BEGIN
	INSERT INTO events (action, name, context) VALUES ('instance-renamed', NEW.name, json_object('old_name', OLD.name));
END;
CREATE TRIGGER instance_deleted AFTER DELETE ON instances WHEN OLD.whole BEGIN
	INSERT INTO events (action, name) VALUES ('instance-deleted', OLD.name);
END;

-- The run of an instance whose start has been told and whose end has not.
CREATE TABLE instance_told (
	instance INTEGER PRIMARY KEY REFERENCES instances(id) ON DELETE CASCADE,
	run      TEXT NOT NULL
) STRICT;

-- A restore drops the upper; a snapshot, which makes it a layer, is told by its own row. Those of an instance that is
-- deleted go with it.
CREATE TRIGGER instance_restored AFTER INSERT ON instance_pending WHEN NEW.layer IS NULL BEGIN
	INSERT INTO events (action, name) SELECT 'instance-restored', name FROM instances WHERE id = NEW.instance AND whole;
END;
CREATE TRIGGER snapshot_made AFTER INSERT ON snapshots BEGIN
	INSERT INTO events (action, name, context)
		SELECT 'instance-snapshot-created', name, json_object('snapshot', NEW.name) FROM instances WHERE id = NEW.instance;
END;
CREATE TRIGGER snapshot_renamed AFTER UPDATE OF name ON snapshots WHEN NEW.name <> OLD.name BEGIN
	INSERT INTO events (action, name, context)
		SELECT 'instance-snapshot-renamed', name, json_object('snapshot', NEW.name, 'old_name', OLD.name) FROM instances WHERE id = NEW.instance;
END;
CREATE TRIGGER snapshot_deleted AFTER DELETE ON snapshots BEGIN
	INSERT INTO events (action, name, context)
		SELECT 'instance-snapshot-deleted', name, json_object('snapshot', OLD.name) FROM instances WHERE id = OLD.instance;
END;

CREATE TRIGGER image_made AFTER INSERT ON images BEGIN
	INSERT INTO events (action, name, context) VALUES ('image-created', NEW.id, json_object('source', NEW.source));
END;
CREATE TRIGGER image_deleted AFTER DELETE ON images BEGIN
	INSERT INTO events (action, name) VALUES ('image-deleted', OLD.id);
END;
CREATE TRIGGER image_alias_made AFTER INSERT ON image_aliases BEGIN
	INSERT INTO events (action, name, context) VALUES ('image-alias-created', NEW.alias, json_object('image', NEW.image));
END;
CREATE TRIGGER image_alias_moved AFTER UPDATE OF image ON image_aliases WHEN NEW.image <> OLD.image BEGIN
	INSERT INTO events (action, name, context) VALUES ('image-alias-updated', NEW.alias, json_object('image', NEW.image));
END;
CREATE TRIGGER image_alias_deleted AFTER DELETE ON image_aliases BEGIN
	INSERT INTO events (action, name, context) VALUES ('image-alias-deleted', OLD.alias, json_object('image', OLD.image));
END;

CREATE TRIGGER network_made AFTER INSERT ON networks BEGIN
	INSERT INTO events (action, name) VALUES ('network-created', NEW.name);
END;
CREATE TRIGGER network_renamed AFTER UPDATE OF name ON networks WHEN NEW.name <> OLD.name BEGIN
	INSERT INTO events (action, name, context) VALUES ('network-renamed', NEW.name, json_object('old_name', OLD.name));
END;
CREATE TRIGGER network_changed AFTER UPDATE ON networks WHEN NEW.name = OLD.name BEGIN
	INSERT INTO events (action, name) VALUES ('network-updated', NEW.name);
END;
CREATE TRIGGER network_deleted AFTER DELETE ON networks BEGIN
	INSERT INTO events (action, name) VALUES ('network-deleted', OLD.name);
END;

CREATE TRIGGER profile_made AFTER INSERT ON profiles BEGIN
	INSERT INTO events (action, name) VALUES ('profile-created', NEW.name);
END;
CREATE TRIGGER profile_changed AFTER UPDATE ON profiles BEGIN
	INSERT INTO events (action, name) VALUES ('profile-updated', NEW.name);
END;
CREATE TRIGGER profile_deleted AFTER DELETE ON profiles BEGIN
	INSERT INTO events (action, name) VALUES ('profile-deleted', OLD.name);
END;
