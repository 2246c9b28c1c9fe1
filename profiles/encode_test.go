package profiles_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

func TestEncode(t *testing.T) {
	p := sysctl.Profile{
		Name: "web", Description: "true",
		Config: config{"user.script": "#!/bin/sh\nexit 0\n", "boot.autostart": "true", "limits.cpu": "2", "environment.EMPTY": "", "user.odd": " \n\tx"},
		Devices: devices{
			"root": {"type": "disk", "pool": "default", "path": "/"},
			"eth0": {"type": "nic", "network": "sysbr0", "hwaddr": "00:16:3e:12:34:56"},
		},
	}
	want := `name: web
description: "true"
config:
  boot.autostart: "true"
  environment.EMPTY: ""
  limits.cpu: "2"
  user.odd: " \n\tx"
  user.script: |
    #!/bin/sh
    exit 0
devices:
  eth0:
    hwaddr: 00:16:3e:12:34:56
    network: sysbr0
    type: nic
  root:
    path: /
    pool: default
    type: disk
`
	for range 5 {
		got, err := profiles.Encode(p)
		if err != nil || string(got) != want {
			t.Fatalf("%v\n%s\nwant\n%s", err, got, want)
		}
	}
	back, err := profiles.Decode(strings.NewReader(want), "f")
	if err != nil || !reflect.DeepEqual(back, p) {
		t.Errorf("back: %+v, %v", back, err)
	}
}

func TestEncodeEmpty(t *testing.T) {
	got, err := profiles.Encode(sysctl.Profile{})
	if want := "description: \"\"\nconfig: {}\ndevices: {}\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestEncodeRefuses(t *testing.T) {
	for field, p := range map[string]sysctl.Profile{
		"description": {Description: "\xff"}, "user.a": {Config: config{"user.a": "a\x00"}},
		"devices.a.path": {Devices: devices{"a": {"path": "\xfe"}}}, "devices.\xff": {Devices: devices{"\xff": {}}},
	} {
		_, err := profiles.Encode(p)
		if got := fields(t, err); len(got) != 1 || got[field] == "" {
			t.Errorf("want %q refused, got %v", field, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"name: a\nconfig: {limits.cpu: 1}\ndevices:\n  eth0: {type: nic, network: n}\n", "config:\n  user.a: |+\n    x\n\n  user.b: >-\n    y\n",
		"a: &a [*a]\n", "config: &c\n  <<: *c\n", "x: \"", "--- a\n--- b\n", "[\n#a\n]\n", "? a\n: b\n", "%YAML 1.1\n---\n", "a: b: c\n", "\t", "\ufeff{}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := profiles.Decode(strings.NewReader(s), "f")
		if err != nil {
			if sysctl.KindOf(err) != sysctl.Invalid {
				t.Fatalf("kind %s: %v", sysctl.KindOf(err), err)
			}
			return
		}
		if err := profiles.Check(p.Config, p.Devices); err != nil {
			t.Fatalf("decoded, but Check says %v", err)
		}
		roundTrip(t, p)
	})
}

// FuzzEncode looks for texts that do not survive being written.
func FuzzEncode(f *testing.F) {
	for _, s := range []string{"", " ", "\n", "a\n", "\n a", " a\nb", "a\n\n", "a\t\nb ", "#x", "- a\n- b", "\u0085", "a\u2028b\n", "\ufeffx\ny", "~", "null", "yes", "0x1", "\r\n", "\x01\n\x7f", "'\"", "|\n  x", "---\n", "a\n...\nb", "a\n\tb\n", "a\n\t\n", "a\t\n", "é\n😀 – €\n", "a\n \n  b\n "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			t.Skip("cannot be written at all")
		}
		roundTrip(t, sysctl.Profile{Description: s, Config: config{"user.a": s, "environment.B": s}, Devices: devices{}})
	})
}

func roundTrip(t *testing.T, p sysctl.Profile) {
	t.Helper()
	data, err := profiles.Encode(p)
	if err != nil {
		t.Fatalf("encode %+v: %v", p, err)
	}
	if len(data) > profiles.MaxFile {
		t.Skip("grew too large")
	}
	back, err := profiles.Decode(bytes.NewReader(data), "f")
	if err != nil || !reflect.DeepEqual(back, p) {
		t.Fatalf("%+v\nis written\n%s\nand read %+v, %v", p, data, back, err)
	}
}
