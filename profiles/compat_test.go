package profiles

import (
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

// A measure that does not exist is an error that says which was meant.
func TestUnknownMeasure(t *testing.T) {
	for name, want := range map[string]string{
		"vsyscal": "did you mean vsyscall?", "cgroup-name": "did you mean cgroup-named?", "x": "unknown measure: there are cgroup-named, ",
	} {
		err := Check(map[string]string{"compat." + name: "on"}, nil)
		if sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), "compat."+name+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
