package profiles_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

func TestResolve(t *testing.T) {
	got, err := profiles.Resolve(map[string]string{
		"boot.autostart": "yes", "boot.autostart.delay": "5", "boot.autostart.priority": "-2",
		"security.privileged": "1", "environment.LANG": "C", "environment.EMPTY": "", "user.owner": "me",
		"limits.memory": "512MiB", "limits.cpu": "5,0-2,2", "limits.processes": "100",
	}, map[string]sysctl.Device{
		"root": {"type": "disk", "path": "/", "pool": "default"},
		"web":  {"type": "disk", "path": "/var/www/", "source": "/srv//web", "readonly": "true"},
		"data": {"type": "disk", "path": "/mnt", "source": "/", "optional": "on"},
		"eth1": {"type": "nic", "nictype": "macvlan", "parent": "enp3s0", "name": "lan", "hwaddr": "00-16-3E-AA-BB-CC", "ipv6.address": "FD42:0::1"},
		"eth0": {"type": "nic", "network": "sysbr0", "ipv4.address": "none", "mtu": "1400"},
		"gone": {"type": "none"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := sysctl.Spec{
		Privileged:  true,
		Environment: map[string]string{"LANG": "C", "EMPTY": ""},
		User:        map[string]string{"owner": "me"},
		Memory:      sysctl.Memory{Bytes: 512 << 20},
		CPU:         sysctl.CPU{Set: "0-2,5"},
		Processes:   100,
		Autostart:   sysctl.Autostart{Enabled: true, Priority: -2, Delay: 5 * time.Second},
		Root:        sysctl.RootDisk{Device: "root"},
		Disks: []sysctl.Disk{
			{Device: "data", Source: "/", Path: "/mnt", Optional: true},
			{Device: "web", Source: "/srv/web", Path: "/var/www", ReadOnly: true},
		},
		NICs: []sysctl.NICSpec{
			{Device: "eth0", Network: "sysbr0", Type: "bridged", Name: "eth0", IPv4: "none", MTU: 1400},
			{Device: "eth1", Parent: "enp3s0", Type: "macvlan", Name: "lan", MAC: "00:16:3e:aa:bb:cc", IPv6: "fd42::1"},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestResolveNothing(t *testing.T) {
	got, err := profiles.Resolve(nil, nil)
	want := sysctl.Spec{Environment: map[string]string{}, User: map[string]string{}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	got, err = profiles.Resolve(map[string]string{"limits.cpu": "", "boot.autostart": ""}, nil)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("empty values: got %+v, %v; want the defaults", got, err)
	}
}

func TestResolveLimits(t *testing.T) {
	for value, want := range map[string]sysctl.CPU{
		"2": {Count: 2}, "1-1": {Set: "1"}, "2,1": {Set: "1-2"}, "7,0-2": {Set: "0-2,7"}, "0-3,2-5": {Set: "0-5"}, "8191,0": {Set: "0,8191"},
	} {
		s, err := profiles.Resolve(map[string]string{"limits.cpu": value}, nil)
		if err != nil || s.CPU != want {
			t.Errorf("limits.cpu=%s: got %+v, %v; want %+v", value, s.CPU, err, want)
		}
	}
	for value, want := range map[string]sysctl.Memory{"25%": {Percent: 25}, "2GB": {Bytes: 2e9}, "7": {Bytes: 7}} {
		s, err := profiles.Resolve(map[string]string{"limits.memory": value}, nil)
		if err != nil || s.Memory != want {
			t.Errorf("limits.memory=%s: got %+v, %v; want %+v", value, s.Memory, err, want)
		}
	}
}

// fields returns the fields and messages of err.
func fields(t *testing.T, err error) map[string]string {
	t.Helper()
	got := map[string]string{}
	if err == nil {
		return got
	}
	var errs sysctl.FieldErrors
	if !errors.As(err, &errs) {
		t.Fatalf("%v (%T) is not FieldErrors", err, err)
	}
	for _, e := range errs {
		if old, twice := got[e.Field]; twice {
			t.Errorf("%s is reported twice: %q and %q", e.Field, old, e.Msg)
		}
		got[e.Field] = e.Msg
	}
	return got
}

// wantFields compares the fields exactly and the messages by a part of theirs.
func wantFields(t *testing.T, err error, want map[string]string) {
	t.Helper()
	got := fields(t, err)
	for field, part := range want {
		if msg, ok := got[field]; !ok || !strings.Contains(msg, part) {
			t.Errorf("%s: got %q, want a message with %q", field, msg, part)
		}
	}
	for field, msg := range got {
		if _, ok := want[field]; !ok {
			t.Errorf("unexpected: %s: %s", field, msg)
		}
	}
}

func TestCheckDevices(t *testing.T) {
	tests := []struct {
		name    string
		devices map[string]sysctl.Device
		want    map[string]string
	}{
		{"good", map[string]sysctl.Device{"eth0": {"type": "nic", "network": "sysbr0"}}, nil},
		{"empty options are not set", map[string]sysctl.Device{"eth0": {"type": "nic", "network": "sysbr0", "parent": "", "mtu": ""}}, nil},
		{"no type", map[string]sysctl.Device{"a": {}}, map[string]string{"devices.a.type": "is missing"}},
		{"nil device", map[string]sysctl.Device{"a": nil}, map[string]string{"devices.a.type": "is missing"}},
		{"odd type", map[string]sysctl.Device{"a": {"type": "gpu"}}, map[string]string{"devices.a.type": "disk, nic, none"}},
		{"odd name", map[string]sysctl.Device{"-a": {"type": "none"}}, map[string]string{"devices.-a": "device name"}},
		{"none with options", map[string]sysctl.Device{"a": {"type": "none", "path": "/x"}}, map[string]string{"devices.a.path": "type none"}},
		{"nic on nothing", map[string]sysctl.Device{"a": {"type": "nic"}}, map[string]string{"devices.a.network": "missing"}},
		{"physical nic with a MAC", map[string]sysctl.Device{"a": {"type": "nic", "nictype": "physical", "parent": "eth9", "hwaddr": "00:16:3e:aa:bb:cc"}}, map[string]string{"devices.a.hwaddr": "cannot be chosen"}},
		{"nic without parent", map[string]sysctl.Device{"a": {"type": "nic", "nictype": "macvlan"}}, map[string]string{"devices.a.parent": "missing"}},
		{"nic without nictype", map[string]sysctl.Device{"a": {"type": "nic", "parent": "eth0"}}, map[string]string{"devices.a.nictype": "missing"}},
		{"nic on both", map[string]sysctl.Device{"a": {"type": "nic", "network": "n", "nictype": "bridged", "parent": "p"}}, map[string]string{"devices.a.nictype": "beside network"}},
		{"nic with network and parent", map[string]sysctl.Device{"a": {"type": "nic", "network": "n", "parent": "p"}}, map[string]string{"devices.a.parent": "beside network"}},
		{"a bad value is not missing", map[string]sysctl.Device{"a": {"type": "nic", "network": "a/b"}}, map[string]string{"devices.a.network": "must not contain"}},
		{"nic name from a long device", map[string]sysctl.Device{"a-very-long-device-name": {"type": "nic", "network": "n"}}, map[string]string{"devices.a-very-long-device-name.name": "will not do"}},
		{"long device with a name", map[string]sysctl.Device{"a-very-long-device-name": {"type": "nic", "network": "n", "name": "eth0"}}, nil},
		{"two nics of a name", map[string]sysctl.Device{"a": {"type": "nic", "network": "n", "name": "b"}, "b": {"type": "nic", "network": "n"}}, map[string]string{"devices.b.name": "device a already"}},
		{"misspelt option", map[string]sysctl.Device{"a": {"type": "nic", "network": "n", "ip4.address": "none"}}, map[string]string{"devices.a.ip4.address": "did you mean ipv4.address?"}},
		{"root disk", map[string]sysctl.Device{"root": {"type": "disk", "path": "/", "pool": "default"}}, nil},
		{"root disk without pool", map[string]sysctl.Device{"root": {"type": "disk", "path": "/"}}, nil},
		{"root disk with source", map[string]sysctl.Device{"root": {"type": "disk", "path": "//", "source": "/srv", "readonly": "true"}}, map[string]string{"devices.root.source": "root disk", "devices.root.readonly": "root disk"}},
		{"bind with pool", map[string]sysctl.Device{"d": {"type": "disk", "path": "/x", "source": "/srv", "pool": "default"}}, map[string]string{"devices.d.pool": "root disk"}},
		{"bind without anything", map[string]sysctl.Device{"d": {"type": "disk"}}, map[string]string{"devices.d.path": "missing", "devices.d.source": "missing"}},
		{"disk on /dev", map[string]sysctl.Device{"d": {"type": "disk", "path": "/dev", "source": "tmpfs:"}}, map[string]string{"devices.d.path": "lxc.autodev.tmpfs.size"}},
		{"disk below /dev", map[string]sysctl.Device{"d": {"type": "disk", "path": "/dev/shm", "source": "tmpfs:", "size": "1GiB"}}, nil},
		{"two disks of a path", map[string]sysctl.Device{"a": {"type": "disk", "path": "/x", "source": "/1"}, "b": {"type": "disk", "path": "/x/", "source": "/2"}}, map[string]string{"devices.b.path": "device a already"}},
		{"two bad paths are not the same path", map[string]sysctl.Device{"a": {"type": "disk", "path": "x", "source": "/1"}, "b": {"type": "disk", "path": "y", "source": "/2"}}, map[string]string{"devices.a.path": "absolute", "devices.b.path": "absolute"}},
		{"two bad names are not the same name", map[string]sysctl.Device{"a": {"type": "nic", "network": "n", "name": "a b"}, "b": {"type": "nic", "network": "n", "name": "a b"}}, map[string]string{"devices.a.name": "contain", "devices.b.name": "contain"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantFields(t, profiles.Check(nil, tt.devices), tt.want) })
	}
}

func TestCheckReportsEverythingAtOnce(t *testing.T) {
	err := profiles.Check(map[string]string{
		"limits.memory": "lots", "limits.cpu": "0", "boot.autostart": "maybe", "nonsense": "1", "limit.memory": "1",
		"environment.A=B": "x", "environment.1A": "x", "user.a b": "x", "environment.OK": "x",
	}, map[string]sysctl.Device{
		"eth0": {"type": "nic", "network": "n", "ipv4.address": "10.0.0.300", "mtu": "1"},
		"data": {"type": "disk", "path": "mnt", "source": "srv"},
	})
	wantFields(t, err, map[string]string{
		"limits.memory": "not a size", "limits.cpu": "number of CPUs", "boot.autostart": "neither",
		"nonsense": "unknown config key: there are boot.auto", "limit.memory": "did you mean limits.memory?",
		"environment.A=B": "variable", "environment.1A": "digit", "user.a b": "spaces",
		"devices.eth0.ipv4.address": "not an IPv4 address", "devices.eth0.mtu": "not an MTU",
		"devices.data.path": "absolute", "devices.data.source": "absolute",
	})
	if sysctl.KindOf(err) != sysctl.Invalid {
		t.Errorf("kind %s, want invalid", sysctl.KindOf(err))
	}
	for range 20 { // maps are walked in random order, messages are not
		again := profiles.Check(map[string]string{"b": "", "a": "", "c": ""}, nil)
		if s := again.Error(); strings.Index(s, "a: ") > strings.Index(s, "; b: ") {
			t.Fatalf("not sorted: %s", s)
		}
	}
}

func TestSuggestions(t *testing.T) {
	for typed, want := range map[string]string{
		"limits.memroy": "limits.memory", "Limits.Memory": "limits.memory", "memory": "limits.memory", "limit.cpu": "limits.cpu",
		"boot.autostrat.priority": "boot.autostart.priority", "privileged": "security.privileged", "autostart": "boot.autostart",
		"enviroment.LANG": "environment.LANG", "environment": "environment.NAME", "users.note": "user.note", "processes": "limits.processes",
	} {
		wantFields(t, profiles.Check(map[string]string{typed: "1"}, nil), map[string]string{typed: "did you mean " + want + "?"})
	}
	for _, typed := range []string{"qqq.zzzzzz", "x", strings.Repeat("limits.memory", 100)} {
		wantFields(t, profiles.Check(map[string]string{typed: "1"}, nil), map[string]string{typed: "there are boot.auto"})
	}
}

func TestCheckTogether(t *testing.T) {
	for name, c := range map[string]struct{ config, want map[string]string }{
		"allow and deny":       {map[string]string{"security.syscalls.allow": "read", "security.syscalls.deny": "bpf"}, map[string]string{"security.syscalls.deny": "beside security.syscalls.allow", "security.syscalls.allow": "start or end"}},
		"raw and deny":         {map[string]string{"raw.seccomp": "2\ndenylist\nbpf", "security.syscalls.deny": "bpf"}, map[string]string{"security.syscalls.deny": "beside raw.seccomp"}},
		"deny and the default": {map[string]string{"security.syscalls.deny_default": "false", "security.syscalls.deny": "bpf"}, nil},
		"privileged with ids":  {map[string]string{"security.privileged": "true", "raw.idmap": "both 5 5"}, map[string]string{"raw.idmap": "security.privileged"}},
		"a sysctl of the host": {map[string]string{"linux.sysctl.vm.swappiness": "1", "linux.sysctl.kernel.hostname": "x", "linux.sysctl.net..x": "1"},
			map[string]string{"linux.sysctl.vm.swappiness": "whole host's", "linux.sysctl.kernel.hostname": "sysctl rename", "linux.sysctl.net..x": "name of a setting"}},
		"a limit that is none": {map[string]string{"limits.kernel.nofiles": "5"}, map[string]string{"limits.kernel.nofiles": "did you mean nofile?"}},
	} {
		t.Run(name, func(t *testing.T) { wantFields(t, profiles.Check(c.config, nil), c.want) })
	}
}
