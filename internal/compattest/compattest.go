// Package compattest finds an example of everything that the compat table can say, for tests that write it down: it judges
// the catalogue's guests, and some more, on every kind of host.
package compattest

import (
	"cmp"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager/compat"
	"github.com/sysctl-os/sysctl/templates"
)

// Example is a guest on a host of which the table has a remark.
type Example struct {
	Refusal bool // else it is something to live with
	Remark  sysctl.Remark
	Host    sysctl.Host
	Guest   sysctl.Guest
	Choices map[string]sysctl.Choice
}

// Host is a machine of today that lacks nothing: a kernel on x86-64 in whose cgroups and vsyscall state hosts differ.
func Host(layout sysctl.CgroupLayout, v sysctl.VsyscallState) sysctl.Host {
	return sysctl.Host{Release: "6.12.0", Major: 6, Minor: 12, Arch: "amd64", Cgroups: layout, Unified: layout != sysctl.CgroupV1,
		Vsyscall: v, IA32: true, Lxcfs: "/var/lib/lxcfs", LegacyTables: true}
}

// Guests are the guests of the built-in recipes on x86-64, of those that have it for i386 too, and some that no recipe makes.
func Guests(t testing.TB) []sysctl.Guest {
	t.Helper()
	var all []sysctl.Guest
	for _, tm := range Templates(t) {
		for _, arch := range tm.Arch {
			g := tm.Guest
			switch g.Arch = arch; arch {
			case "amd64":
				g.Bits = 64
			case "i386":
				g.Bits, g.Name = 32, g.Name+", i386"
			default:
				continue
			}
			all = append(all, g)
		}
	}
	return append(all, more()...)
}

// more are guests that no built-in recipe makes.
func more() []sysctl.Guest {
	return []sysctl.Guest{
		{Name: "a system that is not known"},
		{Name: "a Debian 12 for another machine", Family: "debian", ID: "debian", Version: "12", Arch: "arm64", Bits: 64, Init: "systemd", InitVersion: "252", Libc: "glibc", LibcVersion: "2.36", Packages: "dpkg"},
		{Name: "a Debian 10 with its own iptables", Family: "debian", ID: "debian", Version: "10", Arch: "amd64", Bits: 64, Init: "systemd", InitVersion: "241", Libc: "glibc", LibcVersion: "2.28", Packages: "dpkg",
			Kernel: "3.2.0", Iptables: "legacy"},
		{Name: "a system of the future", ID: "future", Arch: "amd64", Bits: 64, Init: "systemd", InitVersion: "300", Libc: "glibc", LibcVersion: "2.60", Kernel: "7.9.0"},
	}
}

// Examples has one for each sentence that the table can say of the guests: the first on the most ordinary host that makes
// it say that. It fails the test where a row that can refuse or remark has none: then more, or hosts, lacks something.
func Examples(t testing.TB) []Example {
	t.Helper()
	guests := Guests(t)
	numbers := regexp.MustCompile(`[0-9.]+`) // of versions: another one makes no other sentence
	seen := map[string]bool{}
	var out []Example
	for _, choices := range allChoices() {
		for _, h := range hosts() {
			for _, g := range guests {
				v := compat.Judge(h, g, spec(choices))
				add := func(refusal bool, all []sysctl.Remark) {
					for _, r := range all {
						key := r.ID + numbers.ReplaceAllString(r.Why, "0")
						if !seen[key] {
							seen[key] = true
							out = append(out, Example{refusal, r, h, g, choices})
						}
					}
				}
				if len(v.Refusals) == 1 { // a start says the first
					add(true, v.Refusals)
				}
				add(false, v.Notes)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Example) int { return cmp.Compare(order(a.Remark.ID), order(b.Remark.ID)) })
	complete(t, out)
	return out
}

// spec is the configuration of an instance with choices: one about memory has a limit.
func spec(choices map[string]sysctl.Choice) sysctl.Spec {
	s := sysctl.Spec{Compat: choices}
	if choices["tmpfs"] != "" {
		s.Memory.Bytes = 512 << 20
	}
	return s
}

func complete(t testing.TB, all []Example) {
	t.Helper()
	measures, reasons, conditions := compat.Rows()
	has := func(id string, refusal bool) {
		if !slices.ContainsFunc(all, func(e Example) bool { return e.Remark.ID == id && e.Refusal == refusal }) {
			t.Errorf("no example of %s (refusal: %v)", id, refusal)
		}
	}
	for _, m := range measures {
		if m.Cannot {
			has(m.ID, true)
		}
	}
	for _, r := range reasons {
		has(r.ID, true)
	}
	for _, n := range conditions {
		has(n.ID, false)
	}
}

// order is where a row is told.
func order(id string) int {
	measures, reasons, conditions := compat.Rows()
	return slices.IndexFunc(slices.Concat(measures, reasons, conditions), func(r compat.Row) bool { return r.ID == id })
}

// allChoices are none, and each measure switched on or off.
func allChoices() []map[string]sysctl.Choice {
	all := []map[string]sysctl.Choice{nil}
	for _, id := range sysctl.Measures() {
		all = append(all, map[string]sysctl.Choice{id: sysctl.On}, map[string]sysctl.Choice{id: sysctl.Off})
	}
	return all
}

// hosts are machines that lack nothing, and each of them with one thing otherwise: every field of sysctl.Host, an older kernel.
func hosts() []sysctl.Host {
	var whole, lacking []sysctl.Host
	for _, layout := range []sysctl.CgroupLayout{sysctl.CgroupV2, sysctl.CgroupHybrid, sysctl.CgroupV1} {
		for _, v := range []sysctl.VsyscallState{sysctl.VsyscallWorks, sysctl.VsyscallNone} {
			h := Host(layout, v)
			whole = append(whole, h)
			old := h
			old.Release, old.Major, old.Minor = "5.4.0", 5, 4
			lacking = append(append(lacking, old), varied(h)...)
		}
	}
	return append(whole, lacking...)
}

// varied is a host with one field otherwise each: what is true false, what is empty full and what is full empty.
func varied(h sysctl.Host) []sysctl.Host {
	var out []sysctl.Host
	for i := range reflect.TypeFor[sysctl.Host]().NumField() {
		v := h
		switch f := reflect.ValueOf(&v).Elem().Field(i); f.Interface().(type) {
		case bool:
			f.SetBool(!f.Bool())
		case string:
			switch reflect.TypeFor[sysctl.Host]().Field(i).Name {
			case "Release", "Arch":
				continue
			}
			if f.String() != "" {
				f.SetString("")
			} else {
				f.SetString("the host was booted with cgroup_no_v1=named")
			}
		default:
			continue
		}
		out = append(out, v)
	}
	return out
}

// Templates are the built-in recipes with what they know of their guests on x86-64.
func Templates(t testing.TB) []sysctl.Template {
	t.Helper()
	c, err := templates.Load()
	if err != nil {
		t.Fatal(err)
	}
	all := c.List()
	for i := range all {
		if slices.Contains(all[i].Arch, "amd64") {
			all[i].Guest.Arch, all[i].Guest.Bits = "amd64", 64
		}
	}
	return all
}

// Words says what is particular about an example, for people.
func (e Example) Words() string {
	words := []string{e.Guest.Name}
	base := Host(e.Host.Cgroups, e.Host.Vsyscall)
	words = append(words, "cgroup "+string(e.Host.Cgroups)+", vsyscall "+string(e.Host.Vsyscall))
	was, is := reflect.ValueOf(base), reflect.ValueOf(e.Host)
	for i := range is.NumField() {
		if f := is.Type().Field(i); !reflect.DeepEqual(was.Field(i).Interface(), is.Field(i).Interface()) && f.Name != "Major" && f.Name != "Minor" {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			value := "no"
			switch v := is.Field(i).Interface().(type) {
			case bool:
				if v {
					value = "yes"
				}
			case string:
				value = cmp.Or(v, "none")
			}
			words = append(words, name+": "+value)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(e.Choices)) {
		words = append(words, "compat."+id+"="+string(e.Choices[id]))
	}
	if limit := spec(e.Choices).Memory.Bytes; limit > 0 {
		words = append(words, "limits.memory="+strconv.FormatInt(limit>>20, 10)+"MiB")
	}
	return strings.Join(words, "; ")
}
