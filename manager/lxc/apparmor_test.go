package lxc

import "testing"

// The names are liblxc's (lsm/apparmor.c): with others nothing would be removed.
func TestAppArmorNames(t *testing.T) {
	profile, file := generatedNames("sysctl-7")
	if want := "lxc-sysctl-7_</run/sysctl-lxc>"; profile != want {
		t.Errorf("profile %q, want %q", profile, want)
	}
	if want := "lxc-sysctl-7_<-run-sysctl-lxc>"; file != want {
		t.Errorf("file %q, want %q", file, want)
	}
}
