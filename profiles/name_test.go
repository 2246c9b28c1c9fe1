package profiles

import (
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func TestCheckName(t *testing.T) {
	devices := map[string]sysctl.Device{"eth0": {"type": "nic"}, "data": {"type": "disk"}}
	for name, c := range map[string]struct {
		kind sysctl.Kind
		says string
	}{
		"limits.memory":         {"", ""},
		"environment.LANG":      {"", ""},
		"devices.eth0.mtu":      {"", ""},
		"devices.data.readonly": {"", ""},
		"limits.memroy":         {sysctl.Invalid, "did you mean limits.memory?"},
		"devices.eth0.source":   {sysctl.Invalid, "unknown option of a nic"},
		"devices.data.redonly":  {sysctl.Invalid, "did you mean readonly?"},
		"devices.eth0":          {sysctl.Invalid, "write devices.NAME.OPTION"},
		"devices.eth1.mtu":      {sysctl.NotFound, "did you mean eth0?"},
		"devices.x.mtu":         {sysctl.NotFound, "there are data and eth0"},
	} {
		err := CheckName(name, devices)
		if sysctl.KindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
