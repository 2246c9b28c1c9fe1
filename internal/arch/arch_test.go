package arch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestHouseObeysTheDrawing(t *testing.T) {
	wrong, err := check(os.DirFS("../.."), rooms)
	if err != nil {
		t.Fatal(err)
	}
	if len(wrong) > 0 {
		t.Errorf("%s\n%s", strings.Join(wrong, "\n"), drawing)
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	imports := func(pkg string, paths ...string) string {
		src := "package " + pkg + "\n"
		for _, p := range paths {
			src += "import _ \"" + p + "\"\n"
		}
		return src
	}
	for _, c := range []struct{ name, file, src, want string }{
		{"down is fine", "manager/verb.go", imports("manager", module, module+"/db", "context"), ""},
		{"own library", "db/db.go", imports("db", module, sqlite), ""},
		{"below a library", "templates/tar.go", imports("templates", compress+"/zstd"), ""},
		{"up", "db/db.go", imports("db", module+"/manager"), "db may not import manager"},
		{"up from the root", "name.go", imports("sysctl", module+"/db"), "the module's root may not import db"},
		{"sideways", "storage/mount.go", imports("storage", module+"/netconfig"), "storage may not import netconfig"},
		{"past an interface", "manager/verb.go", imports("manager", module+"/manager/lxc"), "manager may not import manager/lxc"},
		{"past the wiring", "cmd/sysctl/list.go", imports("main", module+"/db"), "cmd/sysctl may not import db"},
		{"foreign library", "manager/verb.go", imports("manager", sqlite), "not this room's library"},
		{"third party in the nouns", "name.go", imports("sysctl", "golang.org/x/sys/unix"), "not this room's library"},
		{"a name that only begins alike", "db/db.go", imports("db", sqlite+"x"), "not this room's library"},
		{"unknown room", "attic/box.go", imports("attic"), "attic is no room of the drawing"},
		{"testscript in code", "cmd/sysctl/main.go", imports("main", goInternal+"/testscript"), "not this room's library"},
		{"testscript in a test", "cmd/sysctl/main_test.go", imports("main_test", goInternal+"/testscript"), ""},
		{"needs in code", "storage/mount.go", imports("storage", module+"/internal/needs"), "may not import internal/needs"},
		{"needs in a test", "storage/mount_test.go", imports("storage", module+"/internal/needs"), ""},
		{"a test of the room itself", "db/db_test.go", imports("db_test", module+"/db", module), ""},
		{"a test that points up", "db/db_test.go", imports("db_test", module+"/manager"), "db may not import manager"},
		{"util", "db/util.go", "package util", "package named util"},
		{"init", "db/db.go", "package db\nfunc init() {}", "func init"},
		{"a method called init", "db/db.go", "package db\ntype d int\nfunc (d) init() {}", ""},
		{"init in a test", "db/db_test.go", "package db\nfunc init() {}", ""},
		{"testdata is not read", "db/testdata/x.go", "no Go at all", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			wrong, err := check(fstest.MapFS{c.file: {Data: []byte(c.src)}}, rooms)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(wrong, "\n")
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestCheckRefusesWhatItCannotRead(t *testing.T) {
	if _, err := check(fstest.MapFS{"db/db.go": {Data: []byte("not Go")}}, rooms); err == nil {
		t.Error("a file that does not parse passed")
	}
}

// An allowance for a room that does not exist would let a renamed one go unchecked.
func TestTableNamesOnlyRooms(t *testing.T) {
	for dir, r := range rooms {
		for _, target := range append(append([]string{}, r.rooms...), r.tests...) {
			if _, ok := rooms[target]; !ok && target != anyRoom {
				t.Errorf("%s may import %s, which is no room", title(dir), target)
			}
		}
	}
}

// A newcomer finds the room for a change in the document's table.
func TestDocumentNamesEveryRoom(t *testing.T) {
	text, err := os.ReadFile("../../doc/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for dir := range rooms {
		name := "`" + dir + "`"
		if dir == "" {
			name = "root"
		}
		if !named(string(text), name) {
			t.Errorf("doc/architecture.md: no row of the table of rooms is of %s", name)
		}
	}
}

// named reports whether the first cell of some row of a table has a name.
func named(text, name string) bool {
	for line := range strings.Lines(text) {
		if cells := strings.Split(line, "|"); len(cells) > 2 && strings.TrimSpace(cells[0]) == "" && strings.Contains(cells[1], name) {
			return true
		}
	}
	return false
}

// What refers to a decision by its number means one.
func TestDecisionsHaveNumbersOfTheirOwn(t *testing.T) {
	files, err := filepath.Glob("../../doc/adr/[0-9]*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no decisions: %v", err)
	}
	taken := map[string]string{}
	for _, f := range files {
		number, _, _ := strings.Cut(filepath.Base(f), "-")
		if other, ok := taken[number]; ok {
			t.Errorf("%s and %s have the same number", other, f)
		}
		taken[number] = f
	}
}
