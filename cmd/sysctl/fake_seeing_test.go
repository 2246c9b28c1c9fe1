package main

import (
	"context"
	"slices"

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
