package profiles

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func resolveNode(options ...string) (sysctl.Spec, error) {
	d := sysctl.Device{}
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		d[name] = value
	}
	return Resolve(nil, map[string]sysctl.Device{"a": {"type": "disk", "source": "/srv", "path": "/srv"}, "n": d})
}

func TestNode(t *testing.T) {
	for options, want := range map[string]sysctl.Node{
		"type=unix-char source=/dev//x":                              {Source: "/dev/x", Path: "/dev/x", Mode: 0o660},
		"type=unix-char path=/dev/x":                                 {Source: "/dev/x", Path: "/dev/x", Mode: 0o660},
		"type=unix-block source=/dev/a path=/dev/b mode=600":         {Block: true, Source: "/dev/a", Path: "/dev/b", Mode: 0o600},
		"type=unix-char path=/dev/x major=10 minor=0":                {Path: "/dev/x", Major: 10, Mode: 0o660},
		"type=unix-char path=/x uid=5 gid=6 required=no minor= uid=": {Source: "/x", Path: "/x", GID: 6, Mode: 0o660, Optional: true},
	} {
		want.Device = "n"
		spec, err := resolveNode(strings.Fields(options)...)
		if err != nil || !reflect.DeepEqual(spec.Nodes, []sysctl.Node{want}) {
			t.Errorf("%s: %+v, %v, want %+v", options, spec.Nodes, err, want)
		}
	}
}

func TestBadNode(t *testing.T) {
	for options, want := range map[string]string{
		"type=unix-char":                                  "devices.n.source: is missing",
		"type=unix-char major=1 minor=2":                  "devices.n.source: is missing",
		"type=unix-char source=dev/x":                     "devices.n.source: \"dev/x\" is not an absolute path",
		"type=unix-char source=/dev/x path=/proc/x":       "devices.n.path: /proc is the kernel's",
		"type=unix-char source=/dev/x path=/dev":          "devices.n.path: /dev is a directory",
		"type=unix-char source=/dev/x major=1":            "devices.n.minor: is missing: major says nothing",
		"type=unix-char source=/dev/x minor=1":            "devices.n.major: is missing",
		"type=unix-char source=/dev/x major=4096 minor=0": "devices.n.major: \"4096\" is none: write a whole number from 0 to 4095",
		"type=unix-char source=/dev/x major=1 minor=-1":   "devices.n.minor: \"-1\" is none",
		"type=unix-char source=/dev/x uid=4294967295":     "devices.n.uid: \"4294967295\" is none",
		"type=unix-block source=/dev/x mode=rw":           "devices.n.mode: \"rw\" is not a mode",
		"type=unix-block source=/dev/x required=maybe":    "devices.n.required: \"maybe\" is neither",
		"type=unix-block source=/dev/x readonly=true":     "devices.n.readonly",
		"type=unix-block source=/dev/x path=/srv":         "devices.n.path: \"/srv\" is the path of the device a already",
		"type=usb source=/dev/x":                          "write disk, nic, none, proxy, unix-block, unix-char",
	} {
		_, err := resolveNode(strings.Fields(options)...)
		var fields sysctl.FieldErrors
		if !errors.As(err, &fields) || len(fields) != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", options, err, want)
		}
	}
}
