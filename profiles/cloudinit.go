package profiles

import (
	"strings"

	"github.com/sysctl-os/sysctl"
	"go.yaml.in/yaml/v3"
)

// maxSeed is the largest text that a seed may have, in bytes.
const maxSeed = 1 << 20

// cloudInitFields is the part of the table that a guest's cloud-init reads, as files in its /var/lib/cloud/seed/nocloud.
func cloudInitFields() []field[sysctl.Spec] {
	return []field[sysctl.Spec]{{
		Key: Key{Name: "cloud-init.network-config", Type: "text", Default: "left to guest.network", Example: "version: 2\nethernets: {eth0: {dhcp4: true}}",
			Doc: "The seed's network-config, in YAML. Without it cloud-init is told to leave the network alone; with it say guest.network=keep."},
		set: func(s *sysctl.Spec, _, v string) error {
			s.CloudInit.NetworkConfig = v
			return checkMapping(v)
		},
	}, {
		Key: Key{Name: "cloud-init.user-data", Type: "text", Default: "nothing", Example: "#cloud-config\npackages: [nginx]",
			Doc: "The seed's user-data: what the guest's cloud-init, where it has one, does at its first start and after each change of these keys or of its name."},
		set: func(s *sysctl.Spec, _, v string) error {
			s.CloudInit.UserData = v
			return checkUserData(v)
		},
	}, {
		Key: Key{Name: "cloud-init.vendor-data", Type: "text", Default: "nothing", Example: "#cloud-config\ntimezone: Europe/Vienna",
			Doc: "The seed's vendor-data: as user-data, which wins over it."},
		set: func(s *sysctl.Spec, _, v string) error {
			s.CloudInit.VendorData = v
			return checkUserData(v)
		},
	}}
}

func checkSeed(v string) error {
	if len(v) > maxSeed {
		return bad("is larger than %s", FormatSize(maxSeed))
	}
	return checkText(v)
}

// checkUserData: what is no cloud-config has other first lines, which only cloud-init knows.
func checkUserData(v string) error {
	if err := checkSeed(v); err != nil {
		return err
	}
	first, _, _ := strings.Cut(v, "\n")
	switch first = strings.TrimSpace(first); {
	case first == "#cloud-config":
		return checkMapping(v)
	case !strings.HasPrefix(first, "#") && !strings.HasPrefix(first, "Content-Type:") && !strings.HasPrefix(first, "MIME-Version:"):
		return bad(`begins with %q, by which cloud-init does not know what it is: let the first line be "#cloud-config", or "#!" and a program`, first)
	}
	return nil
}

func checkMapping(v string) error {
	if err := checkSeed(v); err != nil {
		return err
	}
	var content map[string]any
	if err := yaml.Unmarshal([]byte(v), &content); err != nil {
		return bad("is not YAML that says what of what: %s", message(err))
	}
	return nil
}
