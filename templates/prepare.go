package templates

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"syscall"

	"github.com/sysctl-os/sysctl"
)

// Step is one thing done to a tree so that it can live in a container and be copied.
type Step struct {
	Name    string
	Version int      // raised when the step does something else than before
	Why     string   // one sentence for people
	Touches []string // what it may change

	// applies says for which guests the step is; plan looks at the tree and notes what to change.
	applies func(g sysctl.Guest) bool
	plan    func(p *plan)
}

// Steps returns all steps, in the order in which they are done.
func Steps() []Step {
	var all []Step
	all = append(all, identitySteps()...)
	all = append(all, hostSteps()...)
	all = append(all, systemdSteps()...)
	all = append(all, inittabSteps()...)
	return all
}

// Prepare returns what has to be changed in the tree of guest g, and the names of the steps that want it.
// It writes nothing and is idempotent: in a tree to which the changes were applied there is nothing to
// change. A guest that is not known is left alone. It fails where the disk cannot be read; what is there but
// is not what it should be (a pipe for a file) is left alone.
func Prepare(t sysctl.Tree, g sysctl.Guest) (changes []sysctl.Change, names []string, err error) {
	if !g.Known() {
		return nil, nil, nil
	}
	for _, s := range Steps() {
		if !s.applies(g) {
			continue
		}
		p := &plan{t: t, g: g, why: s.Why}
		if s.plan(p); p.err != nil {
			return nil, nil, sysctl.Wrap(p.err, "prepare: %s", s.Name)
		}
		if len(p.changes) > 0 {
			names = append(names, s.Name)
			changes = append(changes, p.changes...)
		}
	}
	return changes, names, nil
}

// plan is what one step wants changed. Only differences from the tree are noted.
type plan struct {
	t       sysctl.Tree
	g       sysctl.Guest
	why     string
	changes []sysctl.Change
	err     error
}

// text returns a file's content, "" where it is not there or is no regular file.
func (p *plan) text(name string) string {
	data, err := p.t.ReadFile(name)
	if errors.Is(err, syscall.EIO) {
		p.err = err
	}
	return string(data)
}

// write wants name to be a regular file of this content.
func (p *plan) write(name, content string, perm fs.FileMode) {
	fi, err := p.t.Lstat(name)
	if err == nil && fi.Mode().IsRegular() && fi.Mode().Perm() == perm {
		if old, err := p.t.ReadFile(name); err == nil && bytes.Equal(old, []byte(content)) {
			return
		}
	}
	p.note(sysctl.Change{Path: name, Data: []byte(content), Perm: perm})
}

// edit wants a file that is there to have this content, with the mode that it has.
func (p *plan) edit(name, content string) {
	if fi, err := p.t.Stat(name); err == nil {
		p.write(name, content, fi.Mode().Perm())
	}
}

// link wants name to be a symbolic link to target.
func (p *plan) link(name, target string) {
	if old, err := p.t.Readlink(name); err == nil && old == target {
		return
	}
	p.note(sysctl.Change{Path: name, Link: target})
}

// remove wants name not to be there.
func (p *plan) remove(name string) {
	if _, err := p.t.Lstat(name); err == nil {
		p.note(sysctl.Change{Path: name, Remove: true})
	}
}

func (p *plan) note(c sysctl.Change) {
	c.Why = p.why
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

func hasSystemd(g sysctl.Guest) bool { return g.Init == "systemd" }
