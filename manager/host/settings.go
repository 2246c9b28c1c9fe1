package host

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/db"
	"github.com/sysctl-os/sysctl/storage"
	"github.com/sysctl-os/sysctl/templates"
	"go.yaml.in/yaml/v3"
)

// Settings is SYSCTL_DIR/config.yaml: what a user may choose for a whole environment. Every field is
// optional. Subnets and bridge name are looked at when the default network is first made.
type Settings struct {
	Sources `yaml:",inline"`
	Network struct {
		Bridge string `yaml:"bridge"`
		Table  string `yaml:"nat_table"`
		IPv4   string `yaml:"ipv4"` // the bridge's address with the subnet's length: 10.20.0.1/24
		IPv6   string `yaml:"ipv6"`
		NAT    *bool  `yaml:"nat"`
	} `yaml:"network"`
	IDMap struct {
		Base  uint32 `yaml:"base"`
		Count int    `yaml:"count"`
	} `yaml:"idmap"`
	// BootLimit is how long a guest's init may take to begin, such as 5m; 0 is the default (lxc.DefaultBootLimit).
	BootLimit time.Duration `yaml:"boot_limit"`
	Storage   struct {
		Shift string `yaml:"shift"` // how ids are shifted: auto, idmap or copy
	} `yaml:"storage"`
}

// Sources is /etc/sysctl/config.yaml, where things come from on this machine, and a part of each environment's
// settings, which win by name.
type Sources struct {
	// Mirrors is where to get things instead: by a template's name or a distribution's id the URL of the package archive,
	// by a host's name the URL that stands for everything on that registry or image server.
	Mirrors map[string]string `yaml:"mirrors"`
	// Remotes is where images are pulled from, by the names that "image pull" knows them by.
	Remotes map[string]templates.Remote `yaml:"remotes"`
	// Silence is how long a server may say next to nothing before another is tried, such as 90s; 0 is the default, a minute.
	Silence time.Duration `yaml:"silence"`
}

// readSettings reads an environment's file over the machine's, strictly; absent means all defaults.
func readSettings(machine, dir string) (Settings, error) {
	var s Settings
	file := filepath.Join(machine, "config.yaml")
	if err := readStrictly(file, &s.Sources); err != nil {
		return s, err
	}
	if err := s.Sources.check(); err != nil {
		return s, sysctl.Wrap(err, "%s", file)
	}
	return s, readStrictly(filepath.Join(dir, "config.yaml"), &s)
}

// readStrictly reads a YAML file into v, over what is in it.
func readStrictly(file string, v any) error {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return sysctl.E(sysctl.Invalid, "%s: %v", file, err)
	}
	return nil
}

// check reports every bad field.
func (s Sources) check() error {
	var bad sysctl.FieldErrors
	for _, of := range slices.Sorted(maps.Keys(s.Mirrors)) {
		if err := templates.CheckURL(s.Mirrors[of]); err != nil {
			bad.Add("mirrors."+of, "%v", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Remotes)) {
		if err := s.Remotes[name].Check(name); err != nil {
			bad.Add("remotes."+name, "%v", err)
		}
	}
	if s.Silence < 0 {
		bad.Add("silence", "%s is not a time to wait: write one such as 90s", s.Silence)
	}
	return bad.Err()
}

// catalogue is the templates of an environment. The user's recipes are the machine's and, before them, the environment's.
func (s Sources) catalogue(dir string) catalogue {
	return catalogue{
		dirs:  []string{templateDir, filepath.Join(dir, "templates")},
		cache: filepath.Join(dir, "cache"), mirrors: s.Mirrors, remotes: s.Remotes, silence: s.Silence,
	}
}

// apply puts the settings over an environment's derived names, all bad fields at once.
func (s Settings) apply(n names) (sysctl.Network, db.IDBlock, error) {
	var bad sysctl.FieldErrors
	network := sysctl.Network{Name: n.bridge, Table: n.table, Config: map[string]string{}}
	if s.Network.Bridge != "" {
		network.Name = s.Network.Bridge
		if len(network.Name) > 15 {
			bad.Add("network.bridge", "%q is longer than the 15 characters an interface may have", network.Name)
		}
	}
	if s.Network.Table != "" {
		network.Table = s.Network.Table
	}
	nat := s.Network.NAT == nil || *s.Network.NAT
	network.Config["ipv4.nat"], network.Config["ipv6.nat"] = strconv.FormatBool(nat), strconv.FormatBool(nat)
	if p := prefix(s.Network.IPv4, true, "network.ipv4", &bad); p.IsValid() {
		network.Config["ipv4.address"] = p.String()
	}
	if p := prefix(s.Network.IPv6, false, "network.ipv6", &bad); p.IsValid() {
		network.Config["ipv6.address"] = p.String()
	}
	ids := n.ids
	if s.IDMap.Base != 0 {
		ids.Base = s.IDMap.Base
	}
	if s.IDMap.Count != 0 {
		ids.Count = s.IDMap.Count
	}
	if ids.Base < 65536 || ids.Count < 1 || uint64(ids.Base)+uint64(ids.Count)*uint64(ids.Size) > 1<<32-1 {
		bad.Add("idmap", "%d ranges of %d ids from %d do not fit between 65536 and 2^32", ids.Count, ids.Size, ids.Base)
	}
	if s.BootLimit < 0 {
		bad.Add("boot_limit", "%s is not a time to wait: write one such as 5m", s.BootLimit)
	}
	if _, err := storage.ParseShift(s.Storage.Shift); err != nil {
		bad.Add("storage.shift", "%v", err)
	}
	var sources sysctl.FieldErrors
	if errors.As(s.check(), &sources) {
		bad = append(bad, sources...)
	}
	return network, ids, bad.Err()
}

func prefix(text string, four bool, field string, bad *sysctl.FieldErrors) netip.Prefix {
	if text == "" {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4() != four || p.Masked().Addr() == p.Addr() {
		bad.Add(field, "%q is not a bridge's address with its subnet's length, like 10.20.0.1/24 or fd00:1::1/64", text)
		return netip.Prefix{}
	}
	return p
}
