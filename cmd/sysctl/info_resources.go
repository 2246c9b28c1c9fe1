package main

import (
	"context"
	"fmt"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// resources is what info --resources prints.
type resources struct {
	Host     manager.HostLoad `json:"host"`
	Instance *manager.Load    `json:"instance,omitempty"`
}

// showResources prints what the host has and uses, and where one is named what an instance may and does.
func (a *app) showResources(ctx context.Context, b backend, f format, name string) error {
	var r resources
	if name != "" {
		l, err := b.Load(ctx, name)
		if err != nil {
			return err
		}
		r.Instance = &l
	}
	var err error
	if r.Host, _, err = b.Loads(ctx); err != nil {
		return err
	}
	rows := pairs("host", fmt.Sprintf("%d of %d instances run", r.Host.Running, r.Host.Instances))
	rows = append(rows, resourceRows("host ", r.Host.Resources, -1)...)
	if l := r.Instance; l != nil {
		rows = append(rows, pairs("instance", l.Name, "status", string(l.Status))...)
		if l.Uptime > 0 {
			rows = append(rows, pairs("uptime", durationText(l.Uptime))...)
		}
		rows = append(rows, resourceRows("", l.Resources, l.Disk)...)
	}
	return a.print(f, view{rows: rows, value: r})
}

// resourceRows writes resources as pairs, each name behind a word.
func resourceRows(before string, r sysctl.Resources, disk int64) [][]string {
	of := func(used, limit string) string {
		if used != "" && limit != "" {
			return used + " of " + limit
		}
		return used
	}
	memory, procs, cpus := "", "", r.CPUs
	if r.MemoryMax > 0 {
		memory = bytesText(r.MemoryMax) + " (" + percentText(100*float64(r.Memory)/float64(r.MemoryMax)) + ")"
	}
	if r.ProcsMax > 0 {
		procs = countText(r.ProcsMax)
	}
	if r.CPULimit > 0 {
		cpus = spaced(cpus, fmt.Sprintf("(at most %g of their time)", r.CPULimit))
	}
	rows := pairs(before+"cpus", cpus, before+"cpu time", durationText(r.CPU), before+"memory", of(bytesText(r.Memory), memory),
		before+"file cache", bytesText(r.Cache), before+"swap", bytesText(r.Swap), before+"processes", of(countText(r.Processes), procs),
		before+"disk", bytesText(disk), before+"read", bytesText(r.Read), before+"written", bytesText(r.Written))
	for _, t := range r.Networks {
		rows = append(rows, []string{before + t.Name, fmt.Sprintf("received %s in %d packets, sent %s in %d, %d errors, %d dropped",
			bytesText(t.Received), t.PacketsReceived, bytesText(t.Sent), t.PacketsSent, t.Errors, t.Dropped)})
	}
	for _, p := range r.Pressure {
		rows = append(rows, []string{before + p.Of + " pressure", fmt.Sprintf("some %.1f%%, full %.1f%% of the last 10 seconds; %.1f%%, %.1f%% of the last 60", p.Some10, p.Full10, p.Some60, p.Full60)})
	}
	return rows
}
