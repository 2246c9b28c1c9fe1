package profiles_test

import (
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

const written = `# Web servers of the second floor.
description: 'web' # what they are
config:
  # as they have 2 GiB each
  limits.memory: 1GiB # enough
  limits.cpu: 2
  # for the tests
  user.on: on
devices:
  # not on the old bridge
  eth0: {type: nic, network: sysbr0}
  data:
    type: disk
    source: /srv/data # mounted by hand
    path: /data
# The end.
`

func TestEditKeepsComments(t *testing.T) {
	p, err := profiles.Decode(strings.NewReader(written), "web")
	if err != nil {
		t.Fatal(err)
	}
	p.Name = "web"
	same, err := profiles.Edit(written, p)
	if err != nil || same != written {
		t.Errorf("nothing is changed: %v\n%s", err, same)
	}
	p.Config["limits.memory"] = "2GiB"
	p.Config["boot.autostart"] = "true"
	delete(p.Config, "limits.cpu")
	p.Devices["eth0"]["mtu"] = "1400"
	p.Devices["data"]["source"] = "/srv/other"
	p.Devices["tmp"] = sysctl.Device{"type": "disk", "source": "tmpfs:", "path": "/tmp"}
	want := `# Web servers of the second floor.
description: 'web' # what they are
config:
  # as they have 2 GiB each
  limits.memory: 2GiB # enough
  # for the tests
  user.on: on
  boot.autostart: "true"
devices:
  # not on the old bridge
  eth0: {type: nic, network: sysbr0, mtu: "1400"}
  data:
    type: disk
    source: /srv/other # mounted by hand
    path: /data
  tmp:
    path: /tmp
    source: 'tmpfs:'
    type: disk
# The end.
`
	got, err := profiles.Edit(written, p)
	if err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}

func TestEditIsWhatTheProfileIs(t *testing.T) {
	full := sysctl.Profile{Name: "x", Description: "d", Config: config{"limits.cpu": "1", "user.a": "b"}, Devices: devices{"none": {"type": "none"}}}
	empty := sysctl.Profile{Name: "x"}
	for _, text := range []string{
		written,
		"name: x\n",
		"config:\ndevices: ~\n",
		"config: {} # as it was written\n",
		"config: {user.a: x, limits.cpu: 3}\ndescription: ~\n",
		"devices: {none: {type: none}, other: {type: none}}\n",
		"config: &c\n  user.a: b\ndevices: {}\n",
		"name: other\n",
		"not: a profile\n",
		"- nor this\n",
		": [",
	} {
		for _, p := range []sysctl.Profile{full, empty} {
			got, err := profiles.Edit(text, p)
			if err != nil {
				t.Errorf("%q: %v", text, err)
				continue
			}
			q, err := profiles.Decode(strings.NewReader(got), "x")
			if err != nil || q.Description != p.Description || !maps.Equal(q.Config, p.Config) || len(p.Devices) > 0 && !reflect.DeepEqual(q.Devices, p.Devices) || len(q.Devices) != len(p.Devices) {
				t.Errorf("%q has become %q: %v", text, got, err)
			}
		}
	}
	if got, err := profiles.Edit("", full); err != nil || got != "" {
		t.Errorf("what nobody wrote has become %q, %v", got, err)
	}
	if _, err := profiles.Edit("name: x\n", sysctl.Profile{Config: config{"user.a": "\xff"}}); sysctl.KindOf(err) != sysctl.Invalid {
		t.Errorf("what YAML cannot hold: %v", err)
	}
}
