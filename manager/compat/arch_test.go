package compat

import (
	"testing"

	"github.com/sysctl-os/sysctl"
)

func TestForeign(t *testing.T) {
	for _, c := range []struct {
		host, emulated, guest string
		boots                 bool
	}{
		{"amd64", "", "amd64", true}, {"amd64", "", "", true}, {"", "", "arm64", true}, {"amd64", "", "arm64", false}, {"arm64", "", "amd64", false},
		{"amd64", "armhf arm64", "arm64", true}, {"amd64", "armhf", "arm64", false}, {"amd64", "", "i386", true}, {"arm64", "", "armhf", true}, {"arm64", "", "i386", false},
	} {
		why, way := foreign().when(sysctl.Host{Arch: c.host, Emulated: c.emulated, IA32: true}, sysctl.Guest{Init: "systemd", Arch: c.guest})
		if (why == "") != c.boots || (way == "") != c.boots {
			t.Errorf("%+v: %q, %q", c, why, way)
		}
	}
}
