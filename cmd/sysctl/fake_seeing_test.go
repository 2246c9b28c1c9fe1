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

// Loads has each instance that runs use more than the one before.
func (f *fake) Loads(ctx context.Context) (manager.HostLoad, []manager.Load, error) {
	list, _ := f.List(ctx)
	loads := []manager.Load{}
	for _, i := range list {
		if i.State.Init.PID == 0 {
			continue
		}
		l, _ := f.Load(ctx, i.Name)
		loads = append(loads, l)
	}
	slices.SortFunc(loads, func(a, b manager.Load) int { return strings.Compare(a.Name, b.Name) })
	host := sysctl.Resources{CPU: time.Hour, CPUs: "0-1", Memory: 1 << 30, MemoryMax: 4 << 30, Cache: 1 << 20, Processes: 99, ProcsMax: 32768,
		Networks: []sysctl.Traffic{{Name: "eth0", Received: 1, Sent: 2}}, Pressure: []sysctl.Pressure{{Of: "cpu", Some10: 1.5}}}
	return manager.HostLoad{Resources: host, Running: len(loads), Instances: len(list)}, loads, nil
}

func (f *fake) Load(_ context.Context, name string) (manager.Load, error) {
	i, err := f.on("info", name)
	if err != nil {
		return manager.Load{}, err
	}
	l := manager.Load{ID: i.ID, Name: name, Status: i.State.Status, Disk: 1 << 20, Resources: sysctl.Resources{CPU: -1, Memory: -1, MemoryMax: -1, Processes: -1,
		ProcsMax: -1, Cache: -1, Swap: -1, Read: -1, Written: -1, CPULimit: -1}}
	if i.State.Init.PID != 0 {
		n := i.ID
		l.Uptime = 90 * time.Second
		l.Resources = sysctl.Resources{CPU: time.Duration(n) * time.Second, CPUs: "0-1", CPULimit: 0.5, Memory: n << 20, MemoryMax: 512 << 20, Processes: 3 * n, ProcsMax: 0,
			Cache: 1 << 10, Read: n << 10, Written: 0, Networks: []sysctl.Traffic{{Name: "eth0", Received: 2048, Sent: 1024, PacketsReceived: 5, PacketsSent: 4}},
			Pressure: []sysctl.Pressure{{Of: "memory", Some10: 2.5, Full10: 1}}}
	}
	return l, nil
}

func (f *fake) SnapshotCounts(context.Context) (map[int64]int, error) {
	counts := map[int64]int{}
	for name, list := range f.Snaps {
		if i := f.Instances[name]; i != nil {
			counts[i.ID] = len(list)
		}
	}
	return counts, nil
}

func (f *fake) Mount(_ context.Context, name, snap, dir string) error {
	if err := f.comparable(name, manager.DiffOptions{From: snap}); err != nil {
		return err
	}
	f.Mounts = append(f.Mounts, manager.View{Name: name, Snapshot: snap, Dir: dir})
	return nil
}

func (f *fake) Views(context.Context) ([]manager.View, error) { return f.Mounts, nil }

func (f *fake) Unmount(_ context.Context, ref string, _ bool) error {
	n := len(f.Mounts)
	f.Mounts = slices.DeleteFunc(f.Mounts, func(v manager.View) bool { return v.Name == ref || v.Dir == ref })
	if len(f.Mounts) == n {
		return sysctl.Wrap(sysctl.E(sysctl.NotFound, "nothing of ours is mounted there").WithHint("sysctl mount"), "umount %s", ref)
	}
	return nil
}
