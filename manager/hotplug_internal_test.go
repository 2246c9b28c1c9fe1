package manager

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func TestDeviceChanges(t *testing.T) {
	dev := func(words ...string) map[string]sysctl.Device {
		all := map[string]sysctl.Device{}
		for _, w := range words {
			name, options, _ := strings.Cut(w, ":")
			all[name] = sysctl.Device{}
			for o := range strings.SplitSeq(options, ",") {
				if k, v, ok := strings.Cut(o, "="); ok {
					all[name][k] = v
				}
			}
		}
		return all
	}
	for _, c := range []struct {
		name       string
		have, want map[string]sysctl.Device
		changes    string
	}{
		{"nothing", nil, nil, ""},
		{"the same", dev("a:type=disk,path=/a"), dev("a:type=disk,path=/a"), ""},
		{"one more", dev("a:type=disk"), dev("a:type=disk", "b:type=nic"), "b - nic"},
		{"one less", dev("a:type=disk", "b:type=nic"), dev("b:type=nic"), "a disk -"},
		{"another option", dev("a:type=disk,path=/a"), dev("a:type=disk,path=/b"), "a disk disk"},
		{"another type", dev("a:type=disk"), dev("a:type=nic"), "a disk nic"},
		{"an option more", dev("a:type=disk"), dev("a:type=disk,readonly=true"), "a disk disk"},
		{"masked", dev("a:type=disk"), dev("a:type=none"), "a disk -"},
		{"masked before", dev("a:type=none"), dev(), ""},
		{"sorted", dev("c:type=nic", "a:type=nic"), dev("b:type=nic"), "a nic -, b - nic, c nic -"},
	} {
		var got []string
		for _, ch := range deviceChanges(c.have, c.want) {
			kind := func(d sysctl.Device) string {
				if d == nil {
					return "-"
				}
				return d["type"]
			}
			got = append(got, fmt.Sprint(ch.name, " ", kind(ch.from), " ", kind(ch.to)))
		}
		if s := strings.Join(got, ", "); s != c.changes {
			t.Errorf("%s: %s, want %s", c.name, s, c.changes)
		}
	}
}
