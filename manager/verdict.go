package manager

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager/compat"
	"github.com/sysctl-os/sysctl/profiles"
)

// Checked is the verdict on one guest.
type Checked struct {
	Name  string       `json:"name"`     // as it was asked for
	Kind  string       `json:"kind"`     // instance, image, template, tree
	Known string       `json:"known_by"` // what the guest is known by: files, image, recipe
	Guest sysctl.Guest `json:"guest"`
	sysctl.Verdict
}

// CheckGuest says whether a guest boots on this host and with which measures; it changes nothing. o.Path is what is
// looked at: the first of these that there is: an instance, an image (alias or id), a template (name or alias, judged by
// the image that a launch would take, or where it would build one, by its recipe), a path as Detect takes it. What begins
// with "/", "./" or "../" is a path in any case, and without a slash it is none. An instance is judged by its own
// configuration and what its files say at the moment; a running one as its next start would be. The others are judged by
// the profile "default". It fails with NotFound where there is nothing of that name, Conflict for a half-made instance, and
// with what Detect fails with.
func (m *Manager) CheckGuest(ctx context.Context, o DetectOptions) (Checked, error) {
	c, err := m.checkGuest(ctx, o)
	c.Name = o.Path
	return c, sysctl.Wrap(err, "check %s", o.Path)
}

func (m *Manager) checkGuest(ctx context.Context, o DetectOptions) (Checked, error) {
	if isPath(o.Path) {
		return m.checkTree(ctx, o)
	}
	c, err := m.checkInstance(ctx, o)
	if kind := sysctl.KindOf(err); kind != sysctl.NotFound && kind != sysctl.Invalid { // what is no name may be an alias
		return c, err
	}
	c, err = m.checkSource(ctx, o.Path)
	if sysctl.KindOf(err) != sysctl.NotFound {
		return c, err
	}
	switch _, there := os.Stat(o.Path); {
	case strings.Contains(o.Path, "/"):
		c, err := m.checkTree(ctx, o)
		if sysctl.KindOf(err) == sysctl.NotFound {
			err = sysctl.E(sysctl.NotFound, "no image or template is called so, and there is %w", err)
		}
		return c, err
	case there == nil:
		return c, sysctl.E(sysctl.NotFound, "no instance, image or template is called so; a path has a slash").WithHint("sysctl check ./%s", o.Path)
	}
	return c, sysctl.E(sysctl.NotFound, "no instance or image is called so: %w", err).WithHint("%s", cmp.Or(sysctl.HintOf(err), "sysctl list"))
}

// isPath reports whether a word can be nothing but a path.
func isPath(word string) bool {
	return filepath.IsAbs(word) || word == "." || word == ".." || strings.HasPrefix(word, "./") || strings.HasPrefix(word, "../")
}

func (m *Manager) checkInstance(ctx context.Context, o DetectOptions) (Checked, error) {
	inst, unlock, err := m.lockInstance(ctx, o.Path, o.Progress)
	defer unlock()
	switch {
	case err != nil:
		return Checked{}, err
	case !inst.Ready:
		return Checked{}, halfMade(inst.Name)
	}
	spec, err := m.spec(ctx, inst)
	if err != nil {
		return Checked{}, err
	}
	t, err := m.openInstance(ctx, inst)
	if err != nil {
		return Checked{}, err
	}
	defer t.Close()
	g, err := m.current(t, inst.Guest)
	if err != nil {
		return Checked{}, err
	}
	return m.judge(ctx, Checked{Kind: "instance", Known: "files", Guest: g}, spec)
}

// openInstance opens the tree of an instance as it is right now, whether it runs or not. Its lock is held.
func (m *Manager) openInstance(ctx context.Context, inst sysctl.Instance) (OpenedTree, error) {
	s := m.Runtime.State(inst.ID)
	if s.Init.PID != 0 {
		return m.Storage.OpenProcess(s.Init)
	}
	if err := m.over(ctx, inst, s); err != nil {
		return nil, err
	}
	return m.Storage.OpenTree(ctx, inst.ID, inst.Stack())
}

// over makes sure that nothing is left of an instance's newest run, whose hook would keep its upper in use for as long as it waits for
// the lock that is held here. A guest that may come back by itself is left alone.
func (m *Manager) over(ctx context.Context, inst sysctl.Instance, s sysctl.State) error {
	keep, err := m.protected(ctx, inst)
	switch {
	case err != nil:
		return err
	case s.RunID != "" && s.Monitor.PID != 0:
		return sysctl.E(sysctl.Busy, "its run is not over yet: the guest is rebooting, or on its way out").WithHint("sysctl info %s", inst.Name)
	case s.RunID != "" && inst.Ephemeral && !keep:
		return sysctl.E(sysctl.Busy, "it is ephemeral and has stopped: it is being deleted").WithHint("sysctl list")
	}
	return m.Runtime.Clear(ctx, inst.ID)
}

// checkSource judges what a launch would take for a word.
func (m *Manager) checkSource(ctx context.Context, source string) (Checked, error) {
	image, build, err := m.findImage(ctx, source)
	if err != nil {
		return Checked{}, err
	}
	spec, err := m.launchSpec(ctx)
	if err != nil {
		return Checked{}, err
	}
	c := Checked{Kind: "image", Known: "image", Guest: image.Guest}
	if build != "" {
		c.Kind, c.Known = "template", "recipe"
	}
	return m.judge(ctx, c, spec)
}

func (m *Manager) checkTree(ctx context.Context, o DetectOptions) (Checked, error) {
	g, err := m.detect(ctx, o)
	if err != nil {
		return Checked{}, err
	}
	spec, err := m.launchSpec(ctx)
	if err != nil {
		return Checked{}, err
	}
	return m.judge(ctx, Checked{Kind: "tree", Known: "files", Guest: g}, spec)
}

// CheckTemplates is CheckGuest for every template of the catalogue, whatever else bears its name. Of those that cannot be
// used it fails with why, one error each, beside the verdicts on the others.
func (m *Manager) CheckTemplates(ctx context.Context) ([]Checked, error) {
	list, err := m.Catalogue.List()
	if err != nil {
		return nil, err
	}
	spec, err := m.launchSpec(ctx)
	if err != nil {
		return nil, err
	}
	host, err := m.Runtime.Host(ctx)
	if err != nil {
		return nil, err
	}
	var all []Checked
	var bad []error
	for _, t := range list {
		if t.Guest.ID == "" { // its recipe is broken
			_, _, err := m.Catalogue.Find(t.Name)
			bad = append(bad, err)
			continue
		}
		c := Checked{Name: t.Name, Kind: "template", Known: "recipe", Guest: t.Guest}
		image, err := m.DB.Image(ctx, t.Name)
		if kind := sysctl.KindOf(err); err != nil && kind != sysctl.NotFound {
			return nil, err
		}
		if err == nil && image.Template == t.Name && m.fresh(image) {
			c.Known, c.Guest = "image", image.Guest
		}
		c.Verdict = compat.Judge(host, c.Guest, spec)
		all = append(all, c)
	}
	return all, errors.Join(bad...)
}

// judge adds the verdict on a guest with a configuration.
func (m *Manager) judge(ctx context.Context, c Checked, spec sysctl.Spec) (Checked, error) {
	h, err := m.Runtime.Host(ctx)
	c.Verdict = compat.Judge(h, c.Guest, spec)
	return c, err
}

// launchSpec is the configuration of an instance that is launched without saying anything: the profile "default", or nothing
// where that was deleted.
func (m *Manager) launchSpec(ctx context.Context) (sysctl.Spec, error) {
	p, err := m.DB.Profile(ctx, "default")
	if err != nil && sysctl.KindOf(err) != sysctl.NotFound {
		return sysctl.Spec{}, err
	}
	return profiles.Resolve(p.Config, p.Devices)
}
