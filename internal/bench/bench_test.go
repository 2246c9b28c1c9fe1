package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sysctl-os/sysctl/internal/needs"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		samples []float64
		want    float64
		ok      bool
	}{
		{nil, 0, false},
		{[]float64{3}, 3, true},
		{[]float64{9, 1, 2}, 2, true},
		{[]float64{4, 1, 100, 2}, 3, true},
	} {
		if got, ok := median(c.samples); got != c.want || ok != c.ok {
			t.Errorf("median(%v) = %v, %v; want %v, %v", c.samples, got, ok, c.want, c.ok)
		}
	}
}

func TestGoalMark(t *testing.T) {
	r := newResults()
	mark := func(o op) string { _, m := goalFor(o, r); return m }
	if got := mark(opStop); got != "" {
		t.Errorf("nothing measured, yet %q", got)
	}
	r.add(opStop, oursName, 26)
	if got := mark(opStop); got != "" {
		t.Errorf("no reference measured, yet %q", got)
	}
	r.add(opStop, lxcName, 100)
	if got := mark(opStop); got != "missed: limit 25" {
		t.Errorf("26 against 100: %q", got)
	}
	r.add(opStop, lxcName, 108)
	if got := mark(opStop); got != "met" {
		t.Errorf("26 against 104: %q", got)
	}
	r.add(opMemory, oursName, 2001)
	if got := mark(opMemory); got != "missed: limit 2000" {
		t.Errorf("2001 KiB: %q", got)
	}
	r.add(opPushSmall, oursName, 90)
	if got := mark(opPushSmall); got != "" {
		t.Errorf("one of two goals has no reference yet: %q", got)
	}
	r.add(opTarSmall, realName, 60)
	if got := mark(opPushSmall); got != "missed: limit 75" {
		t.Errorf("90 ms against 100 ms and tar's 60: %q", got)
	}
	r.add(opTarSmall, realName, 100)
	if got := mark(opPushSmall); got != "met" {
		t.Errorf("90 ms against 100 ms and tar's 80: %q", got)
	}
	r.add(opPushSmall, oursName, 300)
	if got := mark(opPushSmall); !strings.HasPrefix(got, "missed") {
		t.Errorf("195 ms against 100 ms and tar's 80: %q", got)
	}
	r.add(opRemove, lxcName, 5)
	r.add(opDelete, oursName, 35)
	if got := mark(opDelete); got != "met" {
		t.Errorf("delete 35 with rm 5: %q", got)
	}
}

// A goal whose reference is not measured by anybody would never be marked.
func TestGoalsNameMeasuresOnce(t *testing.T) {
	known, seen := map[op]bool{}, map[string]bool{}
	for _, o := range ops {
		known[o] = true
	}
	for _, g := range goals {
		if !known[g.op] || (g.ref != "" && !known[g.ref]) || seen[string(g.op)+g.text] {
			t.Errorf("goal %q: unknown or repeated measure", g.text)
		}
		seen[string(g.op)+g.text] = true
	}
}

func TestTableShowsWhatWasMeasured(t *testing.T) {
	r := newResults()
	r.add(opStart, oursName, 8)
	r.add(opStart, lxcName, 10)
	r.add(opReal, realName, 1.5)
	got := table([]string{oursName, lxcName}, r)
	for _, want := range []string{"| start, ms ", " 8.0 |", " 10 |", " 0.80 |", "| met |", " 1.5 |"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, string(opMemory)) {
		t.Errorf("a row without a sample:\n%s", got)
	}
}

func TestReportGoesBetweenTheMarks(t *testing.T) {
	doc := "# Head\n" + beginMark + "\nold\n" + endMark + "\ntail\n"
	got, err := between([]byte(doc), "new\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := "# Head\n" + beginMark + "\nnew\n" + endMark + "\ntail\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if again, err := between(got, "new\n"); err != nil || string(again) != string(got) {
		t.Errorf("writing twice: %q, %v", again, err)
	}
	if _, err := between([]byte("# Head\n"), "new\n"); err == nil {
		t.Error("a document without marks was accepted")
	}
}

func TestDocumentHasTheMarks(t *testing.T) {
	doc, err := os.ReadFile("../../doc/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := between(doc, ""); err != nil {
		t.Error(err)
	}
}

func TestNamespacedCapability(t *testing.T) {
	v2 := append([]byte{1, 0, 0, 2}, make([]byte, 16)...)
	got := namespaced(v2, idBase)
	if len(got) != 24 || got[0] != 1 || got[3] != 3 || binary.LittleEndian.Uint32(got[20:]) != idBase {
		t.Errorf("got % x", got)
	}
	if v2[3] != 2 {
		t.Error("the argument was changed")
	}
	if got := namespaced([]byte{1, 2, 3}, idBase); string(got) != "\x01\x02\x03" {
		t.Errorf("an unknown version became % x", got)
	}
}

func TestShiftMovesOwnersAndKeepsTheRest(t *testing.T) {
	needs.Root(t)
	dir := t.TempDir()
	file, twin, link := filepath.Join(dir, "su"), filepath.Join(dir, "twin"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Chown(file, 0, 8); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Chmod(file, 0o6755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(file, twin); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere", link); err != nil {
		t.Fatal(err)
	}
	if err := shift(dir, idBase); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]syscall.Stat_t{
		dir:  {Uid: idBase, Gid: idBase, Mode: syscall.S_IFDIR | 0o755},
		file: {Uid: idBase, Gid: idBase + 8, Mode: syscall.S_IFREG | 0o6755},
		link: {Uid: idBase, Gid: idBase, Mode: syscall.S_IFLNK | 0o777},
	} {
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			t.Fatal(err)
		}
		if st.Uid != want.Uid || st.Gid != want.Gid || st.Mode != want.Mode {
			t.Errorf("%s: %d:%d %o, want %d:%d %o", path, st.Uid, st.Gid, st.Mode, want.Uid, want.Gid, want.Mode)
		}
	}
}

func TestAllocatedCountsAHardLinkOnce(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	one, err := allocated(dir)
	if err != nil {
		t.Fatal(err)
	}
	if one < 1<<20 {
		t.Errorf("a megabyte takes %d bytes", one)
	}
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if two, err := allocated(dir); err != nil || two != one {
		t.Errorf("with a hard link: %d, %v; want %d", two, err, one)
	}
}
