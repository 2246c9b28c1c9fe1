package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

// RenderOptions asks what would be written into a guest's own network files.
type RenderOptions struct {
	Name  string // an instance, or
	Image string // an image, by alias or id: with the hostname HostnameOfImage
	// NICs take the place of an instance's own. Without any, an image gets one with addresses that are kept for
	// documentation (RFC 5737, RFC 3849).
	NICs []sysctl.GuestNIC
}

// HostnameOfImage is the hostname in what an image's guest would be given.
const HostnameOfImage = "guest"

// Rendering is what would be written.
type Rendering struct {
	Guest   sysctl.Guest `json:"guest"`            // as it is now
	Reason  string       `json:"reason,omitempty"` // why nothing is written at all, whatever the files say
	Changes []FileChange `json:"changes"`
}

// FileChange is a file of a guest that would be written: made where Before is nil, removed where After is.
type FileChange struct {
	Path   string     `json:"path"`
	Why    string     `json:"why"`
	Before *FileState `json:"before"`
	After  *FileState `json:"after"`
}

// FileState is a regular file or, with a Link, a symbolic link.
type FileState struct {
	Mode    string `json:"mode"` // octal permission bits; of a link "0777"
	Link    string `json:"link,omitempty"`
	Content string `json:"content"`
}

// RenderNetwork returns what the next start of an instance would change in its guest's own files for identity and
// network, or what the first start of an instance of an image would; nothing is written. There are no changes where all
// is as it is to be, and for a guest into which nothing is written. A running instance is looked at as it is right now.
func (m *Manager) RenderNetwork(ctx context.Context, o RenderOptions) (Rendering, error) {
	if o.Image != "" {
		r, err := m.renderImage(ctx, o)
		return r, sysctl.Wrap(err, "render %s", o.Image)
	}
	inst, unlock, err := m.lockInstance(ctx, o.Name, nil)
	defer unlock()
	var r Rendering
	if err == nil {
		r, err = m.renderInstance(ctx, inst, o)
	} else if sysctl.KindOf(err) == sysctl.NotFound {
		if _, ierr := m.DB.Image(ctx, o.Name); ierr == nil {
			err = sysctl.E(sysctl.NotFound, "%w", err).WithHint("sysctl network render --image %s", o.Name)
		}
	}
	return r, sysctl.Wrap(err, "render %s", o.Name)
}

func (m *Manager) renderImage(ctx context.Context, o RenderOptions) (r Rendering, err error) {
	image, err := m.DB.Image(ctx, o.Image)
	if err != nil {
		return r, err
	}
	t, err := m.Storage.OpenLayers(ctx, image.Layers)
	if err != nil {
		return r, err
	}
	defer t.Close()
	if len(o.NICs) == 0 {
		o.NICs = []sysctl.GuestNIC{{
			Name: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("2001:db8::2/64")},
			Gateway4: netip.MustParseAddr("192.0.2.1"), Gateway6: netip.MustParseAddr("2001:db8::1"),
		}}
	}
	spec, err := profiles.Resolve(nil, nil)
	if err != nil {
		return r, err
	}
	return m.difference(ctx, t, sysctl.Instance{Name: HostnameOfImage, Guest: image.Guest}, spec, o.NICs)
}

func (m *Manager) renderInstance(ctx context.Context, inst sysctl.Instance, o RenderOptions) (r Rendering, err error) {
	if !inst.Ready {
		return r, halfMade(inst.Name)
	}
	spec, err := m.spec(ctx, inst)
	if err != nil {
		return r, err
	}
	t, err := m.openInstance(ctx, inst)
	if err != nil {
		return r, err
	}
	defer t.Close()
	return m.difference(ctx, t, inst, spec, o.NICs)
}

// difference renders into t and describes the changes.
func (m *Manager) difference(ctx context.Context, t sysctl.Tree, inst sysctl.Instance, spec sysctl.Spec, nics []sysctl.GuestNIC) (r Rendering, err error) {
	r.Changes = []FileChange{}
	if r.Guest, err = m.current(t, inst.Guest); err != nil {
		return r, err
	}
	if r.Reason = untouched(r.Guest, spec); r.Reason != "" {
		return r, nil
	}
	inst.Guest = r.Guest
	changes, err := m.render(ctx, t, inst, spec, nics)
	if err != nil {
		return r, err
	}
	for _, c := range changes {
		before, err := stateOf(t, c.Path)
		if err != nil {
			return r, err
		}
		r.Changes = append(r.Changes, FileChange{Path: c.Path, Why: c.Why, Before: before, After: stateAfter(c)})
	}
	return r, nil
}

// stateAfter describes what a change makes of its path, nil where it removes it.
func stateAfter(c sysctl.Change) *FileState {
	switch {
	case c.Remove:
		return nil
	case c.Link != "":
		return &FileState{Mode: modeText(0o777), Link: c.Link}
	}
	return &FileState{Mode: modeText(c.Mode()), Content: string(c.Data)}
}

// stateOf describes what is at a path, nil where there is nothing. What is neither file nor link has no content.
func stateOf(t sysctl.Tree, name string) (*FileState, error) {
	fi, err := t.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	s := &FileState{Mode: modeText(fi.Mode().Perm())}
	switch {
	case fi.Mode()&fs.ModeSymlink != 0:
		s.Link, err = t.Readlink(name)
	case fi.Mode().IsRegular():
		var data []byte
		data, err = t.ReadFile(name)
		s.Content = string(data)
	}
	return s, err
}

func modeText(perm fs.FileMode) string { return fmt.Sprintf("%04o", perm) }
