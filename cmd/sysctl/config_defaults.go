package main

import (
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl/manager"
	"github.com/sysctl-os/sysctl/profiles"
)

// keyInForce is one config key as it holds for an instance.
type keyInForce struct {
	Key   string `json:"key"`
	Value string `json:"value"` // in force: where nobody has set it, the default, for people
	From  string `json:"from"`  // instance, profile, default
	Live  bool   `json:"live"`  // a change takes effect at once
	Type  string `json:"type"`
	Doc   string `json:"doc"`
}

// defaultsView shows every key that there is, with what is in force. Of a family of keys (environment.*) it shows those that are set.
func defaultsView(d manager.Detail) view {
	v := view{columns: []string{"KEY", "VALUE", "FROM", "EFFECT"}}
	all := []keyInForce{}
	for _, k := range profiles.Keys() {
		names := []string{k.Name}
		if k.Wildcard() {
			names = nil
			for name := range d.Expanded {
				if strings.HasPrefix(name, strings.TrimSuffix(k.Name, "*")) {
					names = append(names, name)
				}
			}
			slices.Sort(names)
		}
		for _, name := range names {
			all = append(all, inForce(d, k, name))
		}
	}
	for _, k := range all {
		effect := "next start"
		if k.Live {
			effect = "at once"
		}
		v.rows = append(v.rows, []string{k.Key, k.Value, k.From, effect})
	}
	v.value = all
	return v
}

func inForce(d manager.Detail, k profiles.Key, name string) keyInForce {
	f := keyInForce{Key: name, Value: k.Default, From: "default", Live: k.Live, Type: k.Type, Doc: k.Doc}
	if value, set := d.Expanded[name]; set && (value != "" || k.Wildcard()) {
		f.Value, f.From = value, "profile"
		if _, own := d.Config[name]; own {
			f.From = "instance"
		}
	}
	return f
}
