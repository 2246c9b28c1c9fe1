package manager

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/db"
	"github.com/sysctl-os/sysctl/profiles"
)

// Create makes an instance and, with o.Start, starts it: launch is make + start + ready. Everything the
// user said is checked before anything is changed, and every bad field is reported at once. On
// failure nothing half-made is left, unless o.Keep. A half-made instance of the same name, left
// by a command that was killed, is removed first.
func (m *Manager) Create(ctx context.Context, o CreateOptions) (Plan, error) {
	verb := "create"
	if o.Start {
		verb = "launch"
	}
	plan, err := m.create(ctx, &o)
	what := o.Name
	if what == "" {
		what = o.Source
	}
	return plan, sysctl.Wrap(err, "%s %s", verb, what)
}

func (m *Manager) create(ctx context.Context, o *CreateOptions) (Plan, error) {
	made := o.Name == ""
	for {
		plan, err := m.createOnce(ctx, o)
		if !made || o.Name == "" || sysctl.KindOf(err) != sysctl.Exists {
			return plan, err
		}
		if _, taken := m.DB.Instance(ctx, o.Name); taken != nil {
			return plan, err // it is an address that exists
		}
		o.Name = "" // somebody else made up the same name at the same moment, and was first
	}
}

func (m *Manager) createOnce(ctx context.Context, o *CreateOptions) (Plan, error) {
	spec, claim, err := m.checkCreate(ctx, o)
	if err != nil {
		return Plan{}, err
	}
	image, build, err := m.findImage(ctx, o.Source)
	if err != nil {
		return Plan{}, err
	}
	if o.Name == "" {
		if o.Name, err = m.freeName(ctx, o.Source); err != nil {
			return Plan{}, err
		}
	} else if inst, err := m.DB.Instance(ctx, o.Name); err == nil && inst.Ready {
		return Plan{}, taken(o.Name)
	}
	if o.Start && !o.DryRun {
		m.Runtime.Warm()
	}
	claim.Instance.Name = o.Name
	if err := m.checkFree(ctx, o.Name, claim.NICs); err != nil {
		return Plan{}, err
	}
	if o.Start {
		if err := checkDisks(spec); err != nil {
			return Plan{}, err
		}
	}
	mk := &making{m: m, o: o, spec: spec, claim: claim, image: image, build: build}
	plan := Plan{Instance: claim.Instance, Image: image.ID, Build: build != "", Steps: stepNames(mk.steps())}
	if o.DryRun {
		return plan, nil
	}
	unlock, err := m.lock(ctx, "instance", o.Name, o.Progress)
	if err != nil {
		return plan, err
	}
	defer unlock()
	if err := m.clearHalfMade(ctx, o.Name); err != nil {
		return plan, err
	}
	if err := runSteps(ctx, mk.steps(), o.Keep, o.Progress); err != nil {
		return plan, err
	}
	plan.Instance, plan.Image = mk.inst, mk.image.ID
	return plan, nil
}

func taken(name string) error {
	return sysctl.E(sysctl.Exists, "an instance of this name exists").WithHint("sysctl info %s", name)
}

// checkCreate checks everything the user said: name, keys, values, devices, profiles, addresses.
func (m *Manager) checkCreate(ctx context.Context, o *CreateOptions) (sysctl.Spec, db.Claim, error) {
	var bad sysctl.FieldErrors
	if o.Name != "" {
		if err := checkNewName(o.Name); err != nil {
			bad.Add("name", "%v", err)
		}
	}
	if o.Profiles == nil {
		o.Profiles = []string{"default"}
	}
	ps, err := m.profiles(ctx, o.Profiles, &bad)
	if err != nil {
		return sysctl.Spec{}, db.Claim{}, err
	}
	devices, err := m.networkFlags(ctx, o, ps, &bad)
	if err != nil {
		return sysctl.Spec{}, db.Claim{}, err
	}
	if err := addBad(&bad, m.checkConfig(o.Config, devices)); err != nil {
		return sysctl.Spec{}, db.Claim{}, err
	}
	config, merged := profiles.Merge(ps, o.Config, devices)
	var nics []db.ClaimNIC
	if onlyDevices, err := profiles.Resolve(nil, merged); err == nil { // addresses can be judged though a key is wrong
		nics, err = m.claimNICs(ctx, onlyDevices, nil)
		if err := addBad(&bad, err); err != nil {
			return sysctl.Spec{}, db.Claim{}, err
		}
	}
	if err := bad.Err(); err != nil {
		return sysctl.Spec{}, db.Claim{}, err
	}
	spec, err := profiles.Resolve(config, merged)
	if err != nil {
		return sysctl.Spec{}, db.Claim{}, err
	}
	claim := db.Claim{
		Instance: sysctl.Instance{Profiles: o.Profiles, Config: o.Config, Devices: devices, Ephemeral: o.Ephemeral, Template: o.Source},
		NICs:     nics, MAC: m.Net.MAC,
	}
	if !spec.Privileged {
		claim.IDs = &m.IDs
	}
	return spec, claim, nil
}

// addBad moves the fields of a FieldErrors into bad and returns any other error.
func addBad(bad *sysctl.FieldErrors, err error) error {
	var fe sysctl.FieldErrors
	if errors.As(err, &fe) {
		*bad = append(*bad, fe...)
		return nil
	}
	return err
}

// profiles reads profiles by name; a missing one is a bad field.
func (m *Manager) profiles(ctx context.Context, names []string, bad *sysctl.FieldErrors) ([]sysctl.Profile, error) {
	var ps []sysctl.Profile
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			bad.Add("profile", "%q is given twice", name)
			continue
		}
		p, err := m.DB.Profile(ctx, name)
		if sysctl.KindOf(err) == sysctl.NotFound {
			bad.Add("profile", "%v (\"sysctl profile list\" lists them)", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		ps = append(ps, p)
	}
	return ps, nil
}

// networkFlags turns --ip and --network into the instance's own devices: they are short for options
// of its first NIC.
func (m *Manager) networkFlags(ctx context.Context, o *CreateOptions, ps []sysctl.Profile, bad *sysctl.FieldErrors) (map[string]sysctl.Device, error) {
	devices := o.Devices
	if o.Network == "" && len(o.IPs) == 0 {
		return devices, nil
	}
	_, all := profiles.Merge(ps, nil, o.Devices)
	first := firstNIC(all)
	out := map[string]sysctl.Device{}
	for name, d := range devices {
		out[name] = d
	}
	if o.Network == "none" {
		if len(o.IPs) > 0 {
			bad.Add("--ip", "an address needs a network: drop --network none")
		}
		for name, d := range all {
			if d["type"] == "nic" {
				out[name] = sysctl.Device{"type": "none"}
			}
		}
		return out, nil
	}
	nic := sysctl.Device{"type": "nic"}
	if first == "" {
		first = "eth0"
	} else {
		for k, v := range all[first] {
			nic[k] = v
		}
	}
	switch parent, lan := strings.CutPrefix(o.Network, "lan:"); {
	case lan:
		if parent == "" {
			bad.Add("--network", "names no interface: write lan:IF, such as lan:eth0")
			return devices, nil
		}
		delete(nic, "network")
		nic["nictype"], nic["parent"] = "macvlan", parent
		p, err := m.Net.Parent(ctx, parent) // one that is not there is reported when its addresses are judged
		if err != nil && sysctl.KindOf(err) != sysctl.NotFound {
			return nil, err
		}
		if p.Bridge {
			nic["nictype"] = "bridged"
		}
	case o.Network != "":
		delete(nic, "nictype")
		delete(nic, "parent")
		nic["network"] = o.Network
	case nic["network"] == "" && nic["parent"] == "":
		nic["network"] = m.DefaultNetwork.Name
	}
	for _, ip := range o.IPs {
		key := "ipv6.address"
		if !strings.Contains(ip, ":") {
			key = "ipv4.address"
		}
		if nic[key] == ip {
			bad.Add("--ip", "%s is given twice", ip)
		}
		nic[key] = ip
	}
	out[first] = nic
	return out, nil
}

// firstNIC returns the name of the first nic device, in order of names.
func firstNIC(devices map[string]sysctl.Device) string {
	var names []string
	for name, d := range devices {
		if d["type"] == "nic" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return slices.Min(names)
}

// claimNICs turns the NICs of a spec into claims on their networks; addresses are checked here and
// given or refused in the claiming transaction. have are the addresses the instance holds already:
// they are preferred.
func (m *Manager) claimNICs(ctx context.Context, spec sysctl.Spec, have []sysctl.NIC) ([]db.ClaimNIC, error) {
	var bad sysctl.FieldErrors
	var claims []db.ClaimNIC
	for _, n := range spec.NICs {
		c := db.ClaimNIC{NIC: sysctl.NIC{Device: n.Device, Network: n.Network, Name: n.Name, MAC: n.MAC}}
		var old sysctl.NIC
		for _, h := range have {
			if h.Device == n.Device && h.Network == n.Network {
				old = h
			}
		}
		if c.NIC.MAC == "" {
			c.NIC.MAC = old.MAC
		}
		if n.Network == "" {
			if err := m.claimOnParent(ctx, n, &c.NIC, &bad); err != nil {
				return nil, err
			}
			claims = append(claims, c)
			continue
		}
		network, err := m.network(ctx, n.Network)
		if sysctl.KindOf(err) == sysctl.NotFound {
			bad.Add("devices."+n.Device+".network", "%v (\"sysctl network list\" lists them)", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, p := range n.More {
			if network.IPv4.Masked().Contains(p.Addr()) || network.IPv6.Masked().Contains(p.Addr()) {
				bad.Add("devices."+n.Device+"."+familyKey(p.Addr())+".address", "%s: only the first address is kept from others on network %s: give the second on a nic of its own, or one outside of it", p.Addr(), network.Name)
			}
		}
		c.PickIPv4, c.NIC.IPv4 = m.address(network, network.IPv4, n.IPv4, old.IPv4, "devices."+n.Device+".ipv4.address", &bad)
		c.PickIPv6, c.NIC.IPv6 = m.address(network, network.IPv6, n.IPv6, old.IPv6, "devices."+n.Device+".ipv6.address", &bad)
		claims = append(claims, c)
	}
	return claims, bad.Err()
}

// claimOnParent checks the fixed addresses of a NIC on an interface of the host. Nobody gives out addresses
// there but its own DHCP server, so only their subnet can be checked.
func (m *Manager) claimOnParent(ctx context.Context, n sysctl.NICSpec, nic *sysctl.NIC, bad *sysctl.FieldErrors) error {
	p, err := m.Net.Parent(ctx, n.Parent)
	if sysctl.KindOf(err) == sysctl.NotFound {
		bad.Add("devices."+n.Device+".parent", "%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	if n.Type == "bridged" && !p.Bridge {
		bad.Add("devices."+n.Device+".nictype", "%s is no bridge: write \"macvlan\"", n.Parent)
	}
	for _, f := range []struct {
		key, address string
		bits         int
	}{{"ipv4.address", n.IPv4, n.Bits4}, {"ipv6.address", n.IPv6, n.Bits6}} {
		addr, err := netip.ParseAddr(f.address)
		if err != nil {
			continue // "" and "none" are no addresses
		}
		_, known := p.Subnet(addr)
		switch field := "devices." + n.Device + "." + f.key; {
		case known || f.bits > 0:
			setAddress(nic, addr)
		case len(p.Subnets) == 0:
			bad.Add(field, "%s has no address on this host, so the subnet of %s is not known: write it as %[2]s/LENGTH, or ask the LAN's DHCP server by naming none", n.Parent, addr)
		default:
			bad.Add(field, "%s is in no subnet of %s (%v): write it as %[1]s/LENGTH if that is meant", addr, n.Parent, p.Subnets)
		}
	}
	return nil
}

// checkFree fails with Exists where an instance other than the one named holds a fixed address or MAC of a claim. The
// claim itself would say so, but a dry run makes none, and a real run makes it after the image is built.
func (m *Manager) checkFree(ctx context.Context, name string, nics []db.ClaimNIC) error {
	if !slices.ContainsFunc(nics, func(c db.ClaimNIC) bool {
		return c.NIC.MAC != "" || c.NIC.Network != "" && (c.NIC.IPv4.IsValid() || c.NIC.IPv6.IsValid())
	}) {
		return nil
	}
	all, err := m.DB.Instances(ctx)
	if err != nil {
		return err
	}
	for _, inst := range all {
		if inst.Name == name {
			continue // what it holds it may keep; half-made, it is removed first
		}
		for _, held := range inst.NICs {
			for _, c := range nics {
				if err := clash(inst.Name, held, c.NIC); err != nil {
					return sysctl.Wrap(err, "device %s", c.NIC.Device)
				}
			}
		}
	}
	return nil
}

// checkDisks fails with NotFound where the source of a disk that a boot needs is not there.
func checkDisks(spec sysctl.Spec) error {
	for _, d := range spec.Disks {
		if _, err := os.Stat(d.Source); errors.Is(err, fs.ErrNotExist) && !d.Optional {
			return sysctl.E(sysctl.NotFound, "disk %s: %s does not exist on this host", d.Device, d.Source).WithHint("mkdir -p %s", d.Source)
		}
	}
	return nil
}

// clash reports what of a wanted NIC is held already.
func clash(holder string, held, want sysctl.NIC) error {
	if want.MAC != "" && strings.EqualFold(want.MAC, held.MAC) {
		return sysctl.E(sysctl.Exists, "MAC %s is taken by instance %s", held.MAC, holder).WithHint("sysctl info %s", holder)
	}
	if want.Network == "" || want.Network != held.Network {
		return nil // off managed networks addresses are not ours to guard
	}
	for _, a := range []netip.Addr{want.IPv4, want.IPv6} {
		if a.IsValid() && (a == held.IPv4 || a == held.IPv6) {
			return sysctl.E(sysctl.Exists, "address %s of network %s is taken by instance %s", a, want.Network, holder).
				WithHint("sysctl network show %s", want.Network)
		}
	}
	return nil
}

// familyKey is what the options of an address's family begin with.
func familyKey(a netip.Addr) string {
	if a.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

func setAddress(n *sysctl.NIC, a netip.Addr) {
	if a.Is4() {
		n.IPv4 = a
	} else {
		n.IPv6 = a
	}
}

// address is one family of one NIC: a fixed address to claim, a picker, or neither.
func (m *Manager) address(n sysctl.Network, p netip.Prefix, want string, old netip.Addr, field string, bad *sysctl.FieldErrors) (sysctl.AddressPicker, netip.Addr) {
	switch {
	case want == "none" || (!p.IsValid() && want == ""):
		return nil, netip.Addr{}
	case want == "":
		return m.Net.Picker(p, old), netip.Addr{}
	}
	a, err := netip.ParseAddr(want)
	if err == nil {
		err = m.Net.CheckAddress(n, a)
	}
	if err != nil {
		bad.Add(field, "%v", err)
	}
	return nil, a
}

// freeName makes up a name that nobody has. Two who make up the same one at once are told apart by the
// claim; the loser makes up another.
func (m *Manager) freeName(ctx context.Context, source string) (string, error) {
	all, err := m.DB.Instances(ctx)
	if err != nil {
		return "", err
	}
	used := map[string]bool{}
	for _, i := range all {
		used[i.Name] = true
	}
	for n := 1; ; n++ {
		if name := sysctl.Generated(source, n); !used[name] {
			return name, nil
		}
	}
}

// clearHalfMade removes what an interrupted command left under a name. The instance's lock is held, so
// nobody makes it right now.
func (m *Manager) clearHalfMade(ctx context.Context, name string) error {
	inst, err := m.DB.Instance(ctx, name)
	if sysctl.KindOf(err) == sysctl.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if inst.Ready {
		return taken(name)
	}
	return sysctl.Wrap(m.destroy(ctx, inst), "remove what an interrupted command left")
}

// making is one create in progress: what earlier steps found out, for later ones.
type making struct {
	m     *Manager
	o     *CreateOptions
	spec  sysctl.Spec
	claim db.Claim
	image sysctl.Image
	build string // template to build the image from, "" when the image is there
	inst  sysctl.Instance
}

func (mk *making) steps() []step {
	m := mk.m
	var steps []step
	if mk.build != "" {
		steps = append(steps, step{name: "build image " + mk.build, do: func(ctx context.Context) (err error) {
			mk.image, err = m.imageOf(ctx, mk.build, mk.o.Progress, mk.o.Note)
			return err
		}})
	}
	steps = append(steps,
		step{name: "claim name and addresses", claim: true, do: mk.doClaim,
			undo: func(ctx context.Context) error {
				// What a failed boot has logged: the id, which names the files, is never used again.
				if err := m.Runtime.RemoveLogs(mk.inst.ID); err != nil {
					return err
				}
				return m.DB.DeleteInstance(ctx, mk.inst.ID)
			}},
		step{name: "make upper",
			do:   func(ctx context.Context) error { return m.Storage.CreateUpper(ctx, mk.inst.ID) },
			undo: func(ctx context.Context) error { return m.Storage.DeleteUpper(ctx, mk.inst.ID) }})
	if skip := mk.spec.Guest.SkipPrep; len(skip) > 0 {
		steps = append(steps, step{name: "take back preparation steps", do: func(ctx context.Context) error {
			return m.unprepare(ctx, mk.inst, skip)
		}})
	}
	if mk.o.Start {
		steps = append(steps, m.startSteps(&mk.inst, &mk.spec)...)
	} else {
		steps = append(steps, step{name: "write guest files", do: func(ctx context.Context) error {
			t, err := m.Storage.OpenTree(ctx, mk.inst.ID, mk.inst.Layers)
			if err != nil {
				return err
			}
			defer t.Close()
			return m.writeGuest(ctx, t, &mk.inst, mk.spec)
		}})
	}
	return append(steps, step{name: "ready", do: func(ctx context.Context) error {
		mk.inst.Ready = true
		return m.DB.MarkReady(ctx, mk.inst.ID, true)
	}})
}

func (mk *making) doClaim(ctx context.Context) error {
	c := mk.claim
	c.Instance.Image, c.Instance.Layers, c.Instance.Guest = mk.image.ID, mk.image.Layers, mk.image.Guest
	inst, err := mk.m.DB.ClaimInstance(ctx, c)
	if err == nil {
		mk.inst = inst
	}
	return err
}
