package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// Diff tells of three files and, between two snapshots, of one.
func (f *fake) Diff(_ context.Context, name string, o manager.DiffOptions) ([]sysctl.Difference, error) {
	if err := f.comparable(name, o); err != nil || o.To != "" {
		return []sysctl.Difference{{Path: "/etc/motd", Change: sysctl.Changed, Type: "file", What: []string{"content"}, Size: 5}}, err
	}
	return []sysctl.Difference{
		{Path: "/etc/motd", Change: sysctl.Changed, Type: "file", What: []string{"content", "mode"}, Size: 5},
		{Path: "/root/a\tb", Change: sysctl.Added, Type: "directory", What: []string{}},
		{Path: "/usr/share/doc", Change: sysctl.Deleted, Type: "directory", What: []string{}},
	}, nil
}

func (f *fake) DiffPackages(_ context.Context, name string, o manager.DiffOptions) ([]sysctl.PackageDifference, error) {
	return []sysctl.PackageDifference{
		{Name: "cron", Arch: "amd64", Change: sysctl.Configured, Before: "3", After: "3", Config: []string{"/etc/crontab"}},
		{Name: "nginx", Arch: "amd64", Change: sysctl.Added, After: "1.22", Config: []string{}},
	}, f.comparable(name, o)
}

func (f *fake) comparable(name string, o manager.DiffOptions) error {
	if _, err := f.on("diff", name); err != nil {
		return err
	}
	for _, snap := range []string{o.From, o.To} {
		if snap != "" && !slices.ContainsFunc(f.Snaps[name], func(s sysctl.Snapshot) bool { return s.Name == snap }) {
			return sysctl.Wrap(sysctl.E(sysctl.NotFound, "snapshot %q not found", snap).WithHint("sysctl snapshot list %s", name), "diff %s", name)
		}
	}
	return nil
}

// Events tells of two; to follow them is to wait.
func (f *fake) Events(ctx context.Context, o manager.EventOptions, each func(sysctl.Event) error) error {
	for i, e := range []sysctl.Event{
		{Action: "instance-created", Name: "web1", Context: map[string]string{"template": "debian12"}},
		{Action: "network-created", Name: "sysbr0", Context: map[string]string{}},
	} {
		e.ID, e.Time = int64(i+1), time.Date(2026, 1, 2, 3, 4, 5+i, 0, time.UTC)
		if e.Time.Before(o.Since) || len(o.Types) > 0 && !strings.HasPrefix(e.Action, o.Types[0]) {
			continue
		}
		if err := each(e); err != nil {
			return err
		}
	}
	return nil
}
