package manager

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

// Start boots a stopped instance and returns once its init runs. Starting a running instance is a
// Conflict; Unsupported is a guest that cannot boot on this host. On failure nothing of the attempt is left.
func (m *Manager) Start(ctx context.Context, name string, o StartOptions) error {
	inst, keeps, unlock, err := m.lockToStart(ctx, name, o.Progress)
	defer unlock()
	if err == nil {
		err = m.startAnew(ctx, inst, keeps, o)
	}
	return sysctl.Wrap(err, "start %s", name)
}

// startAnew starts an instance for the user, locked by lockToStart: its crashes before that are forgotten.
func (m *Manager) startAnew(ctx context.Context, inst sysctl.Instance, keeps bool, o StartOptions) (err error) {
	undo := func() error { return nil }
	if keeps {
		if inst, undo, err = m.snapshotAtStart(ctx, inst, o); err != nil {
			return err
		}
	}
	if err := m.start(ctx, inst, o); err != nil {
		return errors.Join(err, undo())
	}
	return m.DB.ForgetCrashes(ctx, inst.ID)
}

// start does what Start does; the instance's lock is held.
func (m *Manager) start(ctx context.Context, inst sysctl.Instance, o StartOptions) error {
	if !inst.Ready {
		return halfMade(inst.Name)
	}
	switch s := m.Runtime.State(inst.ID); s.Status {
	case sysctl.Running, sysctl.Frozen:
		return sysctl.E(sysctl.Conflict, "it is running already").WithHint("sysctl shell %s", inst.Name)
	case sysctl.Broken:
		return sysctl.E(sysctl.Conflict, "it is broken: %s", strings.Join(s.Problems, "; ")).WithHint("sysctl stop --force %s", inst.Name)
	}
	m.Runtime.Warm()
	// A run that ended by itself may still be on its way out: its monitor and hook hold cgroups and links.
	if err := m.Runtime.Clear(ctx, inst.ID); err != nil {
		return err
	}
	spec, err := m.spec(ctx, inst)
	if err != nil {
		return err
	}
	if err := m.mayStart(ctx, inst.Name, spec); err != nil {
		return err
	}
	host, err := m.fitsInstance(ctx, inst, spec, o.Note)
	if err != nil {
		return err
	}
	if err := m.moveIDs(ctx, &inst, spec); err != nil {
		return err
	}
	var run string
	if err := runSteps(ctx, m.startSteps(host, &inst, &spec, &run, o.Progress, o.Note), false, o.Progress); err != nil {
		return err
	}
	_ = m.DB.RunStarted(context.WithoutCancel(ctx), inst.ID, run) // as tellEnded
	m.noteUnenforced(inst.ID, spec, o.Note)
	return nil
}

// spec merges an instance's configuration with its profiles'.
func (m *Manager) spec(ctx context.Context, inst sysctl.Instance) (sysctl.Spec, error) {
	spec, _, err := m.resolved(ctx, inst, sysctl.Profile{})
	return spec, err
}

// resolved is spec with p in the place of the profile of its name, and the devices that it is of.
func (m *Manager) resolved(ctx context.Context, inst sysctl.Instance, p sysctl.Profile) (sysctl.Spec, map[string]sysctl.Device, error) {
	config, devices, err := m.expandedWith(ctx, inst, p)
	if err != nil {
		return sysctl.Spec{}, nil, err
	}
	spec, err := profiles.Resolve(config, devices)
	return spec, devices, err
}

func (m *Manager) expanded(ctx context.Context, inst sysctl.Instance) (map[string]string, map[string]sysctl.Device, error) {
	return m.expandedWith(ctx, inst, sysctl.Profile{})
}

// startSteps are the steps that boot an instance. Their undo is the whole of a stop: stop = unwind.
// The instance and spec are read when the steps run, as an earlier step may have filled them in. run is told the run's id.
//
// The root is mounted once: an overlay that goes away writes its whole disk's data first, everybody's.
func (m *Manager) startSteps(host sysctl.Host, inst *sysctl.Instance, spec *sysctl.Spec, run *string, p sysctl.Progress, note func(string)) []step {
	var root *os.File
	var write, synced func() error // an instance that is being made is lost to a power cut anyway: it need not wait before it boots
	look := func(ctx context.Context) (t sysctl.Tree, err error) {
		t, synced = m.Storage.RootTree(root, inst.IDMap, !inst.Ready)
		files, err := m.guestFiles(ctx, t, inst, *spec)
		write = func() error { // for all of it the guest's init waits, and nothing before that
			if err := files(); err != nil {
				return err
			}
			if spec.Root.Size > 0 { // not before: a guest whose disk is full is started too
				applied, err := m.Storage.LimitUpper(ctx, inst.ID, spec.Root.Size, true)
				if err == nil && !applied {
					err = sysctl.E(sysctl.Internal, "size of the root disk: it cannot be limited any more")
				}
				if err != nil {
					return err
				}
			}
			return m.announce(ctx, *inst, note)
		}
		return t, err
	}
	var steps []step
	if mayPatch(host, *inst, *spec) {
		steps = append(steps, step{name: "change programs", do: func(ctx context.Context) error { return m.patch(ctx, host, inst, *spec, p) }})
	}
	return append(steps,
		step{name: "mount root",
			beside: &step{name: "bring up networks", do: func(ctx context.Context) error { return m.bringUp(ctx, *inst, note) }},
			do: func(ctx context.Context) (err error) {
				if _, err := m.Storage.LimitUpper(ctx, inst.ID, spec.Root.Size, false); err != nil {
					return err
				}
				root, err = m.Storage.OpenRoot(ctx, inst.ID, inst.Stack(), inst.IDMap, p)
				return err
			},
			undo: func(context.Context) error {
				if root != nil {
					root.Close()
				}
				return nil
			}},
		step{name: "look at the guest", do: func(ctx context.Context) error {
			was := inst.Guest
			t, err := look(ctx)
			if err == nil && callsVsyscall(host, was, *spec) != callsVsyscall(host, inst.Guest, *spec) { // what it was decided about its programs
				root.Close()
				if err = m.patch(ctx, host, inst, *spec, p); err == nil {
					root, err = m.Storage.OpenRoot(ctx, inst.ID, inst.Stack(), inst.IDMap, p)
				}
				if err == nil {
					inst.Guest = was
					t, err = look(ctx)
				}
			}
			if err != nil {
				return err
			}
			return m.carry(host, t, *inst, *spec)
		}},
		step{name: "note that it runs", claim: true, // before it does: whoever is killed in between has asked for it
			do:   func(ctx context.Context) error { return m.DB.PowerOn(ctx, inst.ID) },
			undo: func(ctx context.Context) error { return m.DB.SetPower(ctx, inst.ID, false) }},
		step{name: "boot",
			do: func(ctx context.Context) (err error) {
				if *run, err = m.boot(ctx, host, root, *inst, *spec, write); err != nil {
					return err
				}
				root.Close() // the instance's own mount namespace has it
				return synced()
			},
			undo: func(ctx context.Context) error { return m.Runtime.Clear(ctx, inst.ID) }})
}

// guestFiles looks at the guest and makes the mount points of its disks. inst is told where the guest is not what it was: it is
// what its files say now. write writes identity and network into its own files, and can do so while it is being booted. A guest
// that nobody knows is left as it is but for the mount points; boot then lets the runtime set its addresses.
func (m *Manager) guestFiles(ctx context.Context, t sysctl.Tree, inst *sysctl.Instance, spec sysctl.Spec) (write func() error, err error) {
	for _, d := range spec.Disks {
		if err := mountPoint(t, d); err != nil {
			return nil, sysctl.Wrap(err, "disk %s: mount point %s", d.Device, d.Path)
		}
	}
	known := *inst
	g, err := m.current(t, inst.Guest)
	if err != nil {
		return nil, err
	}
	inst.Guest = g
	return func() error {
		changes, err := m.render(ctx, t, *inst, spec, nil)
		if err == nil {
			var seeds []sysctl.Change
			seeds, err = seed(t, *inst, spec.CloudInit)
			changes = append(seeds, changes...)
		}
		if err == nil {
			err = sysctl.Apply(t, changes)
		}
		if err != nil {
			return sysctl.Wrap(err, "write guest files")
		}
		if len(changes) > 0 {
			g.Fingerprint = m.Guests.Fingerprint(t) // what we write ourselves is no reason to look again
		}
		err = m.remember(ctx, &known, g)
		inst.Guest = known.Guest
		return err
	}, nil
}

// boot hands the root and the disks to the runtime, which has the guest's files written meanwhile; with disks it is done
// before, as they would lie over what is to be written. It returns the run's id.
func (m *Manager) boot(ctx context.Context, host sysctl.Host, root *os.File, inst sysctl.Instance, spec sysctl.Spec, write func() error) (run string, err error) {
	b, err := m.bootOf(ctx, inst, spec)
	if err != nil {
		return "", err
	}
	v, err := measures(host, inst.Guest, spec)
	if err != nil {
		return "", err
	}
	b.Compat, b.Measures = v.Effect, v.Measures
	if len(spec.Disks) > 0 {
		if err := write(); err != nil {
			return "", err
		}
		write = nil
	}
	var disks []*os.File
	var without []string
	for _, d := range spec.Disks {
		f, err := m.Storage.OpenDisk(ctx, sized(d, b.Limits), inst.IDMap)
		if d.Optional && sysctl.KindOf(err) == sysctl.NotFound {
			without = append(without, d.Device)
			continue
		}
		if err != nil {
			return "", err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return "", sysctl.Wrap(err, "disk %s", d.Device)
		}
		disks, b.Disks = append(disks, f), append(b.Disks, sysctl.BootDisk{Path: d.Path, InDev: d.InDev(), File: !info.IsDir()})
	}
	missing, err := m.findNodes(spec, &b.Wiring)
	if err != nil {
		return "", err
	}
	b.Wiring.IDMap, without = inst.IDMap, append(without, missing...)
	_, devices, err := m.expanded(ctx, inst)
	if err != nil {
		return "", err
	}
	b.Devices = booted(devices, without)
	_, err = m.Runtime.Start(ctx, b, root, disks, write)
	return b.RunID, err
}

// sized is a disk in memory with a size: one that nobody chose is half of what the instance may use.
func sized(d sysctl.Disk, l sysctl.Limits) sysctl.Disk {
	if d.Source == "" && d.Size == 0 {
		d.Size = l.Memory / 2
	}
	return d
}

// mountPoint makes what a disk is mounted on: a directory, or a file for a file. What is there stays. Of what is below /dev the
// runtime makes it, in its own.
func mountPoint(t sysctl.Tree, d sysctl.Disk) error {
	if d.InDev() {
		return nil
	}
	dir := d.Source == "" // in memory
	if !dir {
		source, err := os.Stat(d.Source)
		if err != nil {
			return nil // the disk is missing: said, or not, when it is opened
		}
		dir = source.IsDir()
	}
	if _, err := t.Stat(d.Path); err == nil {
		return nil
	}
	if dir {
		return t.MkdirAll(d.Path, 0o755)
	}
	return t.WriteFile(d.Path, nil, 0o644)
}

// bootOf decides everything a start needs.
func (m *Manager) bootOf(ctx context.Context, inst sysctl.Instance, spec sysctl.Spec) (sysctl.Boot, error) {
	b := sysctl.Boot{
		Instance: inst.ID, Name: inst.Name, RunID: m.NewRun(), Hostname: inst.Name, Arch: inst.Guest.Arch,
		IDMap: inst.IDMap, Environment: spec.Environment, Kernel: spec.Kernel,
	}
	if m.Hook != nil {
		b.Settle = append(m.Hook(inst.ID), b.RunID)
	}
	var err error
	if b.Limits, err = m.limits(inst.ID, spec); err != nil {
		return b, err
	}
	var seen gateways
	links := map[string]string{}
	var plugged []sysctl.BootNIC // of the host's interfaces, which the runtime would want at every reboot, when they may be gone or elsewhere
	for i, n := range spec.NICs {
		nic, claimed, err := m.bootNIC(ctx, inst, n)
		if err != nil {
			return b, err
		}
		switch {
		case nic.Type == "phys":
			p, err := m.parent(ctx, inst, n)
			if err != nil {
				return b, sysctl.Wrap(err, "device %s", n.Device)
			}
			nic.Card = p.Card
		case nic.HostName != "":
			if err := m.Net.FreeLink(ctx, nic.HostName); err != nil {
				return b, sysctl.Wrap(err, "device %s", n.Device)
			}
		case nic.Type == "veth":
			nic.HostName = m.Link(inst.ID, i, b.RunID)
		}
		if !configuresItself(inst.Guest) {
			var g sysctl.GuestNIC
			if err := m.addresses(ctx, claimed, n, &g); err != nil {
				return b, err
			}
			if len(g.Routes) > 0 {
				return b, sysctl.E(sysctl.Unsupported, "devices.%s: nobody in this guest would set its routes: leave them out", n.Device)
			}
			nic.Addresses, nic.Gateway4, nic.Gateway6 = g.Addresses, g.Gateway4, g.Gateway6
			seen.keepFirst(&nic)
		}
		if links[n.Device] = nic.HostName; nic.Type == "veth" {
			b.NICs = append(b.NICs, nic)
		} else {
			plugged = append(plugged, nic)
		}
	}
	if b.Wiring, err = m.wiring(ctx, inst, spec, links); err == nil && m.WireHook != nil { // what is plugged in later is wired too when the guest reboots
		b.Wire = m.WireHook(inst.ID)
	}
	b.Wiring.Plugged = plugged
	return b, err
}

// bootNIC is what a nic of an instance is like in every run, and what it has claimed. Which card it is, how its host end is called and who
// sets its addresses are the caller's to say.
func (m *Manager) bootNIC(ctx context.Context, inst sysctl.Instance, n sysctl.NICSpec) (nic sysctl.BootNIC, claimed sysctl.NIC, err error) {
	claimed = nicOf(inst, n.Device)
	nic = sysctl.BootNIC{Device: n.Device, Type: "veth", Link: n.Parent, HostName: n.HostName, Name: n.Name, MAC: claimed.MAC, MTU: n.MTU}
	switch n.Type {
	case "macvlan":
		nic.Type = "macvlan"
	case physical:
		nic.Type = "phys"
	}
	if n.Network != "" {
		network, err := m.network(ctx, n.Network)
		if err != nil {
			return nic, claimed, err
		}
		nic.Link = network.Bridge
		if nic.MTU == 0 {
			nic.MTU = network.MTU
		}
	}
	return nic, claimed, nil
}

// gateways are the families that have a default route already. Of those that liblxc sets, it can give only one
// of each: it knows no metrics, and the kernel refuses the second ("File exists"). The first NIC's is kept.
type gateways struct{ v4, v6 bool }

func (s *gateways) keepFirst(nic *sysctl.BootNIC) {
	if s.v4 {
		nic.Gateway4 = netip.Addr{}
	}
	if s.v6 {
		nic.Gateway6 = netip.Addr{}
	}
	s.v4, s.v6 = s.v4 || nic.Gateway4.IsValid(), s.v6 || nic.Gateway6.IsValid()
}

func nicOf(inst sysctl.Instance, device string) sysctl.NIC {
	for _, n := range inst.NICs {
		if n.Device == device {
			return n
		}
	}
	return sysctl.NIC{}
}
