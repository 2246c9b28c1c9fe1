package host

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/compattest"
	"github.com/sysctl-os/sysctl/manager/compat"
)

// doc/compat.md is what the table of manager/compat says of the catalogue's guests.
func TestCompatDocument(t *testing.T) {
	const file = "../../doc/compat.md"
	var b strings.Builder
	b.WriteString(compatHead)
	b.WriteString(outcomes(t))
	b.WriteString(compatMeasures)
	measures, reasons, conditions := compat.Rows()
	examples := compattest.Examples(t)
	for _, m := range measures {
		describe(&b, m, examples)
	}
	b.WriteString(compatReasons)
	for _, r := range reasons {
		describe(&b, r, examples)
	}
	b.WriteString(compatConditions)
	for _, n := range conditions {
		describe(&b, n, examples)
	}
	b.WriteString(compatElsewhere)
	for _, a := range compat.Elsewhere() {
		shown := "–"
		if a.Test != "" {
			shown = "`" + a.Test + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", a.Trouble, a.Does, cmp.Or(a.Room, "nobody"), shown)
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if old, err := os.ReadFile(file); err != nil || string(old) != b.String() {
		t.Errorf("%s is out of date (%v): go test ./manager/host -run Document -update", file, err)
	}
}

const compatHead = `<!-- Generated from the table in manager/compat and the catalogue: go test ./manager/host -run Document -update -->
# Old guests and new hosts, new guests and old hosts

An OS expects of its kernel what was usual when it was made. Before anything is changed, ` + "`launch` and `start`" + ` compare what is known
of the guest with what was found out about the host, and take **measures**, or refuse in one sentence with the way out. Nothing of
it is told from a name: the guest is looked at in its files (a template that is not built yet by its recipe), the host by
trying. No measure needs a reboot of the host. None is visible outside of the instance but for two, which say so: cgroup-named, by a line
in /proc/PID/cgroup while such a guest runs, and iptables, which may have the host load modules of its kernel.

` + "```sh" + `
sysctl check                       # what this host has and lacks
sysctl check centos7 web1 ./tree   # whether these boot here, with which measures, and why
sysctl check --all                 # every template
sysctl info web1                   # the measures that its run was started with
sysctl config set web1 compat.vsyscall=off    # never; on: always; auto: as the table says
` + "```" + `

## What happens to which OS

By their recipes, on x86-64 hosts that lack nothing else. **always**: measures taken on each of the hosts. The other columns are
hosts by what they mount at /sys/fs/cgroup and by the kernel's vsyscall page (` + "`sysctl check`" + ` says which yours is: Debian's kernels have
vsyscall=none; a cgroup v2 only host is what every distribution of today boots by default, hybrid and v1 are older ones); they
name the measures taken there besides, or the reason why the guest does not boot. What was really booted is in
[guests.md](guests.md).

`

const compatMeasures = `
## Measures

They are decided by each start, by what the guest is then, and stay in force until it is stopped: a reboot from inside keeps them. So after
an upgrade of a guest to another release (Ubuntu 14.04 to 16.04, Debian 12 to 13), stop and start it.

Each is switched for an instance or a profile by the config key ` + "`compat.<measure>`" + `: ` + "`auto`" + ` (the table decides), ` + "`on`" + ` or ` + "`off`" + `.

Measures belong to a run. What ` + "`copy`, `snapshot`, `export` and `image export`" + ` keep or write are the image's files and the guest's own: not the
changed copies of the measure vsyscall, which every host that needs them makes by itself. ` + "`sysctl export --with-compat` and `sysctl image\nexport --with-compat`" + ` write them all the same, on whatever host that is: in the archive they are a layer on top of the others, in the tarball
they take the place of the files that they are of. Whatever unpacks them has files of the guest like any other, which run with and without
vsyscall=none; no config key takes them away again. Programs of which nobody can tell whether they call the page are written as they are, and
named. What the measures rpmdb, private-devices and modules write (/var/lib/rpm, drop-ins, empty lists of modules) is written into the
guest, and is its own.

How much a filesystem in memory holds is what the measures dev-shm and tmpfs say, or what you say, of any directory, before init runs:
` + "`sysctl config device add NAME shm disk source=tmpfs: path=/dev/shm size=4GiB`" + ` (Oracle's MEMORY_TARGET), and so /run and /tmp. /dev itself holds
half a megabyte, or ` + "`lxc.autodev.tmpfs.size`" + ` of raw.lxc. What is in memory counts for limits.memory.
`

const compatReasons = `
## Reasons not to boot

What no measure makes up for. The exit status is 8, and nothing was changed.
`

const compatConditions = `
## What a guest has to live with

` + "`sysctl check NAME`" + ` says so; nothing keeps the guest from booting.
`

const compatElsewhere = `
## What is done without a measure

For every guest, or where a guest is prepared (doc/templates.md) or its network written.

| trouble | what is done | by | shown by |
|---|---|---|---|
`

// describe is one row: whom it is for, what it does, and each sentence with which it refuses or remarks, by an example.
func describe(b *strings.Builder, r compat.Row, examples []compattest.Example) {
	fmt.Fprintf(b, "\n### %s\n\n", r.ID)
	for _, line := range [][2]string{{"For", r.Who}, {"What is done", r.Does}, {"Else", r.Without}, {"Evidence", r.Evidence}} {
		if line[1] != "" {
			fmt.Fprintf(b, "- %s: %s\n", line[0], line[1])
		}
	}
	fmt.Fprintf(b, "- Shown by `%s`\n", r.Test)
	if r.Does != "" {
		fmt.Fprintf(b, "- Switched by `compat.%s`\n", r.ID)
	}
	for _, e := range examples {
		if e.Remark.ID != r.ID {
			continue
		}
		said := "Says"
		if e.Refusal {
			said = "Refuses"
		}
		fmt.Fprintf(b, "- %s: “%s”", said, e.Remark.Why)
		if e.Remark.Way != "" {
			fmt.Fprintf(b, "; the way out: %s", e.Remark.Way)
		}
		fmt.Fprintf(b, " (%s)\n", e.Words())
	}
}

// outcome is what becomes of some templates of a distribution.
type outcome struct {
	always, notes string
	cells         []string
	templates     []sysctl.Template
}

func columns() []sysctl.Host {
	var all []sysctl.Host
	for _, layout := range []sysctl.CgroupLayout{sysctl.CgroupV2, sysctl.CgroupHybrid} {
		for _, v := range []sysctl.VsyscallState{sysctl.VsyscallWorks, sysctl.VsyscallNone} {
			all = append(all, compattest.Host(layout, v))
		}
	}
	return all
}

func outcomes(t *testing.T) string {
	var all []*outcome
	for _, tm := range compattest.Templates(t) {
		o := outcomeOf(tm)
		same := func(p *outcome) bool {
			return p.templates[0].Guest.ID == tm.Guest.ID && p.always == o.always && p.notes == o.notes && slices.Equal(p.cells, o.cells)
		}
		if i := slices.IndexFunc(all, same); i >= 0 {
			all[i].templates = append(all[i].templates, tm)
		} else {
			all = append(all, o)
		}
	}
	slices.SortStableFunc(all, func(a, b *outcome) int { return cmp.Compare(b.differs(), a.differs()) })
	out := "| template | init | C library |"
	rule := "\n|---|---|---|"
	for _, h := range columns() {
		out += fmt.Sprintf(" cgroup %s, vsyscall %s |", h.Cgroups, h.Vsyscall)
		rule += "---|"
	}
	out += " always | lives with |" + rule + "---|---|\n"
	for _, o := range all {
		out += o.row()
	}
	return out
}

func outcomeOf(tm sysctl.Template) *outcome {
	o := &outcome{templates: []sysctl.Template{tm}}
	var taken [][]string
	var notes, always []string
	for i, h := range columns() {
		v := compat.Judge(h, tm.Guest, sysctl.Spec{})
		var ids []string
		for _, m := range v.Measures {
			ids = append(ids, m.ID)
		}
		if taken = append(taken, ids); i == 0 {
			always = slices.Clone(ids)
		}
		always = slices.DeleteFunc(always, func(id string) bool { return !slices.Contains(ids, id) })
		for _, n := range v.Notes {
			if !slices.Contains(notes, n.ID) {
				notes = append(notes, n.ID)
			}
		}
		cell := ""
		if !v.Boots {
			cell = "cannot: " + v.Refusals[0].ID
		}
		o.cells = append(o.cells, cell)
	}
	for i, cell := range o.cells {
		ids := slices.DeleteFunc(taken[i], func(id string) bool { return slices.Contains(always, id) })
		switch {
		case cell == "" && len(ids) > 0:
			o.cells[i] = "boots, " + strings.Join(ids, ", ")
		case cell == "":
			o.cells[i] = "boots"
		}
	}
	o.always, o.notes = strings.Join(always, ", "), strings.Join(notes, ", ")
	return o
}

// differs counts the hosts on which something is done or refused.
func (o *outcome) differs() int {
	n := 0
	for _, cell := range o.cells {
		if cell != "boots" {
			n++
		}
	}
	return min(n, 1)
}

func (o *outcome) row() string {
	slices.SortFunc(o.templates, func(a, b sysctl.Template) int {
		return slices.Compare(numbers(a.Guest.Version), numbers(b.Guest.Version))
	})
	var names []string
	var init, libc []string
	for _, tm := range o.templates {
		names = append(names, tm.Name)
		init = append(init, strings.TrimSpace(tm.Guest.Init+" "+tm.Guest.InitVersion))
		libc = append(libc, strings.TrimSpace(tm.Guest.Libc+" "+tm.Guest.LibcVersion))
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", strings.Join(names, ", "), span(init), span(libc), strings.Join(o.cells, " | "),
		cmp.Or(o.always, "–"), cmp.Or(o.notes, "–"))
}

// span is a list of programs with versions, of each program the first and the last version.
func span(words []string) string {
	slices.SortFunc(words, func(a, b string) int {
		nameA, versionA, _ := strings.Cut(a, " ")
		nameB, versionB, _ := strings.Cut(b, " ")
		return cmp.Or(cmp.Compare(nameA, nameB), slices.Compare(numbers(versionA), numbers(versionB)))
	})
	words = slices.Compact(words)
	var out []string
	for i, w := range words {
		name, version, _ := strings.Cut(w, " ")
		first := i == 0 || !strings.HasPrefix(words[i-1], name+" ")
		last := i == len(words)-1 || !strings.HasPrefix(words[i+1], name+" ")
		switch {
		case first:
			out = append(out, w)
		case last:
			out[len(out)-1] += " – " + version
		}
	}
	return strings.Join(out, ", ")
}

// numbers are those of a version; what is none, a release without an end, comes after all.
func numbers(version string) []int {
	var out []int
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			n = math.MaxInt
		}
		out = append(out, n)
	}
	return out
}
