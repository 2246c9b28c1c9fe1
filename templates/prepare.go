package templates

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/sysctl-os/sysctl"
)

// Step is one thing done to a tree so that it can live in a container and be copied. A name stands for
// one purpose; what is done for it depends on the guest's init and era.
type Step struct {
	Name    string
	Version int      // raised when the step does something else than before
	Why     string   // one sentence for people
	Touches []string // what it may change
	Final   bool     // what it takes away is a secret of the tree's origin: nothing keeps it, it cannot be undone

	// applies says for which guests the step is; plan looks at the tree and notes what to change.
	applies func(g sysctl.Guest) bool
	plan    func(p *plan)
}

// Steps returns all steps, in the order in which they are done.
func Steps() []Step {
	return slices.Concat(identitySteps(), hostSteps(), accessSteps(), imageSteps(), consoleSteps(), switchOffSteps())
}

// PrepareOptions says what Prepare leaves out.
type PrepareOptions struct {
	Skip []string // names of steps
}

// CheckSteps returns an Invalid error that lists all steps where a name is not one of theirs.
func CheckSteps(names []string) error {
	if len(names) == 0 {
		return nil
	}
	var all, unknown []string
	for _, s := range Steps() {
		all = append(all, s.Name)
	}
	hint := ""
	for _, name := range names {
		if !slices.Contains(all, name) {
			unknown = append(unknown, `"`+name+`"`)
			hint = sysctl.Nearest(name, all)
		}
	}
	if unknown == nil {
		return nil
	}
	err := sysctl.E(sysctl.Invalid, "no preparation step is called %s: there are %s", strings.Join(unknown, ", "), strings.Join(all, ", "))
	if hint != "" {
		err = err.WithHint("did you mean %s?", hint)
	}
	return err
}

// Prepare returns what has to be changed in the tree of guest g, and the names of the steps that want it.
// It writes nothing and is idempotent: in a tree to which the changes were applied there is nothing to
// change. Among the changes is a record of what was done and what was there before (RecordFile). A guest that is not known is left alone. It fails where the disk cannot be read, or with the error of
// CheckSteps; what is there but is not what it should be (a pipe for a file) is left alone.
func Prepare(t sysctl.Tree, g sysctl.Guest, o PrepareOptions) (changes []sysctl.Change, names []string, err error) {
	if err := CheckSteps(o.Skip); err != nil {
		return nil, nil, err
	}
	if !g.Known() {
		return nil, nil, nil
	}
	p := &plan{t: t, g: g, at: map[string]int{}, by: map[string][]string{}}
	for _, s := range Steps() {
		if slices.Contains(o.Skip, s.Name) || !s.applies(g) {
			continue
		}
		p.step, p.why, p.noted = s.Name, s.Why, false
		if s.plan(p); p.err != nil {
			return nil, nil, sysctl.Wrap(p.err, "prepare: %s", s.Name)
		}
		if p.noted {
			names = append(names, s.Name)
		}
	}
	if err := p.record(o.Skip, names); err != nil {
		return nil, nil, sysctl.Wrap(err, "prepare: record")
	}
	return p.changes, names, nil
}

// ParsePrep reads steps that are switched off, each with a minus before its name, and returns the names. The
// error, of kind Invalid, names every word that is wrong.
func ParsePrep(words []string) (skip []string, err error) {
	for _, word := range words {
		name, ok := strings.CutPrefix(word, "-")
		if !ok {
			return nil, sysctl.E(sysctl.Invalid, "%q switches no step off: write a minus before its name, such as \"-console\"", word)
		}
		skip = append(skip, name)
	}
	return skip, CheckSteps(skip)
}

// plan is what the steps want changed. Only differences from the tree are noted, one change for each path: a
// step that edits a file sees what the steps before it made of it.
type plan struct {
	t       sysctl.Tree
	g       sysctl.Guest
	changes []sysctl.Change
	at      map[string]int      // index in changes by path
	by      map[string][]string // names of the steps that want them, by path
	err     error

	// Of the step at work.
	step  string
	why   string
	noted bool
}

// text returns a file's content, "" where it is not there or is no regular file.
func (p *plan) text(name string) string {
	if i, ok := p.at[p.resolve(name)]; ok {
		return string(p.changes[i].Data)
	}
	data, err := p.t.ReadFile(name)
	if errors.Is(err, syscall.EIO) {
		p.err = err
	}
	return string(data)
}

// resolve returns where name leads to, or name where it leads nowhere.
func (p *plan) resolve(name string) string {
	if at, err := p.t.Resolve(name); err == nil {
		return at
	}
	return name
}

// write wants name to be a regular file of this content.
func (p *plan) write(name, content string, perm fs.FileMode) {
	if i, ok := p.at[name]; ok {
		if c := p.changes[i]; c.Link == "" && !c.Remove && c.Perm == perm && string(c.Data) == content {
			return
		}
	} else if fi, err := p.t.Lstat(name); err == nil && fi.Mode().IsRegular() && fi.Mode().Perm() == perm {
		if old, err := p.t.ReadFile(name); err == nil && bytes.Equal(old, []byte(content)) {
			return
		}
	}
	p.note(sysctl.Change{Path: name, Data: []byte(content), Perm: perm})
}

// edit wants a file that is there, or to which name leads, to have this content, with the mode that it has. One that
// cannot be read is left alone.
func (p *plan) edit(name, content string) {
	fi, err := p.t.Stat(name)
	if err != nil {
		return
	}
	if _, err := p.t.ReadFile(name); err != nil {
		return
	}
	at := p.resolve(name)
	perm := fi.Mode().Perm()
	if i, ok := p.at[at]; ok {
		perm = p.changes[i].Perm
	}
	p.write(at, content, perm)
}

// chmod wants a regular file that is there to have this mode.
func (p *plan) chmod(name string, perm fs.FileMode) {
	if _, err := p.t.ReadFile(name); err == nil {
		p.write(name, p.text(name), perm)
	}
}

// link wants name to be a symbolic link to target.
func (p *plan) link(name, target string) {
	if old, err := p.t.Readlink(name); err == nil && old == target {
		return
	}
	p.note(sysctl.Change{Path: name, Link: target})
}

// remove wants name, which is no directory, not to be there.
func (p *plan) remove(name string) {
	if fi, err := p.t.Lstat(name); err == nil && !fi.IsDir() {
		p.note(sysctl.Change{Path: name, Remove: true})
	}
}

func (p *plan) note(c sysctl.Change) {
	c.Why = p.why
	p.noted = true
	if !slices.Contains(p.by[c.Path], p.step) {
		p.by[c.Path] = append(p.by[c.Path], p.step)
	}
	if i, ok := p.at[c.Path]; ok {
		if was := p.changes[i].Why; was != p.why {
			c.Why = was + "; " + p.why
		}
		p.changes[i] = c
		return
	}
	p.at[c.Path] = len(p.changes)
	p.changes = append(p.changes, c)
}

// list returns the names in a directory that match pattern, with their path; none where it is not there.
func (p *plan) list(dir, pattern string) []string {
	entries, err := p.t.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if ok, _ := path.Match(pattern, e.Name()); ok {
			out = append(out, path.Join(dir, e.Name()))
		}
	}
	return out
}

func anyGuest(sysctl.Guest) bool { return true }

func debianGuest(g sysctl.Guest) bool { return g.Family == "debian" }

func hasSystemd(g sysctl.Guest) bool { return g.Init == "systemd" }
