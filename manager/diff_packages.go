package manager

import (
	"path"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// comparePackages lists how two lists of packages differ, by name. files are how the trees differ; intact says whether a
// file of the second one is as its package brought it.
func comparePackages(before, after []sysctl.Package, files []sysctl.Difference, intact func(path, digest string) (bool, error)) ([]sysctl.PackageDifference, error) {
	type key struct{ name, arch string }
	type versions struct{ before, after []sysctl.Package }
	all := map[key]versions{}
	for _, p := range before {
		k := key{p.Name, p.Arch}
		v := all[k]
		v.before = append(v.before, p)
		all[k] = v
	}
	for _, p := range after {
		k := key{p.Name, p.Arch}
		v := all[k]
		v.after = append(v.after, p)
		all[k] = v
	}
	touched := touchedBy(files)
	list := []sysctl.PackageDifference{}
	for k, v := range all {
		// There may be several versions of one, such as kernels: those that both have are out of the question.
		gone, come, kept := settle(v.before, v.after)
		for i := range max(len(gone), len(come)) {
			d := sysctl.PackageDifference{Name: k.name, Arch: k.arch, Change: sysctl.Changed, Config: []string{}}
			if i < len(gone) {
				d.Before = gone[i].Version
			} else {
				d.Change = sysctl.Added
			}
			if i < len(come) {
				d.After = come[i].Version
				var err error
				if d.Config, err = changedConfig(come[i], touched, intact); err != nil {
					return nil, err
				}
			} else {
				d.Change = sysctl.Deleted
			}
			list = append(list, d)
		}
		for _, p := range kept {
			config, err := changedConfig(p, touched, intact)
			if err != nil {
				return nil, err
			}
			if len(config) > 0 {
				list = append(list, sysctl.PackageDifference{Name: k.name, Arch: k.arch, Change: sysctl.Configured, Before: p.Version, After: p.Version, Config: config})
			}
		}
	}
	slices.SortFunc(list, func(a, b sysctl.PackageDifference) int {
		return strings.Compare(a.Name+"\x00"+a.Arch+"\x00"+a.Before+"\x00"+a.After, b.Name+"\x00"+b.Arch+"\x00"+b.Before+"\x00"+b.After)
	})
	return list, nil
}

// settle splits the versions of one package into those that only one side has, and those of the second that both have.
func settle(before, after []sysctl.Package) (gone, come, kept []sysctl.Package) {
	has := func(list []sysctl.Package, version string) bool {
		return slices.ContainsFunc(list, func(p sysctl.Package) bool { return p.Version == version })
	}
	for _, p := range before {
		if !has(after, p.Version) {
			gone = append(gone, p)
		}
	}
	for _, p := range after {
		if has(before, p.Version) {
			kept = append(kept, p)
		} else {
			come = append(come, p)
		}
	}
	return gone, come, kept
}

// touchedBy tells whether the content of a path came, changed or went, by itself or with a directory above it.
func touchedBy(files []sysctl.Difference) func(name string) bool {
	own, above := map[string]bool{}, map[string]bool{}
	for _, d := range files {
		kind := d.Change == sysctl.Changed && slices.Contains(d.What, "type")
		if d.Change != sysctl.Changed || kind || slices.Contains(d.What, "content") {
			own[d.Path] = true
		}
		if d.Change == sysctl.Deleted || kind {
			above[d.Path] = true
		}
	}
	return func(name string) bool {
		if own[name] {
			return true
		}
		for dir := path.Dir(name); dir != "/" && dir != "."; dir = path.Dir(dir) {
			if above[dir] {
				return true
			}
		}
		return false
	}
}

// changedConfig lists the configuration files of a package that were touched and are not as it brought them. Of those that
// it brought without saying how, nobody can tell.
func changedConfig(p sysctl.Package, touched func(string) bool, intact func(path, digest string) (bool, error)) ([]string, error) {
	config := []string{}
	for name, digest := range p.Config {
		if digest == "" || !touched(name) {
			continue
		}
		same, err := intact(name, digest)
		if err != nil {
			return nil, sysctl.Wrap(err, "configuration of %s", p.Name)
		}
		if !same {
			config = append(config, name)
		}
	}
	slices.Sort(config)
	return config, nil
}
