package manager

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// seedDir is where cloud-init looks for a NoCloud seed in a guest's own files (ds-identify, dscheck_NoCloud).
const seedDir = "/var/lib/cloud/seed/nocloud"

// seedMark begins the meta-data of a seed that we wrote: what somebody else wrote there is theirs.
const seedMark = "# written by sysctl from cloud-init.*\n"

// seed returns what has to change in the guest's seed for cloud-init. It is written into every guest that is asked to have one,
// also where no cloud-init is found: it may be installed later, and without it four small files harm nobody. A seed that is not
// asked for any more is removed.
func seed(t sysctl.Tree, inst sysctl.Instance, c sysctl.CloudInit) ([]sysctl.Change, error) {
	files := seedFiles(inst, c)
	if c == (sysctl.CloudInit{}) {
		meta, err := t.ReadFile(seedDir + "/meta-data")
		if err != nil || !strings.HasPrefix(string(meta), seedMark) {
			return nil, nil // there is none, or it is not ours
		}
	}
	var changes []sysctl.Change
	for _, name := range sortedKeys(files) {
		path, want := seedDir+"/"+name, files[name]
		is, err := t.ReadFile(path) // what is no file is replaced
		switch {
		case want == "" && err == nil:
			changes = append(changes, sysctl.Change{Path: path, Remove: true, Why: "cloud-init.* says nothing of it"})
		case want != "" && (err != nil || !bytes.Equal(is, []byte(want))):
			changes = append(changes, sysctl.Change{Path: path, Data: []byte(want), Perm: 0o600, Why: "seed for cloud-init"})
		}
	}
	return changes, nil
}

// seedFiles are the files of a seed; "" is one that is not to be there. cloud-init does its work of a first boot again when the
// instance-id is another: where the instance is another one or has another name, or is told something else.
func seedFiles(inst sysctl.Instance, c sysctl.CloudInit) map[string]string {
	files := map[string]string{"meta-data": "", "user-data": "", "vendor-data": "", "network-config": ""}
	if c == (sysctl.CloudInit{}) {
		return files
	}
	sum := sha256.New()
	for _, part := range []string{fmt.Sprint(inst.ID, inst.Created.UnixNano()), inst.Name, c.UserData, c.VendorData, c.NetworkConfig} {
		fmt.Fprintf(sum, "%d %s\n", len(part), part)
	}
	files["meta-data"] = seedMark + "instance-id: sysctl-" + hex.EncodeToString(sum.Sum(nil))[:16] + "\nlocal-hostname: " + inst.Name + "\n"
	files["user-data"] = orElse(c.UserData, "#cloud-config\n{}\n") // without one the seed is none
	files["vendor-data"] = orElse(c.VendorData, "")
	files["network-config"] = orElse(c.NetworkConfig, "config: disabled\n") // else it would ask for DHCP on the first interface
	return files
}

// orElse is a text with a final newline, or another one where it is empty.
func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return strings.TrimSuffix(text, "\n") + "\n"
}
