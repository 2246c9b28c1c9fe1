package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) infoCmd() *cobra.Command {
	var uses bool
	cmd := &cobra.Command{
		Use:   "info [NAME]",
		Short: "show everything known of an instance",
		Long: `Shows an instance: status, addresses, init, image, profiles, what it uses, the measures by which its guest boots
here (those that it was started with or, where it does not run, those of its next start), and, where it is broken, why.
JSON and YAML have its configuration too; "sysctl config show" prints that alone.

With --resources, shows what the host has and uses and, where an instance is named, what it uses of what it may: CPUs,
memory, processes, disks, network, and the pressure where the kernel measures it.`,
		Example:           "  sysctl info web1\n  sysctl info web1 --format yaml\n  sysctl info --resources\n  sysctl info web1 --resources",
		Args:              takes(0, 1),
		ValidArgsFunction: first(a.names()),
	}
	cmd.Flags().BoolVar(&uses, "resources", false, "what the host and the instance use and may use")
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if uses {
			name := strings.Join(args, "")
			return a.with(cmd, func(ctx context.Context, b backend) error { return a.showResources(ctx, b, *out, name) })
		}
		if len(args) == 0 {
			return usageError(cmd, "too few arguments: name an instance, or add --resources for the host's")
		}
		return a.with(cmd, func(ctx context.Context, b backend) error {
			d, err := b.Info(ctx, args[0])
			if err != nil {
				return err
			}
			return a.print(*out, infoView(d))
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

// sentence is a remark with its way out.
func sentence(r sysctl.Remark) string {
	if r.Way == "" {
		return r.Why
	}
	return r.Why + ": " + r.Way
}

func infoView(d manager.Detail) view {
	idmap := "none: root in it is root of this host"
	if d.IDMap.Size > 0 {
		idmap = fmt.Sprintf("%d-%d", d.IDMap.Base, d.IDMap.Base+d.IDMap.Size-1)
		if d.IDMap.Shared {
			idmap += ", which others share"
		}
	}
	rows := pairs("name", d.Name, "status", string(d.State.Status), "guest", d.Guest.Name, "template", d.Template,
		"image", sysctl.ShortID(d.Image), "profiles", strings.Join(d.Profiles, ", "),
		"ephemeral", yesNo(d.Ephemeral), "ids", idmap, "created", timeText(d.Created))
	for _, n := range d.NICs {
		network := n.Network
		if network != "" {
			network = "on " + network
		}
		rows = append(rows, []string{n.Device, spaced(addrText(n.IPv4), addrText(n.IPv6), network, n.MAC)})
	}
	if d.State.Init.PID != 0 {
		rows = append(rows, pairs("init", fmt.Sprintf("pid %d", d.State.Init.PID), "uptime", durationText(d.Uptime),
			"processes", countText(d.Usage.Processes), "memory", bytesText(d.Usage.Memory), "cpu", durationText(d.Usage.CPU))...)
	}
	disk := bytesText(d.Usage.Disk)
	if disk != "" && d.Usage.DiskMax > 0 {
		disk += " of " + bytesText(d.Usage.DiskMax)
	}
	rows = append(rows, pairs("disk", disk)...)
	measure := "measure"
	if d.State.Init.PID == 0 {
		measure = "measure at start"
	}
	for _, taken := range d.Measures {
		rows = append(rows, []string{measure, taken.ID + ": " + taken.Does})
	}
	for _, r := range d.Refusals {
		rows = append(rows, []string{"cannot start", sentence(r)})
	}
	if d.Patched.Any() {
		rows = append(rows, pairs("changed copies", d.Patched.String())...)
	}
	if d.Crashes.Count > 0 {
		rows = append(rows, pairs("crashes", crashText(d))...)
	}
	for _, p := range d.State.Problems {
		rows = append(rows, []string{"problem", p})
	}
	return view{rows: rows, value: d}
}

// crashText tells how often an instance has crashed in a row, when and why at last, and what comes of it.
func crashText(d manager.Detail) string {
	c := d.Crashes
	text := fmt.Sprintf("%d in a row, the newest %s: %s", c.Count, timeText(c.Last), c.Cause)
	switch {
	case d.State.Init.PID != 0:
		return text + "; started again"
	case !c.Due.IsZero():
		return text + "; to be started again " + timeText(c.Due)
	}
	return text + "; left stopped"
}

// spaced joins what is not empty with spaces.
func spaced(words ...string) string {
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}
