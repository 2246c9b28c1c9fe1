package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

const sourceHelp = `
The template's image is built when it is first used, and kept. A name is made up when none is given. The instance is
unprivileged, has an address on the default network and the configuration of the profile "default";
-p, -c, --network and --ip change that. -c takes config keys and devices (devices.NAME.OPTION=VALUE).
See "sysctl template list", "sysctl image list" and "sysctl config set --help".

When it fails or is interrupted, nothing of the instance is left behind unless --keep is given.`

func (a *app) launchCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "launch TEMPLATE|IMAGE [NAME]",
		Short: "make an instance and start it",
		Long:  "Makes an instance from a template or an image and starts it.\n" + sourceHelp,
		Example: `  sysctl launch debian12 web1
  sysctl launch debian12 db1 -c limits.memory=2GiB -c boot.autostart=true
  sysctl launch debian12 --ephemeral -q
  sysctl launch debian12 web2 --dry-run --format json`,
	}
	return a.creation(cmd, true)
}

func (a *app) createCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create TEMPLATE|IMAGE [NAME]",
		Short: "make an instance without starting it",
		Long:  "Makes an instance from a template or an image. \"sysctl start\" starts it.\n" + sourceHelp,
		Example: `  sysctl create debian12 web2
  sysctl create debian12 web3 -c devices.data.type=disk -c devices.data.source=/srv/web3 -c devices.data.path=/srv`,
	}
	return a.creation(cmd, false)
}

// creation gives launch and create what they have in common.
func (a *app) creation(cmd *cobra.Command, start bool) *cobra.Command {
	var c creation
	c.Start = start
	c.register(cmd)
	out := formatFlag(cmd)
	cmd.Args = takes(1, 2)
	cmd.ValidArgsFunction = each(a.sources(), nothing)
	mustComplete(cmd, "config", a.settingsFlag())
	mustComplete(cmd, "profile", a.profileNames())
	mustComplete(cmd, "network", a.networkNames("none"))
	mustComplete(cmd, "ip", nothing)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := c.options(args)
		if err != nil {
			return sysctl.Wrap(err, "%s %s", cmd.Name(), args[0])
		}
		return a.with(cmd, func(ctx context.Context, b backend) error { return a.create(ctx, b, o, *out) })
	}
	return a.verb(cmd, traits{starts: start, undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Busy,
		sysctl.Unsupported, sysctl.NoSpace, sysctl.Unavailable}})
}

// creation is the options of launch and create as written.
type creation struct {
	manager.CreateOptions
	profiles   []string
	noProfiles bool
	config     []string
	ips        []string
}

func (c *creation) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVarP(&c.config, "config", "c", nil, "set a config key: `KEY=VALUE` (repeatable)")
	f.StringArrayVarP(&c.profiles, "profile", "p", nil, "use the profile `NAME` in place of \"default\" (repeatable, later wins)")
	f.BoolVar(&c.noProfiles, "no-profiles", false, "use no profile at all")
	f.StringArrayVar(&c.ips, "ip", nil, "give the first interface this `ADDRESS` (at most one IPv4 and one IPv6); behind lan:IF it may have a length")
	f.StringVar(&c.Network, "network", "", "connect the first interface to `NETWORK`, or \"none\" for no interface")
	f.BoolVarP(&c.Ephemeral, "ephemeral", "e", false, "delete the instance when it stops")
	f.BoolVar(&c.DryRun, "dry-run", false, "print the plan and change nothing")
	f.BoolVar(&c.Keep, "keep", false, "keep what a failure leaves, to look at it")
}

// options makes the request of what was written, or reports every field of it that cannot be read.
func (c *creation) options(args []string) (manager.CreateOptions, error) {
	var bad sysctl.FieldErrors
	o := c.CreateOptions
	o.Source = args[0]
	if len(args) > 1 {
		if o.Name = args[1]; o.Name == "" {
			bad.Add("name", "is empty: write one, or leave it out to have one made up")
		}
	}
	o.Profiles = c.profiles
	if c.noProfiles {
		o.Profiles = []string{}
		if len(c.profiles) > 0 {
			bad.Add("--no-profiles", "contradicts --profile")
		}
	}
	o.Config, o.Devices = parseConfig(c.config, &bad)
	var v4, v6 bool
	for _, s := range c.ips {
		ip, err := netip.ParseAddr(s)
		if p, isPrefix := netip.ParsePrefix(s); isPrefix == nil {
			ip, err = p.Addr(), nil
		}
		switch {
		case err != nil:
			bad.Add("--ip", "%q is not an IPv4 or IPv6 address", s)
			continue
		case ip.Is4() && v4, ip.Is6() && v6:
			bad.Add("--ip", "%s is the second address of its family: at most one each", s)
		}
		v4, v6 = v4 || ip.Is4(), v6 || ip.Is6()
		o.IPs = append(o.IPs, s)
	}
	return o, bad.Err()
}

// parseConfig splits KEY=VALUE words into config keys and options of devices.
func parseConfig(words []string, bad *sysctl.FieldErrors) (map[string]string, map[string]sysctl.Device) {
	config, devices := map[string]string{}, map[string]sysctl.Device{}
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		device, option, isDevice := cutDevice(key)
		switch {
		case !ok || key == "":
			bad.Add(word, "must be KEY=VALUE")
		case isDevice && (device == "" || option == ""):
			bad.Add(key, "must be devices.NAME.OPTION")
		case isDevice:
			if devices[device] == nil {
				devices[device] = sysctl.Device{}
			}
			devices[device][option] = value
		default:
			config[key] = value
		}
	}
	return config, devices
}

// cutDevice splits "devices.NAME.OPTION"; options may hold dots (ipv4.address).
func cutDevice(key string) (device, option string, ok bool) {
	rest, ok := strings.CutPrefix(key, "devices.")
	if !ok {
		return "", "", false
	}
	device, option, _ = strings.Cut(rest, ".")
	return device, option, true
}

// create makes the instance and prints what became of it: a plan where a format or --dry-run asks for
// it, a name where a program or --quiet does, else a summary for people.
func (a *app) create(ctx context.Context, b backend, o manager.CreateOptions, f format) error {
	of, stop := a.progress()
	o.Progress, o.Note = of(o.Name), a.tellNote()
	began := a.now()
	plan, err := b.Create(ctx, o)
	stop()
	name := plan.Instance.Name
	switch {
	case err != nil:
		return err
	case f != "table" || o.DryRun:
		return a.print(f, planView(plan))
	case a.quiet || !isTerminal(a.stdout):
		return a.printLines(name)
	}
	return a.printLines(summary(plan, o.Start, a.now().Sub(began))...)
}

// summary is what a person wants to know of a new instance, and what to type next.
func summary(p manager.Plan, started bool, took time.Duration) []string {
	what := p.Instance.Guest.Name
	if what == "" {
		what = p.Instance.Template
	}
	state, next := "made", "sysctl start "+p.Instance.Name
	if started {
		state, next = "started", "sysctl shell "+p.Instance.Name
	}
	line := fmt.Sprintf("%s: %s, %s in %.2fs", p.Instance.Name, what, state, took.Seconds())
	if addrs := addresses(p.Instance.NICs); addrs != "" {
		line += ", " + addrs
	}
	return []string{clean(line), "next: " + next}
}

// addresses lists the addresses of all interfaces.
func addresses(nics []sysctl.NIC) string {
	var list []string
	for _, n := range nics {
		for _, ip := range []netip.Addr{n.IPv4, n.IPv6} {
			if ip.IsValid() {
				list = append(list, ip.String())
			}
		}
	}
	return strings.Join(list, ", ")
}

func planView(p manager.Plan) view {
	image := sysctl.ShortID(p.Image)
	if p.Build {
		image = "to be built from " + p.Instance.Template
	}
	steps := &view{columns: []string{"STEP"}}
	for _, s := range p.Steps {
		steps.rows = append(steps.rows, []string{s})
	}
	p.Steps = orEmpty(p.Steps)
	return view{
		rows: pairs("name", p.Instance.Name, "image", image, "guest", p.Instance.Guest.Name,
			"profiles", strings.Join(p.Instance.Profiles, ", "), "addresses", addresses(p.Instance.NICs),
			"ephemeral", yesNo(p.Instance.Ephemeral)),
		more:  steps,
		value: p,
	}
}
