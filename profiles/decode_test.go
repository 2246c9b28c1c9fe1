package profiles_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

func TestDecode(t *testing.T) {
	got, err := profiles.Decode(strings.NewReader(`# what every web server gets
name: web
description: "Web: servers"
config:
  boot.autostart: true
  boot.autostart.delay: 0005
  limits.processes: 100
  security.privileged: off
  user.hex: 0x10
  user.date: 2024-01-31
  user.float: 1.50
  user.colons: 12:30:45
  user.script: |
    #!/bin/sh
    exit 0
  environment.EMPTY: ""
devices:
  eth0: {type: nic, network: sysbr0, hwaddr: 00:16:3e:12:34:56, mtu: 1400}
  data:
    type: disk
    source: /srv
    path: /mnt
    readonly: yes
  old: {type: none}
`), "web.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := sysctl.Profile{
		Name: "web", Description: "Web: servers",
		Config: config{
			"boot.autostart": "true", "boot.autostart.delay": "0005", "limits.processes": "100", "security.privileged": "off",
			"user.hex": "0x10", "user.date": "2024-01-31", "user.float": "1.50", "user.colons": "12:30:45",
			"user.script": "#!/bin/sh\nexit 0\n", "environment.EMPTY": "",
		},
		Devices: devices{
			"eth0": {"type": "nic", "network": "sysbr0", "hwaddr": "00:16:3e:12:34:56", "mtu": "1400"},
			"data": {"type": "disk", "source": "/srv", "path": "/mnt", "readonly": "yes"},
			"old":  {"type": "none"},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeMinimal(t *testing.T) {
	want := sysctl.Profile{Config: config{}, Devices: devices{}}
	for _, text := range []string{"{}", "config:\n", "description:\nconfig: {}\ndevices:\n", "\ufeffconfig:\r\ndevices:\r\n", "---\nconfig:\n...\n"} {
		if got, err := profiles.Decode(strings.NewReader(text), "f"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string // "LINE: part of the message", in order
	}{
		{"empty", "", []string{"1: empty"}},
		{"comment only", "# nothing\n", []string{"1: empty"}},
		{"null", "---\n", []string{"1: empty"}},
		{"text", "hello\n", []string{`1: not the text "hello"`}},
		{"list", "- a\n- b\n", []string{"1: not a list"}},
		{"unknown field", "name: a\nconfigs: {}\n", []string{"2: configs: unknown field of a profile: did you mean config?"}},
		{"unknown field, nothing near", "used_by: []\n", []string{"1: there are name, description, config and devices"}},
		{"duplicate field", "config: {}\nname: a\nconfig: {}\n", []string{"3: config: is in line 1 already"}},
		{"duplicate key", "config:\n  user.a: 1\n  user.b: 2\n  user.a: 3\n", []string{"4: user.a: is in line 2 already"}},
		{"duplicate device", "devices:\n  a: {type: none}\n  a: {type: none}\n", []string{"3: a: is in line 2 already"}},
		{"duplicate option", "devices:\n  a:\n    type: none\n    type: none\n", []string{"4: type: is in line 3 already"}},
		{"config is a list", "name: a\nconfig:\n  - limits.cpu=1\n", []string{"3: config must be a mapping, lines of KEY: VALUE, not a list"}},
		{"config is text", "config: limits.cpu=1\n", []string{`1: not the text "limits.cpu=1"`}},
		{"value is a list", "config:\n  limits.cpu: [1, 2]\n", []string{"2: limits.cpu: must be text, not a list"}},
		{"value is a mapping", "config:\n  limits:\n    cpu: 1\n", []string{"3: limits: must be text, not a mapping"}},
		{"value is null", "config:\n  limits.cpu:\n  limits.memory: ~\n", []string{"2: limits.cpu: has no value", "3: limits.memory: has no value"}},
		{"name is null", "name:\n", []string{"1: name: has no value"}},
		{"name is a list", "name: [a]\n", []string{"1: name: must be text, not a list"}},
		{"bad name", "name: a b\n", []string{"1: profile name"}},
		{"key is null", "config:\n  ~: 1\n", []string{"2: a key of config must be text, not nothing"}},
		{"key is a list", "config:\n  ? [a]\n  : 1\n", []string{"2: a key of config must be text, not a list"}},
		{"binary", "config:\n  user.a: !!binary aGk=\n", []string{"2: not of type !!binary"}},
		{"own type", "config:\n  user.a: !secret x\n", []string{"2: not of type !secret"}},
		{"alias", "config:\n  user.a: &x 1\n  user.b: *x\n", []string{"3: user.b: is a reference (*x)"}},
		{"alias of a mapping", "devices:\n  a: &x {type: none}\n  b: *x\n", []string{"3: devices.b is a reference (*x)"}},
		{"merge key", "config: &c {user.a: 1}\ndevices:\n  a:\n    <<: *c\n    type: none\n", []string{"4: devices.a.<<: is a reference (*c)"}},
		{"alias in itself", "config: &c\n  user.a: *c\n", []string{"2: user.a: is a reference"}},
		{"unknown key", "config:\n  limits.cpu: 1\n  limits.memroy: 1GiB\n", []string{"3: limits.memroy: unknown config key: did you mean limits.memory?"}},
		{"bad value", "config:\n  limits.memory: lots\n", []string{`2: limits.memory: "lots" is not a size`}},
		{"bad option", "devices:\n  eth0:\n    type: nic\n    network: n\n    ipv4.address: 10.0.0.1/24\n", []string{"5: devices.eth0.ipv4.address:"}},
		{"missing option", "name: a\ndevices:\n  d:\n    type: disk\n    path: /x\n", []string{"3: devices.d.source: is missing"}},
		{"missing option, dotted name", "devices:\n  d.e: {type: disk, path: /x}\n", []string{"2: devices.d.e.source: is missing"}},
		{"empty device", "devices:\n  d:\n", []string{"2: devices.d.type: is missing"}},
		{"device with a hole", "devices:\n  d:\n    type: disk\n    path: /x\n    source:\n", []string{"5: devices.d.source: has no value"}},
		{"everything at once", "devices:\n  d: {type: gpu}\nnme: x\nconfig:\n  limits.cpu: zero\n  limits.cpu: 1\n  x: 1\n", []string{
			"2: devices.d.type:", "3: nme:", "5: limits.cpu:", "6: limits.cpu: is in line 5 already", "7: x: unknown config key"}},
		{"second document", "name: a\n---\nname: b\n", []string{"2: second document"}},
		{"syntax after a document", "name: a\n---\nb: c: d\n", []string{"3: mapping values"}},
		{"not UTF-8", "name: a\ndescription: \xff\n", []string{"2: UTF-8"}},

		{"syntax, line 1", "a: b: c\n", []string{"1: mapping values"}},
		{"syntax, line 2", "x: 1\na: b: c\n", []string{"2: mapping values"}},
		{"syntax, last line without end", "x: 1\ny: 2\na: b: c", []string{"3: mapping values"}},
		{"tab", "x:\n\ta: b\n", []string{"2: "}},
		{"tab in line 1", "\ta: b\n", []string{"1: cannot start any token"}},
		{"list in a mapping", "# comment\n\nx: 1\ny: 2\n- a\nz: 3\n", []string{"5: did not find expected key"}},
		{"bad dedent", "# comment\nname: a\nconfig:\n    user.a: 1\n  user.b: 2\nz: 3\n", []string{"5: did not find expected key"}},
		{"bad indent", "config:\n  user.a: 1\n   user.b: 2\nz: 3\n", []string{"3: mapping values"}},
		{"open bracket", "x: 1\ny: [1, 2\nz: 3\n", []string{"2: did not find expected ',' or ']'"}},
		{"closed bracket, then an error", "x: [1,\n  2,\n  3]\ny: {a: b,\n c: d}\nz: }\nw: 1\n", []string{"6: did not find expected node content"}},
		{"open quote", "x: 1\ny: \"abc\nz: 3\nw: 4\n", []string{"2: unexpected end of stream"}},
		{"open quote in line 1", "y: \"abc\nz: 3\nw: 4\n", []string{"1: unexpected end of stream"}},
		{"unknown anchor", "x: 1\ny: *foo\nz: 3\n", []string{"2: unknown anchor"}},
		{"bad escape", "x: 1\ny: \"a\n  b\\q\"\nz: 1\n", []string{"3: unknown escape"}},
		{"control character", "x: 1\ny: \x01\nz: 1\n", []string{"2: control characters"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := profiles.Decode(strings.NewReader(tt.text), "f.yaml")
			if err == nil {
				t.Fatal("accepted")
			}
			if kind := sysctl.KindOf(err); kind != sysctl.Invalid {
				t.Errorf("kind %s, want invalid", kind)
			}
			var errs sysctl.FieldErrors
			if !errors.As(err, &errs) || len(errs) != len(tt.want) {
				t.Fatalf("got %q, want %d problems", err, len(tt.want))
			}
			for i, want := range tt.want {
				line, part, _ := strings.Cut(want, ": ")
				if errs[i].Field != "f.yaml:"+line || !strings.Contains(errs[i].Msg, part) {
					t.Errorf("got %s: %s\nwant line %s with %q", errs[i].Field, errs[i].Msg, line, part)
				}
			}
		})
	}
}

func TestDecodeReader(t *testing.T) {
	broken := errors.New("broken")
	if _, err := profiles.Decode(iotest.ErrReader(broken), "f"); !errors.Is(err, broken) {
		t.Errorf("got %v, want the reader's error", err)
	}
	large := "description: " + strings.Repeat("x", profiles.MaxFile)
	if _, err := profiles.Decode(strings.NewReader(large), "f"); err == nil || sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), "1MiB") {
		t.Errorf("a file that is too large: %v", err)
	}
}

// TestDecodeDeep has nesting that would cost a careless reader its stack or its memory.
func TestDecodeDeep(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 x\n")
	for i := range 40 {
		fmt.Fprintf(&bomb, "a%d: &a%d [*a%d, *a%d]\n", i+1, i+1, i, i)
	}
	for _, text := range []string{strings.Repeat("[", profiles.MaxFile), strings.Repeat("- ", profiles.MaxFile/2), bomb.String()} {
		if _, err := profiles.Decode(strings.NewReader(text), "f"); sysctl.KindOf(err) != sysctl.Invalid {
			t.Errorf("%.20q…: %v", text, err)
		}
	}
}
