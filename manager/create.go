package manager

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"reflect"
	"slices"

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
		if errors.Is(err, errProfileChanged) {
			continue
		}
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
	if err := errors.Join(m.checkIDRange(ctx, o.Name, spec), m.checkSize(spec), m.checkCPUs(spec)); err != nil {
		return Plan{}, err
	}
	if o.Start {
		if err := errors.Join(m.mayStart(ctx, o.Name, spec), m.checkSources(spec)); err != nil {
			return Plan{}, err
		}
	}
	mk := &making{m: m, o: o, spec: spec, claim: claim, image: image, build: build}
	if o.Start {
		if mk.host, err = m.fits(ctx, image.Guest, spec, mk.tell(build == "")); err != nil {
			return Plan{}, err
		}
	}
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
	if o.Start {
		m.noteUnenforced(mk.inst.ID, spec, o.Note)
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
		nics, err = m.claimNICs(ctx, onlyDevices, sysctl.Instance{})
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
	claim.IDs = m.idBlock(spec)
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

// checkSources fails where what a boot needs of the host for the instance's disks and device nodes is not there, mostly with NotFound.
func (m *Manager) checkSources(spec sysctl.Spec) error {
	for _, d := range spec.Disks {
		if _, err := os.Stat(d.Source); errors.Is(err, fs.ErrNotExist) && !d.Optional && d.Source != "" {
			return sysctl.E(sysctl.NotFound, "disk %s: %s does not exist on this host", d.Device, d.Source).WithHint("mkdir -p %s", d.Source)
		}
	}
	_, err := m.findNodes(spec, &sysctl.Wiring{})
	return err
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
	host  sysctl.Host
	inst  sysctl.Instance
	run   string // the id of its first run, once it has booted

	copied bool // from another instance, which has run
	kept   bool // it is an instance that was, and has run
}

// tell is who is told of measures: nobody before it is known what the guest is.
func (mk *making) tell(known bool) func(string) {
	if !known {
		return nil
	}
	return mk.o.Note
}

func (mk *making) steps() []step {
	m := mk.m
	var steps []step
	if mk.build != "" {
		steps = append(steps, step{name: "build image " + mk.build, do: func(ctx context.Context) (err error) {
			if mk.image, err = m.imageOf(ctx, mk.build, mk.o.Progress, mk.o.Note); err != nil || !mk.o.Start {
				return err
			}
			_, err = m.fits(ctx, mk.image.Guest, mk.spec, mk.tell(true)) // its recipe may have promised something else
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
		step{name: "map ids", do: func(context.Context) error { return mapRaw(&mk.inst, mk.spec) }},
		step{name: "make upper",
			do:   func(ctx context.Context) error { return m.Storage.CreateUpper(ctx, mk.inst.ID) },
			undo: func(ctx context.Context) error { return m.Storage.DeleteUpper(ctx, mk.inst.ID) }})
	skip := mk.spec.Guest.SkipPrep
	switch {
	case mk.copied:
		steps = append(steps, step{name: "give it an identity of its own", do: func(ctx context.Context) error {
			return m.identify(ctx, mk.inst, skip)
		}})
	case mk.kept:
		steps = append(steps, step{name: "go on with what it was", do: func(ctx context.Context) error { return m.continueUpper(ctx, mk.inst) }})
	case len(skip) > 0:
		steps = append(steps, step{name: "take back preparation steps", do: func(ctx context.Context) error {
			return m.unprepare(ctx, mk.inst, skip)
		}})
	}
	if mk.o.Start {
		steps = append(steps, m.startSteps(mk.host, &mk.inst, &mk.spec, &mk.run, mk.o.Progress, mk.o.Note)...)
	} else {
		steps = append(steps, step{name: "write guest files", do: func(ctx context.Context) error {
			t, err := m.Storage.OpenTree(ctx, mk.inst.ID, mk.inst.Stack())
			if err != nil {
				return err
			}
			defer t.Close()
			write, err := m.guestFiles(ctx, t, &mk.inst, mk.spec)
			if err != nil {
				return err
			}
			return write()
		}})
	}
	return append(steps, step{name: "ready", do: func(ctx context.Context) error {
		mk.inst.Ready = true
		if mk.o.Start {
			return m.DB.MarkRunning(ctx, mk.inst.ID, mk.run)
		}
		return m.DB.MarkReady(ctx, mk.inst.ID, true)
	}})
}

func (mk *making) doClaim(ctx context.Context) error {
	c := mk.claim
	c.Instance.Image, c.Instance.Layers, c.Instance.Guest = mk.image.ID, mk.image.Layers, mk.image.Guest
	inst, err := mk.m.DB.ClaimInstance(ctx, c)
	if err != nil {
		return err
	}
	// From here on who changes a profile of its finds it, and waits for its lock.
	spec, err := mk.m.spec(ctx, inst)
	if err == nil && !reflect.DeepEqual(spec, mk.spec) {
		err = errProfileChanged
	}
	if err != nil {
		return errors.Join(err, mk.m.DB.DeleteInstance(context.WithoutCancel(ctx), inst.ID))
	}
	mk.inst = inst
	return nil
}

// errProfileChanged says that a profile is no longer what an instance was checked with.
var errProfileChanged = sysctl.E(sysctl.Busy, "a profile was changed meanwhile: try again")
