package templates

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"syscall"
	"unicode/utf8"

	"github.com/sysctl-os/sysctl"
)

// RecordFile is where a prepared tree says what was done to it and what was there before. It goes wherever the
// tree goes; only the guest's root can read it.
const RecordFile = "/var/lib/sysctl-guest/prepared.json"

// maxBefore is the largest file whose former content is recorded.
const maxBefore = 1 << 20

// record is the content of RecordFile.
type record struct {
	Steps  []stepRecord          `json:"steps"`
	Before map[string]fileRecord `json:"before"` // by path
}

type stepRecord struct {
	Name    string           `json:"name"`
	Version int              `json:"version"`
	State   sysctl.PrepState `json:"state"`
}

// fileRecord is what was at a path before the steps changed it.
type fileRecord struct {
	Steps []string    `json:"steps"`
	Kind  string      `json:"kind"` // "none", "file", "link"; "lost": a secret, or too large
	Mode  fs.FileMode `json:"mode,omitempty"`
	Link  string      `json:"link,omitempty"`
	Text  string      `json:"text,omitempty"`
	Data  []byte      `json:"data,omitempty"` // in place of Text where that is not UTF-8
}

// readRecord returns a tree's record, nil where there is none that can be read.
func readRecord(t sysctl.Tree) (*record, error) {
	data, err := t.ReadFile(RecordFile)
	if errors.Is(err, syscall.EIO) {
		return nil, err
	}
	r := &record{}
	if err != nil || json.Unmarshal(data, r) != nil {
		return nil, nil
	}
	return r, nil
}

// record notes the record among the changes. What an earlier record says stays, but for steps that are switched off.
func (p *plan) record(skip, did []string) error {
	old, err := readRecord(p.t)
	if err != nil {
		return err
	}
	if old == nil {
		old = &record{}
	}
	now := record{Steps: []stepRecord{}, Before: map[string]fileRecord{}}
	final := map[string]bool{}
	for _, s := range Steps() {
		if !s.applies(p.g) {
			continue
		}
		final[s.Name] = s.Final
		r := stepRecord{s.Name, s.Version, sysctl.PrepNothing}
		switch {
		case slices.Contains(skip, s.Name):
			r.State = sysctl.PrepSkipped
		case slices.Contains(did, s.Name), slices.ContainsFunc(old.Steps, func(o stepRecord) bool { return o.Name == s.Name && o.State == sysctl.PrepDone }):
			r.State = sysctl.PrepDone
		}
		now.Steps = append(now.Steps, r)
	}
	for name, f := range old.Before {
		f.Steps = slices.DeleteFunc(f.Steps, func(step string) bool { return slices.Contains(skip, step) })
		if len(f.Steps) > 0 {
			now.Before[name] = f
		}
	}
	for name, steps := range p.by {
		f, there := now.Before[name]
		if !there {
			if f, there = old.Before[name]; !there {
				f = p.before(name, slices.ContainsFunc(steps, func(step string) bool { return final[step] }))
			}
		}
		f.Steps = slices.Compact(slices.Sorted(slices.Values(slices.Concat(f.Steps, steps))))
		now.Before[name] = f
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(now); err != nil {
		return err
	}
	p.why, p.step = "what was done to the tree, and what was there before", ""
	p.write(RecordFile, b.String(), 0o600)
	return p.err
}

// before returns what is at a path.
func (p *plan) before(name string, secret bool) fileRecord {
	fi, err := p.t.Lstat(name)
	switch {
	case err != nil:
		return fileRecord{Kind: "none"}
	case secret || fi.Size() > maxBefore:
		return fileRecord{Kind: "lost"}
	case fi.Mode()&fs.ModeSymlink != 0:
		target, err := p.t.Readlink(name)
		if err == nil {
			return fileRecord{Kind: "link", Link: target}
		}
	case fi.Mode().IsRegular():
		data, err := p.t.ReadFile(name)
		f := fileRecord{Kind: "file", Mode: fi.Mode().Perm(), Text: string(data)}
		if !utf8.Valid(data) {
			f.Text, f.Data = "", data
		}
		if err == nil {
			return f
		}
	}
	return fileRecord{Kind: "lost"}
}

// Restore returns the changes that put back what was there before the named steps, in a tree that Prepare has prepared.
// Files that other steps changed too lose those changes: Prepare, without the named steps, makes them again. Names
// of steps that had nothing to do change nothing. Errors: Invalid (no such step, or one whose doing cannot be undone),
// Unsupported (the tree has no record, or something in it is too large for one).
func Restore(t sysctl.Tree, names []string) ([]sysctl.Change, error) {
	if err := CheckSteps(names); err != nil {
		return nil, err
	}
	r, err := readRecord(t)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, sysctl.E(sysctl.Unsupported, "nothing records how the image was prepared: import or build it again")
	}
	for _, s := range Steps() {
		done := slices.ContainsFunc(r.Steps, func(d stepRecord) bool { return d.Name == s.Name && d.State == sysctl.PrepDone })
		if s.Final && done && slices.Contains(names, s.Name) {
			return nil, sysctl.E(sysctl.Invalid, "%s was done when the image was made, and took away what is not kept: switch it off there", s.Name).
				WithHint("sysctl image import --prep=-%s …", s.Name)
		}
	}
	var changes []sysctl.Change
	for _, name := range slices.Sorted(maps.Keys(r.Before)) {
		f := r.Before[name]
		if !slices.ContainsFunc(f.Steps, func(step string) bool { return slices.Contains(names, step) }) {
			continue
		}
		c := sysctl.Change{Path: name, Why: "as it was before preparation", Perm: f.Mode.Perm(), Link: f.Link}
		switch f.Kind {
		case "none":
			c.Remove = true
		case "link":
		case "file":
			if c.Data = f.Data; c.Data == nil {
				c.Data = []byte(f.Text)
			}
		default:
			return nil, sysctl.E(sysctl.Unsupported, "%s as it was before preparation is not kept", name)
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// Prepared returns the steps of a tree that Prepare has prepared, with what became of them. There are none where
// nothing records it.
func Prepared(t sysctl.Tree) ([]sysctl.PrepStep, error) {
	r, err := readRecord(t)
	if err != nil || r == nil {
		return nil, err
	}
	var out []sysctl.PrepStep
	for _, d := range r.Steps {
		s := sysctl.PrepStep{Name: d.Name, Version: d.Version, State: d.State}
		for _, known := range Steps() {
			if known.Name == d.Name {
				s.Why, s.Touches = known.Why, known.Touches
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// inits are the inits that Detect tells apart.
func inits() []string {
	return []string{"systemd", "sysvinit", "upstart", "busybox", "openrc", "runit", "finit", "bsd"}
}

// StepsFor returns the steps that a guest may get. Where its init is not known, those of any.
func StepsFor(g sysctl.Guest) []sysctl.PrepStep {
	guests := []sysctl.Guest{g}
	for _, init := range inits() {
		if g.Init == "" {
			other := g
			other.Init = init
			guests = append(guests, other)
		}
	}
	var out []sysctl.PrepStep
	for _, s := range Steps() {
		if slices.ContainsFunc(guests, s.applies) {
			out = append(out, sysctl.PrepStep{Name: s.Name, Version: s.Version, Why: s.Why, Touches: s.Touches})
		}
	}
	return out
}
