package profiles

import (
	"sync"

	"github.com/sysctl-os/sysctl"
)

// configFields is the table of config keys. Nobody changes it.
var configFields = sync.OnceValue(func() []field[sysctl.Spec] {
	var list []field[sysctl.Spec]
	list = append(list, bootFields()...)
	list = append(list, endFields()...)
	list = append(list, guestFields()...)
	list = append(list, compatField())
	list = append(list, limitFields()...)
	list = append(list, kernelFields()...)
	list = append(list, securityFields()...)
	list = append(list, rawFields()...)
	list = append(list, cloudInitFields()...)
	list = append(list, snapshotFields()...)
	return append(list, field[sysctl.Spec]{
		Key: Key{Name: "environment.*", Type: "text", Example: "de_DE.UTF-8", Live: true, free: true,
			Doc: "An environment variable of the guest's init and of every `exec`. A running guest's init keeps the old value until its next start."},
		set: func(s *sysctl.Spec, name, v string) error {
			if err := checkVariable(name); err != nil {
				return err
			}
			return put(&s.Environment, name, v)
		},
	}, field[sysctl.Spec]{
		Key: Key{Name: "user.*", Type: "text", Example: "accounting", Live: true, free: true,
			Doc: "Free text of yours: stored and shown, otherwise ignored."},
		set: func(s *sysctl.Spec, name, v string) error {
			if err := checkUserKey(name); err != nil {
				return err
			}
			return put(&s.User, name, v)
		},
	})
})

func bootFields() []field[sysctl.Spec] {
	return []field[sysctl.Spec]{{
		Key: Key{Name: "boot.autostart", Type: "bool", Default: "as it was", Example: "true", Values: bools(), Live: true,
			Doc: "Start the instance when the host boots: `true` always, `false` never. Not set: where it was running when the host went down."},
		set: func(s *sysctl.Spec, _, v string) (err error) {
			s.Autostart.Enabled, err = parseBool(v)
			s.Autostart.Disabled = !s.Autostart.Enabled
			return err
		},
	}, {
		Key: Key{Name: "boot.autostart.delay", Type: "integer", Default: "0", Example: "5", Live: true,
			Doc: "Seconds to wait after starting the instance at boot, before instances of a lower priority are started."},
		set: func(s *sysctl.Spec, _, v string) error {
			n, err := parseSeconds(v, 0, "5")
			s.Autostart.Delay = n
			return err
		},
	}, {
		Key: Key{Name: "boot.autostart.priority", Type: "integer", Default: "0", Example: "10", Live: true,
			Doc: "Order of starting at boot: the highest priority starts first."},
		set: func(s *sysctl.Spec, _, v string) error {
			n, err := parseOrder(v, "starts")
			s.Autostart.Priority = n
			return err
		},
	}}
}

// put checks a free text and stores it, making the map where there is none.
func put(m *map[string]string, name, value string) error {
	if err := checkText(value); err != nil {
		return err
	}
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[name] = value
	return nil
}
