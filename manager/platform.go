package manager

import (
	"context"

	"github.com/sysctl-os/sysctl"
)

// archOf returns the architecture of a platform that the user names, or "" where that is this host's or none is named. One whose
// programs this host cannot run is Unsupported.
func (m *Manager) archOf(ctx context.Context, platform string) (string, error) {
	if platform == "" {
		return "", nil
	}
	arch, err := sysctl.ParsePlatform(platform)
	if err != nil {
		return "", err
	}
	h, err := m.Runtime.Host(ctx)
	if err != nil || arch == h.Arch {
		return "", err
	}
	_, err = measures(h, sysctl.Guest{Arch: arch}, sysctl.Spec{})
	return arch, sysctl.Wrap(err, "platform %s", platform)
}

// forArch is what an image is called that nobody named and that is for another architecture than the host's.
func forArch(alias, arch string) string {
	if arch == "" {
		return alias
	}
	return alias + "/" + arch
}
