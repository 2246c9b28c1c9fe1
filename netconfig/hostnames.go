package netconfig

import (
	"context"
	"os"
	"os/exec"

	"github.com/sysctl-os/sysctl"
)

// tellHostOnce is tellHost, and nothing where the host has been told by who started the dnsmasq that runs.
func (s server) tellHostOnce(ctx context.Context) error {
	if _, err := os.Stat(s.file("told")); err == nil {
		return nil
	}
	if err := s.tellHost(ctx); err != nil {
		return err
	}
	return os.WriteFile(s.file("told"), nil, 0o600)
}

// tellHost makes systemd-resolved ask the bridge for the network's domain, or not any more. It remembers that for as long as it and
// the bridge live: whoever starts dnsmasq says it again.
func (s server) tellHost(ctx context.Context) error {
	n := s.network
	program, err := exec.LookPath("resolvectl")
	if !n.DNS.Host || !answersNames(n) {
		if err == nil {
			run(ctx, program, "revert", n.Bridge) // nothing was said, or it does not run: both are as wanted
		}
		return nil
	}
	if err != nil {
		return sysctl.E(sysctl.Unsupported, "dns.host needs systemd-resolved, which is not there").WithHint("sysctl network set %s dns.host=false", n.Name)
	}
	for _, args := range [][]string{
		{"dns", n.Bridge, ServerAddress(n).String()},
		{"domain", n.Bridge, "~" + n.Domain}, // only what is in it
		{"default-route", n.Bridge, "false"},
	} {
		if said, err := run(ctx, program, args...); err != nil {
			return sysctl.E(sysctl.Unsupported, "dns.host: resolvectl %s: %s", args[0], said).WithHint("systemctl start systemd-resolved")
		}
	}
	return nil
}
