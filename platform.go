package sysctl

import (
	"slices"
	"strings"
)

// platforms are the architectures in Debian's names, each with how registries, kernels and people call it besides.
func platforms() [][]string {
	return [][]string{
		{"amd64", "x86_64", "x86-64"},
		{"i386", "386", "i486", "i586", "i686", "x86"},
		{"arm64", "arm64/v8", "aarch64"},
		{"armhf", "arm", "arm/v7", "armv7l"},
		{"ppc64el", "ppc64le"},
		{"s390x"},
		{"riscv64"},
		{"loong64", "loongarch64"},
	}
}

// ParsePlatform returns the architecture, in Debian's name, of a platform as registries write it (linux/386, linux/arm/v7), or
// of an architecture alone as anybody does (386, i386, x86_64). What is no Linux or not known is Invalid.
func ParsePlatform(text string) (arch string, err error) {
	name, linux := strings.CutPrefix(strings.ToLower(text), "linux/")
	known := make([]string, 0, len(platforms()))
	for _, names := range platforms() {
		if slices.Contains(names, name) {
			return names[0], nil
		}
		known = append(known, names[0])
	}
	if os, _, ok := strings.Cut(name, "/"); ok && !linux && os != "arm" && os != "arm64" {
		return "", E(Invalid, "platform %q: guests are Linux, and that is %s", text, os).WithHint("--platform linux/amd64")
	}
	return "", E(Invalid, "platform %q is not known: it is linux/ARCHITECTURE with one of %s", text, strings.Join(known, ", ")).WithHint("--platform linux/amd64")
}
