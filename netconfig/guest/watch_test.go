package guest_test

import (
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
	"github.com/sysctl-os/sysctl/netconfig/guest"
)

// Whatever the probe looks at in any system is watched, but for the package database: a newer ifupdown is a newer
// program too.
func TestEverythingProbedIsWatched(t *testing.T) {
	for name, s := range systems {
		tree := treetest.New(s.files)
		for _, path := range treetest.Unwatched(tree, guest.Watched(tree), func(tree sysctl.Tree) { guest.Probe(tree) }) {
			if path != "/var/lib/dpkg/status" {
				t.Errorf("%s: %s", name, path)
			}
		}
	}
}

// A fingerprint changes with what Probe would say.
func TestFingerprintChangesWithTheProbe(t *testing.T) {
	tree, _ := systems["debian12"].tree()
	before := sysctl.Fingerprint(tree, guest.Watched(tree))
	settle(t, tree, sysctl.Guest{}, full) // an unknown guest: nothing is written
	if got := sysctl.Fingerprint(tree, guest.Watched(tree)); got != before {
		t.Error("it changes by itself")
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(tree.WriteFile("/etc/network/interfaces", []byte("auto lo\n"), 0o644))
	must(tree.Remove("/etc/network/interfaces.d/old"))
	must(tree.Symlink("/usr/lib/systemd/system/systemd-networkd.service", "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service"))
	if renderer, _, _ := guest.Probe(tree); renderer != guest.Networkd || sysctl.Fingerprint(tree, guest.Watched(tree)) == before {
		t.Errorf("renderer %s, and the fingerprint is the same", renderer)
	}
}
