package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
	"github.com/sysctl-os/sysctl/profiles"
)

// column is one column of list: its name, LXD's letter for it, and what it costs.
type column struct {
	name    string
	letter  byte
	heading string
	key     string // of a config key's column
	asked   asked
	value   func(r *row) string
	number  func(r *row) float64 // what it is sorted by, where that is not its text
}

// asked is what has to be asked for besides the list itself, which touches no storage.
type asked struct{ load, disk, snapshots, config bool }

func (n asked) with(o asked) asked {
	return asked{n.load || o.load, n.disk || o.disk, n.snapshots || o.snapshots, n.config || o.config}
}

// row is an instance with what its columns need.
type row struct {
	manager.Info
	load      manager.Load
	snapshots int
	config    map[string]string // with its profiles'
	now       time.Time
}

// columns is the table of columns. Letters are LXD's where LXD has the column.
func columns() []column {
	addresses := func(v6 bool) func(r *row) string {
		return func(r *row) string {
			var list []string
			for _, n := range r.NICs {
				if v6 {
					list = append(list, addrText(n.IPv6))
				} else {
					list = append(list, addrText(n.IPv4))
				}
			}
			return joined(list)
		}
	}
	bytes := func(name string, letter byte, n asked, get func(r *row) int64) column {
		return column{name: name, letter: letter, asked: n, value: func(r *row) string { return bytesText(get(r)) }, number: func(r *row) float64 { return float64(get(r)) }}
	}
	plain := func(name string, letter byte, value func(r *row) string) column {
		return column{name: name, letter: letter, value: value}
	}
	moment := func(name string, letter byte, get func(r *row) time.Time) column {
		return column{name: name, letter: letter, value: func(r *row) string { return timeText(get(r)) }, number: func(r *row) float64 { return float64(get(r).Unix()) }}
	}
	uses := asked{load: true}
	return []column{
		plain("name", 'n', func(r *row) string { return r.Name }),
		plain("status", 's', func(r *row) string { return string(r.State.Status) }),
		plain("ipv4", '4', addresses(false)),
		plain("ipv6", '6', addresses(true)),
		plain("image", 'i', func(r *row) string { return r.Template }),
		moment("created", 'c', func(r *row) time.Time { return r.Created }),
		plain("type", 't', func(r *row) string {
			if r.Ephemeral {
				return "container (ephemeral)"
			}
			return "container"
		}),
		plain("profiles", 'P', func(r *row) string { return strings.Join(r.Profiles, ", ") }),
		{name: "snapshots", letter: 'S', asked: asked{snapshots: true}, value: func(r *row) string { return strconv.Itoa(r.snapshots) },
			number: func(r *row) float64 { return float64(r.snapshots) }},
		plain("architecture", 'a', func(r *row) string { return r.Guest.Arch }),
		plain("fingerprint", 'f', func(r *row) string { return sysctl.ShortID(r.Image) }),
		plain("full_fingerprint", 'F', func(r *row) string { return r.Image }),
		moment("started", 'l', func(r *row) time.Time { return r.State.Started }),
		bytes("memory", 'm', uses, func(r *row) int64 { return r.load.Resources.Memory }),
		{name: "memory_percent", letter: 'M', asked: uses, value: func(r *row) string { return percentText(memoryShare(r)) }, number: memoryShare},
		{name: "processes", letter: 'N', asked: uses, value: func(r *row) string { return countText(r.load.Resources.Processes) },
			number: func(r *row) float64 { return float64(r.load.Resources.Processes) }},
		{name: "pid", letter: 'p', value: func(r *row) string {
			if r.State.Init.PID == 0 {
				return ""
			}
			return strconv.Itoa(r.State.Init.PID)
		}, number: func(r *row) float64 { return float64(r.State.Init.PID) }},
		{name: "cpu", letter: 'u', asked: uses, value: func(r *row) string { return durationText(r.load.Resources.CPU) },
			number: func(r *row) float64 { return float64(r.load.Resources.CPU) }},
		bytes("disk", 'D', asked{disk: true}, func(r *row) int64 { return r.load.Disk }),
		plain("os", 'o', func(r *row) string { return r.Guest.Name }),
		plain("networks", 'w', func(r *row) string {
			var list []string
			for _, n := range r.NICs {
				if !slices.Contains(list, n.Network) {
					list = append(list, n.Network)
				}
			}
			return joined(list)
		}),
		{name: "uptime", letter: 'U', value: func(r *row) string {
			if r.State.Init.PID == 0 {
				return ""
			}
			return durationText(r.now.Sub(r.State.Started))
		}, number: func(r *row) float64 { return -float64(r.State.Started.Unix()) }},
	}
}

func memoryShare(r *row) float64 {
	if r.load.Resources.Memory < 0 || r.load.Resources.MemoryMax <= 0 {
		return -1
	}
	return 100 * float64(r.load.Resources.Memory) / float64(r.load.Resources.MemoryMax)
}

func percentText(p float64) string {
	if p < 0 {
		return ""
	}
	return fmt.Sprintf("%.1f%%", p)
}

func columnNames() []string {
	var names []string
	for _, c := range columns() {
		names = append(names, c.name)
	}
	return names
}

// parseColumns reads --columns: names and config keys, with a heading behind a colon, separated by commas, or LXD's letters.
func parseColumns(s string) ([]column, error) {
	var chosen []column
	for item := range strings.SplitSeq(s, ",") {
		name, heading, _ := strings.Cut(item, ":")
		c, err := columnOf(name)
		switch {
		case err == nil && heading != "":
			c.heading = heading
			chosen = append(chosen, c)
		case err == nil:
			chosen = append(chosen, c)
		case heading != "" || strings.Contains(name, "."):
			return nil, err
		default:
			for _, letter := range []byte(name) {
				n := slices.IndexFunc(columns(), func(c column) bool { return c.letter == letter })
				if n < 0 {
					return nil, err
				}
				chosen = append(chosen, headed(columns()[n]))
			}
		}
	}
	if len(chosen) == 0 || s == "" {
		return nil, fmt.Errorf("names no column: %s, or a config key", strings.Join(columnNames(), ", "))
	}
	return chosen, nil
}

func headed(c column) column {
	c.heading = strings.ToUpper(strings.ReplaceAll(c.name, "_", " "))
	return c
}

// columnOf finds a column by its name, or makes one of a config key.
func columnOf(name string) (column, error) {
	for _, c := range columns() {
		if c.name == name {
			return headed(c), nil
		}
	}
	if strings.Contains(name, ".") {
		if err := checkKey(name); err != nil {
			return column{}, err
		}
		return column{name: name, heading: strings.ToUpper(name), key: name, asked: asked{config: true}, value: func(r *row) string { return r.config[name] }}, nil
	}
	err := fmt.Errorf("%q is no column, no config key and no letters of columns", name)
	if near := sysctl.Nearest(name, columnNames()); near != "" {
		err = fmt.Errorf("%w: did you mean %s?", err, near)
	}
	return column{}, err
}

// checkKey refuses what can be no config key.
func checkKey(name string) error {
	if _, ok := profiles.Lookup(name); !ok {
		return fmt.Errorf("there is no config key %q (sysctl config show --defaults lists them)", name)
	}
	return nil
}

// rowsOf asks for what the chosen columns and filters need.
func rowsOf(ctx context.Context, b backend, list []manager.Info, n asked, now time.Time) ([]row, error) {
	rows := make([]row, len(list))
	at := map[int64]*row{}
	for i, info := range list {
		rows[i] = row{Info: info, now: now, load: manager.Load{Disk: -1, Resources: sysctl.Resources{CPU: -1, Memory: -1, Processes: -1}}}
		at[info.ID] = &rows[i]
	}
	if n.load {
		_, loads, err := b.Loads(ctx)
		if err != nil {
			return nil, err
		}
		for _, l := range loads {
			if r := at[l.ID]; r != nil {
				r.load = l
			}
		}
	}
	if n.disk {
		for i := range rows {
			if l, err := b.Load(ctx, rows[i].Name); err == nil { // else it is gone meanwhile
				rows[i].load.Disk = l.Disk
			}
		}
	}
	if n.snapshots {
		counts, err := b.SnapshotCounts(ctx)
		if err != nil {
			return nil, err
		}
		for id, count := range counts {
			if r := at[id]; r != nil {
				r.snapshots = count
			}
		}
	}
	if n.config {
		return rows, addConfigs(ctx, b, rows)
	}
	return rows, nil
}

// addConfigs merges configurations with profiles.
func addConfigs(ctx context.Context, b backend, rows []row) error {
	all, err := b.Profiles(ctx)
	if err != nil {
		return err
	}
	byName := map[string]sysctl.Profile{}
	for _, p := range all {
		byName[p.Name] = p
	}
	for i := range rows {
		var used []sysctl.Profile
		for _, name := range rows[i].Profiles {
			used = append(used, byName[name])
		}
		rows[i].config, _ = profiles.Merge(used, rows[i].Config, rows[i].Devices)
	}
	return nil
}
