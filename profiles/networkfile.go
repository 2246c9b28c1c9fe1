package profiles

import (
	"io"

	"github.com/sysctl-os/sysctl"
	"go.yaml.in/yaml/v3"
)

// EncodeNetwork writes a network as YAML: name, description and config. DecodeNetwork gives it back.
func EncodeNetwork(n sysctl.Network) ([]byte, error) {
	if err := checkTexts(sysctl.Profile{Name: n.Name, Description: n.Description, Config: n.Config}); err != nil {
		return nil, err
	}
	return encode(head(n.Name, n.Description, n.Config), "network "+n.Name)
}

// DecodeNetwork reads a network's name, description and config from YAML, as strictly as Decode. The map is never nil.
func DecodeNetwork(r io.Reader, file string) (sysctl.Network, error) {
	n := sysctl.Network{Config: map[string]string{}}
	d := decoder{lines: map[string]int{}}
	known := []Key{{Name: "name"}, {Name: "description"}, {Name: "config"}}
	err := d.read(r, "network", file, func(root *yaml.Node) {
		d.mapping(root, "a network", func(key, value *yaml.Node) {
			switch key.Value {
			case "name":
				n.Name, _ = d.text(value, "name")
			case "description":
				if !isNull(value) {
					n.Description, _ = d.text(value, "description")
				}
			case "config":
				d.entries(value, "config", "", n.Config)
			default:
				d.add(key, "%s: %s", key.Value, unknown("field of a network", key.Value, known))
			}
		})
		_, err := ResolveNetwork(n)
		d.check(err)
	})
	return n, err
}
