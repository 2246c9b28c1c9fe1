package profiles

import (
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// Key is one config key, or one option of a device type.
type Key struct {
	Name     string   // "limits.memory"; "environment.*" stands for every key with that prefix
	Type     string   // for people: bool, integer, size, text, …
	Default  string   // for people: what holds when it is not set; "" = nothing
	Doc      string   // one line of Markdown
	Example  string   // a value that is right
	Values   []string // every sensible value where they can be listed (for completion), else nil
	Names    []string // of a wildcard: what may stand for the star, where that can be listed, else nil
	Live     bool     // takes effect at once on a running instance; else at its next start
	Required bool     // of a device option: the device is wrong without it

	free  bool // an empty value is a value like any other
	check func(value string) error
}

// Check reports why value is wrong for the key and what would be right, or nil. The error is of kind
// Invalid and does not name the key. An empty value is right for every key: it means the default.
func (k Key) Check(value string) error {
	if value == "" {
		return nil
	}
	return k.check(value)
}

// Wildcard reports whether the key stands for every key with its prefix.
func (k Key) Wildcard() bool { return strings.HasSuffix(k.Name, ".*") }

// field ties a key to the place in T that its value is parsed into. Validation is parsing, so
// what Check accepts and what Resolve understands cannot drift apart.
type field[T any] struct {
	Key
	set func(t *T, name, value string) error // name is what the wildcard stands for, else ""
}

// key returns the public half, checking values by parsing them into a T that is thrown away.
func (f field[T]) key(name string) Key {
	k := f.Key
	k.check = func(value string) error { return f.set(new(T), name, value) }
	return k
}

// live marks fields that take effect at once.
func live[T any](fields []field[T]) []field[T] {
	for i := range fields {
		fields[i].Live = true
	}
	return fields
}

// find returns the field that the key name belongs to, and what its wildcard stands for.
func find[T any](fields []field[T], name string) (f field[T], rest string, ok bool) {
	for _, f := range fields {
		if f.Name == name {
			return f, "", true
		}
		if f.Wildcard() {
			if rest, ok := strings.CutPrefix(name, strings.TrimSuffix(f.Name, "*")); ok && rest != "" {
				return f, rest, true
			}
		}
	}
	return field[T]{}, "", false
}

// keys returns the public halves, sorted by name.
func keys[T any](fields []field[T]) []Key {
	list := make([]Key, len(fields))
	for i, f := range fields {
		list[i] = f.key("NAME")
	}
	slices.SortFunc(list, func(a, b Key) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// fill parses every value into t. Bad ones are added to errs under prefix+name, in order of name.
func fill[T any](t *T, fields []field[T], noun, prefix string, values map[string]string, errs *sysctl.FieldErrors) {
	for _, name := range sortedKeys(values) {
		f, rest, ok := find(fields, name)
		if !ok {
			errs.Add(prefix+name, "%s", unknown(noun, name, keys(fields)))
			continue
		}
		if values[name] == "" && !f.free {
			continue
		}
		if err := f.set(t, rest, values[name]); err != nil {
			errs.Add(prefix+name, "%s", err)
		}
	}
}

// CheckName reports why name is neither a config key nor, as "devices.NAME.OPTION", an option that a device of devices
// can have, or nil. A device that is not there is NotFound; everything else is Invalid and names the nearest that is
// right. Whether the key is set does not matter.
func CheckName(name string, devices map[string]sysctl.Device) error {
	rest, isDevice := strings.CutPrefix(name, "devices.")
	if !isDevice {
		if _, ok := Lookup(name); ok {
			return nil
		}
		return sysctl.FieldErrors{{Field: name, Msg: unknown("config key", name, Keys())}}
	}
	device, option, _ := strings.Cut(rest, ".")
	if device == "" || option == "" {
		return sysctl.FieldErrors{{Field: name, Msg: "write devices.NAME.OPTION"}}
	}
	d, ok := devices[device]
	if !ok {
		return sysctl.E(sysctl.NotFound, "%s", noDevice(device, sortedKeys(devices)))
	}
	options := Options(d["type"])
	if slices.ContainsFunc(options, func(k Key) bool { return k.Name == option }) {
		return nil
	}
	return sysctl.FieldErrors{{Field: name, Msg: unknown("option of a "+d["type"], option, options)}}
}

// Options returns the options that devices of a type have, sorted by name; none for a type that does not exist.
func Options(deviceType string) []Key {
	for _, t := range DeviceTypes() {
		if t.Type == deviceType {
			return t.Options
		}
	}
	return nil
}

// Keys returns every config key, sorted by name.
func Keys() []Key { return keys(configFields()) }

// Lookup returns the key that a name belongs to: "environment.LANG" belongs to "environment.*".
// The returned key's Check also says when the part the wildcard stands for is wrong.
func Lookup(name string) (Key, bool) {
	f, rest, ok := find(configFields(), name)
	if !ok {
		return Key{}, false
	}
	return f.key(rest), true
}
