package templates

import (
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
)

// A copy loses what would make it look like its source, and nothing else that its user has done since.
func TestIdentify(t *testing.T) {
	g := sysctl.Guest{Family: "debian", ID: "debian", Version: "12", Init: "systemd"}
	tree := treetest.New(map[string]string{"/etc/machine-id": "0123\n", "/var/lib/systemd/random-seed": "seed",
		"/etc/ssh/ssh_host_rsa_key": "secret", "/usr/sbin/sshd": "", "/etc/udev/rules.d/70-persistent-net.rules": "own"})
	changes, err := Identify(tree, g, []string{"random-seed"})
	if err == nil {
		err = sysctl.Apply(tree, changes)
	}
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/etc/machine-id": "", "/var/lib/systemd/random-seed": "seed",
		"/etc/udev/rules.d/70-persistent-net.rules": "own"} {
		if got, err := tree.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s is %q, want %q, %v", path, got, want, err)
		}
	}
	for _, path := range []string{"/etc/ssh/ssh_host_rsa_key", RecordFile} {
		if _, err := tree.Lstat(path); err == nil {
			t.Errorf("%s is there", path)
		}
	}
	if _, err := Identify(tree, g, []string{"nope"}); sysctl.KindOf(err) != sysctl.Invalid {
		t.Errorf("error %v", err)
	}
}
