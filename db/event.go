package db

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// Events returns what has happened after the event with that id, the oldest first. At most 10,000 are kept.
func (d *DB) Events(ctx context.Context, after int64) (list []sysctl.Event, err error) {
	err = d.read(ctx, func(q querier) error {
		list = []sysctl.Event{}
		return each(ctx, q, "SELECT id, time, action, name, context FROM events WHERE id > ? ORDER BY id", []any{after}, func(rows *sql.Rows) error {
			e := sysctl.Event{Context: map[string]string{}}
			var at int64
			var context string
			if err := rows.Scan(&e.ID, &at, &e.Action, &e.Name, &context); err != nil {
				return err
			}
			e.Time = fromNanos(at)
			list = append(list, e)
			return json.Unmarshal([]byte(context), &list[len(list)-1].Context)
		})
	})
	return list, err
}

// RunStarted tells that a run of an instance has begun, once for each run; the end of one before it is told first where
// nobody has. It does not wait for the disk: after a power cut nothing runs.
func (d *DB) RunStarted(ctx context.Context, id int64, run string) error {
	return d.writeSoon(ctx, func(t *tx) error { return t.runStarted(ctx, id, run) })
}

func (t *tx) runStarted(ctx context.Context, id int64, run string) error {
	told, err := texts(ctx, t, "SELECT run FROM instance_told WHERE instance = ?", id)
	if err != nil || len(told) > 0 && told[0] == run {
		return err
	}
	if len(told) > 0 {
		err = t.tell(ctx, id, sysctl.InstanceStopped)
	}
	if err == nil {
		err = t.exec(ctx, "INSERT OR REPLACE INTO instance_told VALUES (?, ?)", id, run)
	}
	if err == nil {
		err = t.tell(ctx, id, sysctl.InstanceStarted)
	}
	return err
}

// RunEnded tells that the run of an instance whose beginning was told is over, with InstanceStopped or InstanceShutdown.
// Where nothing is told to run, nothing happens; nor where run is not "" and another one is.
func (d *DB) RunEnded(ctx context.Context, id int64, run, action string) error {
	return d.writeSoon(ctx, func(t *tx) error {
		res, err := t.ExecContext(ctx, "DELETE FROM instance_told WHERE instance = ?1 AND (?2 = '' OR run = ?2)", id, run)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return t.tell(ctx, id, action)
	})
}

// Told returns the runs whose beginning was told and whose end was not, by instance.
func (d *DB) Told(ctx context.Context) (runs map[int64]string, err error) {
	runs = map[int64]string{}
	err = d.read(ctx, func(q querier) error {
		return each(ctx, q, "SELECT instance, run FROM instance_told", nil, func(rows *sql.Rows) error {
			var id int64
			var run string
			err := rows.Scan(&id, &run)
			runs[id] = run
			return err
		})
	})
	return runs, err
}

// Tell tells of something that no row says of an instance. It does not wait for the disk.
func (d *DB) Tell(ctx context.Context, id int64, action string) error {
	return d.writeSoon(ctx, func(t *tx) error { return t.tell(ctx, id, action) })
}

// forgotten is how many events are given up where a full disk has no room for one: some pages full.
const forgotten = 500

// forgetEvents forgets the oldest ones.
func (t *tx) forgetEvents(ctx context.Context, n int) error {
	return t.exec(ctx, "DELETE FROM events WHERE id < (SELECT min(id) FROM events) + ?", n)
}

// LastEvent is the id of the newest event, 0 where there is none.
func (d *DB) LastEvent(ctx context.Context) (id int64, err error) {
	err = d.read(ctx, func(q querier) error {
		return q.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM events").Scan(&id)
	})
	return id, err
}

func (t *tx) tell(ctx context.Context, id int64, action string) error {
	return t.exec(ctx, "INSERT INTO events (action, name) SELECT ?, name FROM instances WHERE id = ?", action, id)
}

// Changes returns a channel that has a value after the database may have changed, until ctx ends; then it is closed, as
// when the database is removed. Changes that come close together give one value.
func (d *DB) Changes(ctx context.Context) (<-chan struct{}, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, sysctl.Wrap(err, "watch database")
	}
	// Every commit writes to the log first (WAL). The database itself is watched for its removal.
	for name, mask := range map[string]uint32{d.path + "-wal": unix.IN_MODIFY | unix.IN_DELETE_SELF, d.path: unix.IN_DELETE_SELF} {
		if _, err := unix.InotifyAddWatch(fd, name, mask); err != nil {
			return nil, sysctl.Wrap(errors.Join(err, unix.Close(fd)), "watch %s", filepath.Base(name))
		}
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	changes := make(chan struct{}, 1)
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	})
	go func() {
		defer close(changes)
		defer unix.Close(fd)
		defer func() {
			if !stop() {
				<-ended // it may be writing
			}
			unix.Close(wake)
		}()
		buf := make([]byte, 4096)
		writing := false // the log was written to, and nobody can see yet what
		for {
			timeout := -1
			if writing {
				timeout = 2 // milliseconds: that the writer is done is no event
			}
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}
			if _, err := unix.Poll(fds, timeout); err != nil && err != unix.EINTR {
				return
			}
			if ctx.Err() != nil {
				return
			}
			if n, err := unix.Read(fd, buf); err == nil {
				if removed(buf[:n]) {
					return
				}
				writing = true
			}
			if !writing || d.beingWritten() {
				continue
			}
			writing = false
			select {
			case changes <- struct{}{}:
			default:
			}
		}
	}()
	return changes, nil
}

// beingWritten reports whether a transaction holds SQLite's write lock, which it gives back when everybody can see what it
// wrote: byte 120 of the log's index (WAL_WRITE_LOCK, wal.c). Asking takes no lock.
func (d *DB) beingWritten() bool {
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0, Start: 120, Len: 1}
	err := unix.FcntlFlock(d.index.Fd(), unix.F_OFD_GETLK, &l)
	return err == nil && l.Type != unix.F_UNLCK
}

// removed reports that what is watched is gone, as inotify(7) says it.
func removed(events []byte) bool {
	const header = 16 // watch 4, mask 4, cookie 4, length of the name 4
	for len(events) >= header {
		if binary.NativeEndian.Uint32(events[4:])&(unix.IN_DELETE_SELF|unix.IN_IGNORED|unix.IN_UNMOUNT) != 0 {
			return true
		}
		events = events[min(len(events), header+int(binary.NativeEndian.Uint32(events[12:]))):]
	}
	return false
}
