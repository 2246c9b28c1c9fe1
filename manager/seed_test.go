package manager

import (
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
)

func TestSeed(t *testing.T) {
	tree := treetest.New(nil)
	inst := sysctl.Instance{ID: 7, Name: "web1"}
	apply := func(inst sysctl.Instance, c sysctl.CloudInit) int {
		t.Helper()
		changes, err := seed(tree, inst, c)
		if err == nil {
			err = sysctl.Apply(tree, changes)
		}
		if err != nil {
			t.Fatal(err)
		}
		return len(changes)
	}
	read := func(name string) string {
		b, err := tree.ReadFile(seedDir + "/" + name)
		if err != nil {
			return ""
		}
		return string(b)
	}
	if n := apply(inst, sysctl.CloudInit{}); n != 0 {
		t.Errorf("%d changes where nothing is asked for", n)
	}
	told := sysctl.CloudInit{UserData: "#cloud-config\na: b"}
	if n := apply(inst, told); n != 3 || read("user-data") != "#cloud-config\na: b\n" || !strings.Contains(read("network-config"), "disabled") || read("vendor-data") != "" {
		t.Errorf("%d changes: %q, %q, %q", n, read("user-data"), read("network-config"), read("vendor-data"))
	}
	if n := apply(inst, told); n != 0 {
		t.Errorf("%d changes the second time", n)
	}
	meta := read("meta-data")
	told.NetworkConfig = "version: 2"
	if apply(inst, told); read("meta-data") == meta || read("network-config") != "version: 2\n" {
		t.Errorf("told something else, it has the meta-data %q and the network %q", read("meta-data"), read("network-config"))
	}
	meta = read("meta-data")
	inst.Name = "web2"
	if apply(inst, told); read("meta-data") == meta || !strings.Contains(read("meta-data"), "local-hostname: web2\n") {
		t.Errorf("renamed, it has %q", read("meta-data"))
	}
	if apply(inst, sysctl.CloudInit{}); read("meta-data")+read("user-data")+read("network-config") != "" {
		t.Error("what is not asked for any more is still there")
	}
	if err := tree.WriteFile(seedDir+"/meta-data", []byte("instance-id: theirs\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := apply(inst, sysctl.CloudInit{}); n != 0 || read("meta-data") == "" {
		t.Error("somebody else's seed was removed")
	}
}
