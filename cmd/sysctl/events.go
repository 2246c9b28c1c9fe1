package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) eventsCmd() *cobra.Command {
	var o manager.EventOptions
	var since string
	cmd := &cobra.Command{
		Use:   "events",
		Short: "show what has happened, or what happens",
		Long: `Shows what has happened to instances, their snapshots, images, networks and profiles: the newest 10,000 events, the
oldest first. With --follow, shows what happens from now on, until it is interrupted; in JSON that is one event a
line. No daemon is needed: the events are in the database.

Actions are called as LXD calls them: instance-created, -started, -stopped (by a verb), -shutdown (by itself), -paused,
-resumed, -updated, -renamed, -restored, -deleted, instance-snapshot-created, image-created, network-updated, ...`,
		Example: `  sysctl events
  sysctl events --since 2h --type instance
  sysctl events --follow --format json
  sysctl events --type 'instance-st*' --type network`,
		Args:              takes(0, 0),
		ValidArgsFunction: nothing,
	}
	cmd.Flags().BoolVarP(&o.Follow, "follow", "f", false, "go on with what happens")
	cmd.Flags().StringVar(&since, "since", "", "only those since a `TIME`: 2026-01-31, 2026-01-31T15:04, or how long ago: 90s, 2h, 3d")
	cmd.Flags().StringSliceVar(&o.Types, "type", nil, "only those of a `TYPE`: "+strings.Join(sysctl.EventTypes(), ", ")+", or an action, such as instance-started or *-deleted (repeatable)")
	mustComplete(cmd, "since", nothing)
	mustComplete(cmd, "type", fixed(sysctl.EventTypes()...))
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var bad sysctl.FieldErrors
		var err error
		if o.Since, err = moment(since, a.now()); err != nil {
			bad.Add("--since", "%v", err)
		}
		for _, t := range o.Types {
			if _, err := path.Match(t, ""); err != nil || !strings.ContainsAny(t, "-*?[") && !slices.Contains(sysctl.EventTypes(), t) {
				bad.Add("--type", "%q is none of %s, and no action", t, strings.Join(sysctl.EventTypes(), ", "))
			}
		}
		if o.Follow && *out == "yaml" {
			bad.Add("--format", "yaml has no end here: follow in json, csv or table")
		}
		if err := bad.Err(); err != nil {
			return sysctl.Wrap(err, "events")
		}
		return a.with(cmd, func(ctx context.Context, b backend) error {
			if o.Follow {
				return a.followEvents(ctx, b, o, *out)
			}
			var list []sysctl.Event
			err := b.Events(ctx, o, func(e sysctl.Event) error { list = append(list, e); return nil })
			if err != nil {
				return err
			}
			v := view{columns: eventColumns(), value: orEmpty(list)}
			for _, e := range list {
				v.rows = append(v.rows, eventRow(e))
			}
			return a.print(*out, v)
		})
	}
	return a.verb(cmd, traits{})
}

// followEvents prints each event when it comes. An interruption is how it ends.
func (a *app) followEvents(ctx context.Context, b backend, o manager.EventOptions, f format) error {
	first := true
	err := b.Events(ctx, o, func(e sysctl.Event) error {
		if f == "json" {
			line, err := json.Marshal(e)
			if err != nil {
				return err
			}
			return a.printLines(string(line))
		}
		v := view{columns: eventColumns(), rows: [][]string{eventRow(e)}}
		if f == "table" {
			row := v.rows[0]
			return a.printLines(clean(fmt.Sprintf("%s  %-26s  %s", row[0], row[1], strings.TrimSpace(row[2]+"  "+row[3]))))
		}
		v.headless, first = !first, false
		return a.print(f, v)
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func eventColumns() []string { return []string{"TIME", "ACTION", "NAME", "CONTEXT"} }

func eventRow(e sysctl.Event) []string {
	var words []string
	for _, k := range slices.Sorted(maps.Keys(e.Context)) {
		words = append(words, k+"="+e.Context[k])
	}
	return []string{e.Time.Local().Format("2006-01-02 15:04:05"), e.Action, e.Name, strings.Join(words, " ")}
}

// moment reads a time, or how long before now it was. "" is the zero time.
func moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	ago := s
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n float64
		if _, err := fmt.Sscanf(days, "%g", &n); err == nil {
			ago = fmt.Sprintf("%gh", 24*n)
		}
	}
	if d, err := time.ParseDuration(ago); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: write 2026-01-31, 2026-01-31T15:04, or 2h for two hours ago", s)
}
