package main

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) networkRenderCmd() *cobra.Command {
	var o manager.RenderOptions
	var nics []string
	cmd := &cobra.Command{
		Use:   "render INSTANCE | --image IMAGE",
		Short: "show what would be written into a guest's own network files",
		Long: `Shows what the next start of an instance would change in its guest's own files for hostname, addresses, routes and
resolver, as a patch; or what the first start of an instance of an image would. Nothing is written. Where all is
as it is to be, nothing is printed. A running instance is looked at as it is right now.

Interfaces given by --nic take the place of the instance's own: NAME, then options behind commas. ipv4.address and
ipv6.address take an address with its prefix length (repeatable), dhcp or none, and ipv6.address slaac; ipv4.gateway,
ipv6.gateway, mtu and hwaddr are what their names say; route is DESTINATION@NEXTHOP or a DESTINATION on the link
(repeatable). An image without --nic gets eth0 with addresses that are kept for documentation.`,
		Example: `  sysctl network render web1
  sysctl network render --image debian12
  sysctl network render web1 --nic eth0,ipv4.address=10.0.0.5/24,ipv4.gateway=10.0.0.1 --nic eth1,ipv4.address=dhcp`,
		Args:              takes(0, 1),
		ValidArgsFunction: first(a.names()),
	}
	cmd.Flags().StringVar(&o.Image, "image", "", "look at the `IMAGE` instead of an instance")
	cmd.Flags().StringArrayVar(&nics, "nic", nil, "render this interface: `NAME[,OPTION=VALUE...]` (repeatable)")
	mustComplete(cmd, "image", a.imageRefs())
	mustComplete(cmd, "nic", nothing)
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (len(args) == 0) == (o.Image == "") {
			return usageError(cmd, "name an instance, or an image by --image")
		}
		o.Name = strings.Join(args, "")
		var bad sysctl.FieldErrors
		for _, text := range nics {
			o.NICs = append(o.NICs, parseNIC(text, &bad))
		}
		if err := bad.Err(); err != nil {
			return sysctl.Wrap(err, "network render")
		}
		return a.with(cmd, func(ctx context.Context, b backend) error {
			r, err := b.RenderNetwork(ctx, o)
			if err != nil {
				return err
			}
			return a.printRendering(*out, r)
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict, sysctl.Unsupported}})
}

func (a *app) printRendering(f format, r manager.Rendering) error {
	if r.Reason != "" && !a.quiet {
		a.note("nothing is written: %s", r.Reason)
	}
	if f == "table" {
		text := patch(r.Changes)
		if isTerminal(a.stdout) { // the files are the guest's
			var lines []string
			for line := range strings.Lines(text) {
				cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
				for i := range cells {
					cells[i] = clean(cells[i])
				}
				lines = append(lines, strings.Join(cells, "\t"))
			}
			return a.printLines(lines...)
		}
		return a.write([]byte(text))
	}
	v := view{columns: []string{"PATH", "CHANGE", "WHY"}, value: r}
	for _, c := range r.Changes {
		what := "change"
		switch {
		case c.Before == nil:
			what = "make"
		case c.After == nil:
			what = "remove"
		}
		v.rows = append(v.rows, []string{c.Path, what, c.Why})
	}
	return a.print(f, v)
}

// parseNIC reads an interface as --nic has it.
func parseNIC(text string, bad *sysctl.FieldErrors) sysctl.GuestNIC {
	words := strings.Split(text, ",")
	nic := sysctl.GuestNIC{Name: words[0]}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		if !slices.Contains(nicOptions(), key) {
			bad.Add("--nic "+nic.Name+": "+key, "is no option: known are %s", strings.Join(nicOptions(), ", "))
			continue
		}
		if what := setNIC(&nic, key, value); what != "" {
			bad.Add("--nic "+nic.Name+": "+key, "%q is not %s", value, what)
		}
	}
	return nic
}

// nicOptions are the options that setNIC knows.
func nicOptions() []string {
	return []string{"ipv4.address", "ipv4.gateway", "ipv6.address", "ipv6.gateway", "mtu", "hwaddr", "route"}
}

// setNIC sets one of nicOptions, and says what would be right where the value is not.
func setNIC(nic *sysctl.GuestNIC, key, value string) (right string) {
	v6 := strings.HasPrefix(key, "ipv6.")
	switch key {
	case "ipv4.address", "ipv6.address":
		return setNICAddress(nic, value, v6)
	case "ipv4.gateway", "ipv6.gateway":
		gateway, err := netip.ParseAddr(value)
		if err != nil || gateway.Is6() != v6 {
			return "an address of its family"
		}
		if v6 {
			nic.Gateway6 = gateway
		} else {
			nic.Gateway4 = gateway
		}
	case "mtu":
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			return "a number of bytes"
		}
		nic.MTU = int(n)
	case "hwaddr":
		mac, err := net.ParseMAC(value)
		if err != nil || len(mac) != 6 {
			return "a hardware address, as 00:16:3e:12:34:56"
		}
		nic.MAC = mac.String()
	case "route":
		to, via, hop := strings.Cut(value, "@")
		var r sysctl.Route
		var err error
		if r.Destination, err = netip.ParsePrefix(to); err == nil && hop {
			r.Via, err = netip.ParseAddr(via)
		}
		if err != nil {
			return "DESTINATION@NEXTHOP, as 192.0.2.0/24@10.0.0.9"
		}
		nic.Routes = append(nic.Routes, r)
	}
	return ""
}

func setNICAddress(nic *sysctl.GuestNIC, value string, v6 bool) (right string) {
	method, right := &nic.Method4, "an address with its prefix length, dhcp or none"
	if v6 {
		method, right = &nic.Method6, "an address with its prefix length, dhcp, slaac or none"
	}
	switch m := sysctl.Method(value); {
	case m == sysctl.MethodDHCP, m == sysctl.MethodNone, m == sysctl.MethodSLAAC && v6:
		*method = m
		return ""
	}
	p, err := netip.ParsePrefix(value)
	if err != nil || p.Addr().Is6() != v6 {
		return right
	}
	nic.Addresses = append(nic.Addresses, p)
	return ""
}
