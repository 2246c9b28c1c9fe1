package templates

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// What a tool's failure says: only where the tool ran and complained of nothing on this host is a mirror to blame.
func TestToolFailure(t *testing.T) {
	ran := exec.Command("false").Run() // an ExitError
	for _, c := range []struct {
		err  error
		said string
		kind sysctl.Kind
		hint string
	}{
		{ran, "E: Failed to fetch", sysctl.Unavailable, "another mirror"},
		{ran, "E: chown: Invalid argument", sysctl.Unsupported, "real root"},
		{ran, "E: mknod: Operation not permitted", sysctl.Unsupported, "real root"},
		{ran, "E: write: No space left on device", sysctl.NoSpace, "df -h"},
		{unix.EINVAL, "", sysctl.Unsupported, "namespaces"},
		{unix.EPERM, "", sysctl.Unsupported, "real root"},
		{unix.ENOSPC, "", sysctl.NoSpace, "max_pid_namespaces"},
		{unix.ENOMEM, "", sysctl.Internal, "--version"},
	} {
		out := &toolOutput{}
		out.Write([]byte(c.said + "\n"))
		err := toolRun{program: "/usr/bin/mmdebstrap"}.failed(context.Background(), c.err, out)
		if sysctl.KindOf(err) != c.kind || !strings.Contains(sysctl.HintOf(err), c.hint) {
			t.Errorf("%v %q: %s, %v, hint %q", c.err, c.said, sysctl.KindOf(err), err, sysctl.HintOf(err))
		}
	}
}

// Of what a tool says at its end only what tells a person something is passed on.
func TestToolCause(t *testing.T) {
	for said, want := range map[string]string{
		"I: running\nE: Failed to fetch x\nE: Some index files failed to download. They have been ignored.\nE: apt-get update -oX failed\nE: mmdebstrap failed to run\n": "E: Failed to fetch x",
		"E: apt-get update failed\nE: mmdebstrap failed to run\n": "E: apt-get update failed; E: mmdebstrap failed to run",
		"last words\n": "last words",
		"":             "it said nothing",
	} {
		out := &toolOutput{}
		out.Write([]byte(said))
		if got := out.cause(); got != want {
			t.Errorf("%q: %s", said, got)
		}
	}
}
