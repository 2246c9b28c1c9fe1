package sysctl

import (
	"encoding/json"
	"strings"
	"time"
)

// Image is an immutable root filesystem with metadata: an ordered list of layers.
type Image struct {
	ID          string    `json:"id"`      // hexadecimal sha256 over the layer ids, see ImageID
	Aliases     []string  `json:"aliases"` // sorted
	Layers      []string  `json:"layers"`  // Layer.ID, lowest first
	Arch        string    `json:"architecture"`
	Guest       Guest     `json:"guest"`
	Description string    `json:"description"`
	Template    string    `json:"template"` // recipe it was built from, or ""
	Source      string    `json:"source"`   // where it came from, for people
	Size        int64     `json:"size"`     // bytes of all layers
	Created     time.Time `json:"created_at"`
}

// Layer is one read-only directory tree.
type Layer struct {
	ID      string    `json:"id"`   // hexadecimal sha256 of its content (storage.Digest), or random for a sealed upper
	Size    int64     `json:"size"` // bytes of its files; 0 of a sealed upper: nobody has counted
	Created time.Time `json:"created_at"`
}

// LayerSum says what is in a layer.
type LayerSum struct {
	Digest  string // hexadecimal sha256 of its content (storage.Digest)
	Size    int64  // bytes of its files
	Entries int64  // files, directories, …
}

// Guest is the OS found in a tree: detected, never trusted from a name. Empty fields are unknown.
type Guest struct {
	Family      string   `json:"family"`       // debian, rhel, suse, alpine, arch, gentoo, slackware, void
	ID          string   `json:"id"`           // debian, ubuntu, centos, …
	Version     string   `json:"version"`      // "12", "7", "14.04"
	Name        string   `json:"name"`         // for people: "Debian GNU/Linux 12 (bookworm)"
	Arch        string   `json:"arch"`         // amd64, i386, arm64
	Bits        int      `json:"bits"`         // ELF class of its init
	Init        string   `json:"init"`         // systemd, sysvinit, upstart, busybox, openrc, runit, finit, bsd
	InitVersion string   `json:"init_version"` // "252"
	Libc        string   `json:"libc"`         // glibc, musl, uclibc
	LibcVersion string   `json:"libc_version"` // "2.36"
	Kernel      string   `json:"kernel"`       // the oldest its C library runs on: "3.2.0"
	Iptables    string   `json:"iptables"`     // which tables its iptables speaks to: "legacy", "nft", "": it has none
	Renderer    string   `json:"renderer"`     // ifupdown, networkd, …: whose files configure its network
	Dialect     string   `json:"dialect"`      // of the renderer
	Packages    string   `json:"packages"`     // dpkg, rpm, apk, pacman
	Evidence    []string `json:"evidence"`     // "/etc/os-release: ID=debian", …

	Chosen GuestChoice `json:"chosen"` // what its template says in place of what would be found

	// Fingerprint is of the files that all this was told by (Fingerprint): while it is the same, so is the guest.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// GuestChoice is what takes the place of a detection, or of what is known of an init. Empty fields leave it at that.
type GuestChoice struct {
	Renderer string `json:"renderer,omitempty"` // with its dialect behind a space: "ifupdown 0.8"
	Halt     string `json:"halt,omitempty"`     // the signal by which its init halts: "SIGPWR"
}

// Choose puts what was chosen in the place of what was found, and says so among the evidence.
func (g *Guest) Choose(c GuestChoice) {
	g.Chosen = c
	if c.Renderer != "" {
		g.Renderer, g.Dialect, _ = strings.Cut(c.Renderer, " ")
		g.Evidence = append(g.Evidence, "template: network files of "+c.Renderer)
	}
	if c.Halt != "" {
		g.Evidence = append(g.Evidence, "template: halts by "+c.Halt)
	}
}

// Known reports whether enough is known of the guest to write into its tree.
func (g Guest) Known() bool { return g.ID != "" && g.Init != "" }

// UnmarshalJSON reads a guest. It also takes the names that databases may still have for two of its fields,
// initVersion and libcVersion.
func (g *Guest) UnmarshalJSON(b []byte) error {
	type plain Guest // without this method
	in := struct {
		*plain
		OldInit string `json:"initVersion"`
		OldLibc string `json:"libcVersion"`
	}{plain: (*plain)(g)}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	if in.OldInit != "" {
		g.InitVersion = in.OldInit
	}
	if in.OldLibc != "" {
		g.LibcVersion = in.OldLibc
	}
	return nil
}
