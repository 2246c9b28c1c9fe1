package profiles_test

import (
	"reflect"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

type (
	config  = map[string]string
	devices = map[string]sysctl.Device
)

func TestMerge(t *testing.T) {
	base := sysctl.Profile{
		Config:  config{"limits.memory": "1GiB", "limits.cpu": "1", "environment.A": "1", "user.x": "base"},
		Devices: devices{"eth0": {"type": "nic", "network": "n", "mtu": "1400"}, "data": {"type": "disk", "path": "/d", "source": "/s"}},
	}
	web := sysctl.Profile{
		Config:  config{"limits.memory": "2GiB"},
		Devices: devices{"eth0": {"type": "nic", "network": "lan"}, "data": {"type": "none"}},
	}
	tests := []struct {
		name    string
		ps      []sysctl.Profile
		config  config
		devices devices
		wantC   config
		wantD   devices
	}{
		{"nothing", nil, nil, nil, config{}, devices{}},
		{"own only", nil, config{"limits.cpu": "2"}, devices{"a": {"type": "disk"}}, config{"limits.cpu": "2"}, devices{"a": {"type": "disk"}}},
		{"later wins, devices as a whole, none removes", []sysctl.Profile{base, web}, nil, nil,
			config{"limits.memory": "2GiB", "limits.cpu": "1", "environment.A": "1", "user.x": "base"}, devices{"eth0": {"type": "nic", "network": "lan"}}},
		{"order matters", []sysctl.Profile{web, base}, nil, nil, base.Config, base.Devices},
		{"own keys win", []sysctl.Profile{base}, config{"limits.cpu": "8"}, devices{"eth0": {"type": "none"}, "data": {"type": "none"}},
			config{"limits.memory": "1GiB", "limits.cpu": "8", "environment.A": "1", "user.x": "base"}, devices{}},
		{"empty is the default, or an empty text", []sysctl.Profile{base}, config{"limits.cpu": "", "environment.A": ""}, nil,
			config{"limits.memory": "1GiB", "environment.A": "", "user.x": "base"}, base.Devices},
		{"none of nothing", nil, nil, devices{"x": {"type": "none"}}, config{}, devices{}},
		{"after none comes another", []sysctl.Profile{base, web, base}, nil, nil, base.Config, base.Devices},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, d := profiles.Merge(tt.ps, tt.config, tt.devices)
			if !reflect.DeepEqual(c, tt.wantC) {
				t.Errorf("config %v, want %v", c, tt.wantC)
			}
			if !reflect.DeepEqual(d, tt.wantD) {
				t.Errorf("devices %v, want %v", d, tt.wantD)
			}
		})
	}
}

func TestMergeSharesNothing(t *testing.T) {
	p := sysctl.Profile{Config: config{"limits.cpu": "1"}, Devices: devices{"a": {"type": "nic"}}}
	c, d := profiles.Merge([]sysctl.Profile{p}, nil, nil)
	c["limits.cpu"], d["a"]["type"] = "9", "disk"
	if p.Config["limits.cpu"] != "1" || p.Devices["a"]["type"] != "nic" {
		t.Errorf("changing the result changed the profile: %v", p)
	}
}
