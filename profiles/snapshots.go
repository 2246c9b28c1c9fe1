package profiles

import "github.com/sysctl-os/sysctl"

// snapshotFields is the part of the table that says which snapshots are made and how long they are kept.
func snapshotFields() []field[sysctl.Spec] {
	return []field[sysctl.Spec]{{
		Key: Key{Name: "snapshots.schedule", Type: "cron expression", Default: "none", Example: "30 2 * * *", Live: true,
			Values: []string{"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@annually", "@yearly", "@startup", "@never"},
			Doc:    "When snapshots are made by themselves: minute, hour, day, month and day of the week in the host's time, or names separated by commas (`@daily, @monthly`). `@startup` is at each start by a verb or with the host, before the guest runs; for the others the timer `sysctl-snapshots.timer`, or cron, must call `sysctl snapshot due`."},
		set: func(s *sysctl.Spec, _, v string) (err error) {
			s.Snapshots.Schedule, err = sysctl.ParseSchedule(v)
			return err
		},
	}, {
		Key: Key{Name: "snapshots.schedule.stopped", Type: "bool", Default: "false", Example: "true", Values: bools(), Live: true,
			Doc: "Make scheduled snapshots of the instance also while it is stopped."},
		set: func(s *sysctl.Spec, _, v string) (err error) {
			s.Snapshots.Stopped, err = parseBool(v)
			return err
		},
	}, {
		Key: Key{Name: "snapshots.pattern", Type: "text", Default: sysctl.DefaultPattern, Example: "{{creation_date|date:'2006-01-02'}}", Live: true,
			Doc: "Names of snapshots that get none: `%d` becomes the next number, `{{creation_date|date:'2006-01-02_15-04'}}` the time in that form. A name that is taken gets a number."},
		set: func(s *sysctl.Spec, _, v string) error {
			s.Snapshots.Pattern = v
			return sysctl.CheckPattern(v)
		},
	}, {
		Key: Key{Name: "snapshots.expiry", Type: "length of time", Default: "never", Example: "2w", Live: true,
			Doc: "When new snapshots are to be deleted: `M` minutes, `H` hours, `d` days, `w` weeks, `m` months, `y` years after they were made (`1d 12H`). Those that are there keep theirs."},
		set: func(s *sysctl.Spec, _, v string) (err error) {
			s.Snapshots.Expiry, err = sysctl.ParseExpiry(v)
			return err
		},
	}}
}
