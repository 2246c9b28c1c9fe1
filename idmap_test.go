package sysctl_test

import (
	"fmt"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func TestIDRanges(t *testing.T) {
	m := func(raw string) sysctl.IDMap { return sysctl.IDMap{Base: 1000000, Size: 65536, Raw: raw} }
	for _, c := range []struct{ raw, uids, gids string }{
		{"", "[0 1000000 65536]", "[0 1000000 65536]"},
		{"both 1000 1000", "[0 1000000 1000 1000 1000 1 1001 1001001 64535]", "[0 1000000 1000 1000 1000 1 1001 1001001 64535]"},
		{"uid 5-6 1-2\ngid 7 65535", "[0 1000000 1 1 5 2 3 1000003 65533]", "[0 1000000 65535 65535 7 1]"},
		{"uid 9 70000", "[0 1000000 65536 70000 9 1]", "[0 1000000 65536]"},
		{"uid 9-18 65530-65539", "[0 1000000 65530 65530 9 10]", "[0 1000000 65536]"},
	} {
		if err := m(c.raw).CheckIDs(); err != nil {
			t.Errorf("%q: %v", c.raw, err)
		}
		if u, g := fmt.Sprint(m(c.raw).UIDs()), fmt.Sprint(m(c.raw).GIDs()); u != c.uids || g != c.gids {
			t.Errorf("%q: %s and %s, want %s and %s", c.raw, u, g, c.uids, c.gids)
		}
	}
	if err := m("uid 1000005 7").CheckIDs(); err == nil {
		t.Error("a host id of its own range is two ids of the guest, and that was taken")
	}
	if err := m("uid 1000007 7").CheckIDs(); err != nil {
		t.Errorf("the hole's own host id: %v", err)
	}
	if got := (sysctl.IDMap{}).UIDs(); got != nil {
		t.Errorf("a privileged instance maps %v", got)
	}
}
