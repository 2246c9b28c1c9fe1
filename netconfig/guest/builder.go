package guest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/sysctl-os/sysctl"
)

// builder collects the changes that really change something, and what the guest's renderer cannot
// express. After an error it does nothing more.
type builder struct {
	tree    sysctl.Tree
	network sysctl.GuestNetwork // all of it, whosever turn it is
	changes []sysctl.Change
	cannot  []string // "devices.eth0: DHCPv6"
	err     error
}

// done returns what was collected.
func (b *builder) done(g sysctl.Guest) ([]sysctl.Change, error) {
	switch {
	case b.err != nil:
		return nil, b.err
	case len(b.cannot) > 0:
		return nil, sysctl.E(sysctl.Unsupported, "render network for %s: %s", strings.TrimSpace(g.Renderer+" "+g.Dialect), strings.Join(b.cannot, "; "))
	}
	b.changes = slices.DeleteFunc(b.changes, func(c sysctl.Change) bool {
		name, _ := strings.CutSuffix(c.Path, aside) // what is not touched is not moved aside either
		return b.kept(name)
	})
	return b.changes, nil
}

// keepLine is the line by which a user says in a file that it is his.
const keepLine = "# sysctl: keep"

// kept reports whether a path is the user's, by his word or by a line in the file.
func (b *builder) kept(name string) bool {
	if slices.Contains(b.network.Keep, name) {
		return true
	}
	fi, err := b.tree.Lstat(name)
	if err != nil || !fi.Mode().IsRegular() {
		return false
	}
	data, err := b.tree.ReadFile(name)
	return err == nil && slices.ContainsFunc(splitLines(string(data)), func(line string) bool { return strings.TrimSpace(line) == keepLine })
}

// cannotSay notes that the guest's renderer has no words for something.
func (b *builder) cannotSay(nic, format string, args ...any) {
	b.cannot = append(b.cannot, "devices."+nic+": "+fmt.Sprintf(format, args...))
}

// staged returns the change that is planned for a path, nil where there is none.
func (b *builder) staged(name string) *sysctl.Change {
	for i := range b.changes {
		if b.changes[i].Path == name {
			return &b.changes[i]
		}
	}
	return nil
}

// stage plans a change, instead of an earlier one of the same path.
func (b *builder) stage(c sysctl.Change) {
	b.forget(c.Path)
	b.changes = append(b.changes, c)
}

// forget takes back what was planned for a path.
func (b *builder) forget(name string) {
	b.changes = slices.DeleteFunc(b.changes, func(c sysctl.Change) bool { return c.Path == name })
}

// read returns a file's content as it will be, "" where there is none.
func (b *builder) read(name string) string {
	if b.err != nil {
		return ""
	}
	if c := b.staged(name); c != nil && c.Link == "" {
		return string(c.Data)
	}
	data, err := b.tree.ReadFile(name)
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist), slices.Contains(b.network.Keep, name):
	case errors.Is(err, syscall.EIO):
		b.err = err
	default: // a FIFO, a device, a link in a circle, larger than a file of its kind ever is: the guest's own doing
		b.err = sysctl.E(sysctl.Unsupported, "%w", err).
			WithHint("remove it in the guest, or leave it alone: sysctl config set INSTANCE guest.network.keep=%s", name)
	}
	return string(data)
}

// exists reports whether there is, and will be, something at name.
func (b *builder) exists(name string) bool {
	if c := b.staged(name); c != nil {
		return !c.Remove
	}
	_, err := b.tree.Lstat(name)
	return err == nil
}

// mode is what kind of file one is to be. A file that is there keeps its permission bits, but for those
// its kind needs.
type mode int

const (
	plain  mode = iota
	secret      // its program insists on root alone reading it
	script      // is executable
)

// bits returns the permission bits of a new file, and which a file that is there gets and loses.
func (m mode) bits() (fresh, add, drop fs.FileMode) {
	switch m {
	case secret:
		return 0o600, 0, 0o077
	case script:
		return 0o755, 0o111, 0
	}
	return 0o644, 0, 0
}

// write makes name a plain file with this content.
func (b *builder) write(name, content, why string) { b.writeMode(name, content, plain, why) }

func (b *builder) writeMode(name, content string, m mode, why string) {
	if b.err != nil {
		return
	}
	fresh, add, drop := m.bits()
	c := sysctl.Change{Path: name, Data: []byte(content), Perm: fresh, Why: why}
	if fi, err := b.tree.Lstat(name); err == nil && fi.Mode().IsRegular() {
		old := fi.Mode().Perm()
		c.Perm = (old | add) &^ drop
		data, err := b.tree.ReadFile(name)
		if err == nil && bytes.Equal(data, c.Data) && old == c.Perm {
			b.forget(name)
			return
		}
	}
	b.stage(c)
}

// link makes name a symbolic link.
func (b *builder) link(target, name, why string) {
	if b.err != nil {
		return
	}
	if old, err := b.tree.Readlink(name); err == nil && old == target {
		b.forget(name)
		return
	}
	b.stage(sysctl.Change{Path: name, Link: target, Why: why})
}

// remove removes name.
func (b *builder) remove(name, why string) {
	if b.err != nil {
		return
	}
	if _, err := b.tree.Lstat(name); err == nil {
		b.stage(sysctl.Change{Path: name, Remove: true, Why: why})
	}
}

// removeOurs removes files that begin with our mark.
func (b *builder) removeOurs(why string, names ...string) {
	for _, name := range names {
		if strings.HasPrefix(b.read(name), mark) {
			b.remove(name, why)
		}
	}
}

// aside ends the name of a foreign file that is out of the way while an interface is ours. No
// program reads names that end so.
const aside = ".before-sysctl~"

// directory is one whose files are each for some interfaces, and begin with our mark where they
// are ours.
type directory struct {
	path string
	why  string
	// is reports whether the program reads a file of this name.
	is func(base string) bool
	// foreign reports whether somebody else's file would speak against ours.
	foreign func(base, content string) bool
	mode    mode
}

// own makes our files in a directory those wanted (by name): others of ours are removed, foreign
// ones that speak against ours are moved aside, and put back when they do not any more.
func (b *builder) own(d directory, want map[string]string) {
	for _, name := range regularFiles(b.tree, d.path, func(string) bool { return true }) {
		base := path.Base(name)
		if orig, isAside := strings.CutSuffix(base, aside); isAside {
			b.putBack(d, orig, want)
			continue
		}
		if !d.is(base) {
			continue
		}
		content := b.read(name)
		_, wanted := want[base]
		switch {
		case strings.HasPrefix(content, mark):
			if !wanted {
				b.remove(name, d.why)
			}
		case d.foreign(base, content):
			b.copyTo(name, name+aside, d.why)
			b.remove(name, d.why)
		}
	}
	for _, base := range slices.Sorted(maps.Keys(want)) {
		b.writeMode(path.Join(d.path, base), want[base], d.mode, d.why)
	}
}

func (b *builder) putBack(d directory, base string, want map[string]string) {
	name := path.Join(d.path, base)
	if _, wanted := want[base]; wanted || d.foreign(base, b.read(name+aside)) {
		return
	}
	if b.exists(name) && !strings.HasPrefix(b.read(name), mark) {
		return // somebody has written a new one
	}
	b.copyTo(name+aside, name, d.why)
	b.remove(name+aside, d.why)
}

// copyTo plans a copy of a regular file with its mode.
func (b *builder) copyTo(from, to, why string) {
	content := b.read(from)
	fi, err := b.tree.Stat(from)
	if b.err != nil || err != nil {
		return
	}
	b.stage(sysctl.Change{Path: to, Data: []byte(content), Perm: fi.Mode().Perm(), Why: why})
}
