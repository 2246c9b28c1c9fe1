package guest_test

import (
	"slices"
	"testing"

	"github.com/sysctl-os/sysctl/netconfig/guest"
)

// Whatever the probe finds in any system is in the table.
func TestUnderstoodHasEverySystem(t *testing.T) {
	for name := range systems {
		_, g := systems[name].tree()
		if !slices.ContainsFunc(guest.AllUnderstood(), func(u guest.Understood) bool { return u.Renderer == g.Renderer && u.Dialect == g.Dialect }) {
			t.Errorf("%s: %s %q is not in the table", name, g.Renderer, g.Dialect)
		}
	}
}
