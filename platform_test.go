package sysctl_test

import (
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func TestParsePlatform(t *testing.T) {
	for text, want := range map[string]string{
		"linux/386": "i386", "386": "i386", "i386": "i386", "i686": "i386", "linux/amd64": "amd64", "x86_64": "amd64", "Linux/AMD64": "amd64",
		"linux/arm64": "arm64", "linux/arm64/v8": "arm64", "aarch64": "arm64", "linux/arm/v7": "armhf", "arm/v7": "armhf", "armhf": "armhf",
		"linux/ppc64le": "ppc64el", "s390x": "s390x", "linux/riscv64": "riscv64",
	} {
		if got, err := sysctl.ParsePlatform(text); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %s", text, got, err, want)
		}
	}
	for text, why := range map[string]string{
		"windows/amd64": "guests are Linux, and that is windows", "linux/arm/v6": "is not known", "linux/vax": "is not known", "": "is not known",
		"linux/": "is not known", "linux/linux/386": "is not known", "arm/v5": "is not known", "amd64/v3": "that is amd64",
	} {
		_, err := sysctl.ParsePlatform(text)
		if sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), why) || sysctl.HintOf(err) == "" {
			t.Errorf("%q: %v, want one with %q", text, err, why)
		}
	}
}
