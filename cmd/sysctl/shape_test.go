package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// printed is every value that a verb prints as JSON or YAML, by the verbs that do.
func printed() []struct {
	verbs string
	value any
} {
	return []struct {
		verbs string
		value any
	}{
		{"`list` (a list of them)", manager.Info{}},
		{"`info`", manager.Detail{}},
		{"`launch`, `create`", manager.Plan{}},
		{"`snapshot list` (a list of them)", sysctl.Snapshot{}},
		{"`diff` (a list of them)", sysctl.Difference{}},
		{"`diff --packages` (a list of them)", sysctl.PackageDifference{}},
		{"`events` (a list of them)", sysctl.Event{}},
		{"`info --resources`", resources{}},
		{"`top`", topSample{}},
		{"`mount` (a list of them)", manager.View{}},
		{"`config show`", configView(manager.Detail{}, false).value},
		{"`config show --defaults` (a list of them)", keyInForce{}},
		{"`image list` (a list of them), `image info`, `image import`", sysctl.Image{}},
		{"`template list` (a list of them), `template show` (with `recipe`, its text)", sysctl.Template{}},
		{"`template test`", manager.TemplateTest{}},
		{"`profile list` (a list of them), `profile show` (with `used_by`, a list of instances)", sysctl.Profile{}},
		{"`network list` (a list of them)", sysctl.Network{}},
		{"`network show`", networkView(sysctl.Network{}, nil).value},
		{"`network leases` (a list of them)", sysctl.Lease{}},
		{"`network forward list` (a list of them), `network forward show`", sysctl.Forward{}},
		{"`file ls` (a list of them)", sysctl.File{}},
		{"`check` (a list of them)", sysctl.Fact{}},
		{"`check NAME`, `check --all` (a list of them)", manager.Checked{}},
		{"`autostart`, `autostop` (a list of them)", manager.AutostartResult{}},
		{"`version`", build{}},
	}
}

const shapeHead = `<!-- Generated from the types that are printed: go test ./cmd/sysctl -run Shape -update -->
# Output for programs

` + "`--format json` and `--format yaml`" + ` print one value, the same in both; ` + "`--format csv`" + ` prints the table's rows, under
headings of its own. All names are in lower case, with ` + "`_`" + ` between words. A field is always there unless it says "may be
absent"; fields may be added, so ignore those you do not know. Times are RFC 3339, durations are in nanoseconds, sizes in
bytes; a negative number is unknown; an address that is "" is none.

`

// TestShape keeps doc/output.md true and every name in it in snake case.
func TestShape(t *testing.T) {
	s := shaper{comments: fieldComments(t, "../..", "../../manager", "."), told: map[reflect.Type]bool{}}
	s.WriteString(shapeHead)
	for _, p := range printed() {
		s.object(t, "## "+p.verbs, reflect.TypeOf(p.value))
	}
	for len(s.queue) > 0 {
		typ := s.queue[0]
		s.queue = s.queue[1:]
		s.object(t, "## "+strings.ToLower(typ.Name()), typ)
	}
	const file = "../../doc/output.md"
	if *update {
		if err := os.WriteFile(file, s.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, s.Bytes()) {
		t.Errorf("doc/output.md is out of date (%v): go test ./cmd/sysctl -run Shape -update", err)
	}
}

// shaper writes a table for each type of object.
type shaper struct {
	bytes.Buffer
	comments map[string]string // "Type.Field"
	told     map[reflect.Type]bool
	queue    []reflect.Type
}

func (s *shaper) object(t *testing.T, heading string, typ reflect.Type) {
	fmt.Fprintf(s, "%s\n\n| field | type | |\n|---|---|---|\n", heading)
	s.fields(t, typ)
	s.WriteString("\n")
}

func (s *shaper) fields(t *testing.T, typ reflect.Type) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "":
			s.fields(t, f.Type)
		case !regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`).MatchString(name):
			t.Errorf("%s.%s is printed as %q: names are in snake case", typ, f.Name, name)
		default:
			comment := s.comments[typ.Name()+"."+f.Name]
			if strings.Contains(options, "omitempty") {
				comment = strings.TrimPrefix(comment+"; may be absent", "; ")
			}
			fmt.Fprintf(s, "| `%s` | %s | %s |\n", name, s.kind(f.Type), comment)
		}
	}
}

// kind names a type as a reader of JSON sees it, and sees to it that objects are described.
func (s *shaper) kind(typ reflect.Type) string {
	switch {
	case typ.PkgPath() == "net/netip", typ.Kind() == reflect.String, typ.String() == "time.Time", typ.String() == "sysctl.PortRange":
		return "string"
	case typ.Kind() == reflect.Slice:
		return "list of " + s.kind(typ.Elem())
	case typ.Kind() == reflect.Map:
		return "object of " + s.kind(typ.Elem())
	case typ.Kind() == reflect.Bool:
		return "bool"
	case typ.Kind() != reflect.Struct:
		return "number"
	}
	if !s.told[typ] {
		s.told[typ] = true
		s.queue = append(s.queue, typ)
	}
	name := strings.ToLower(typ.Name())
	return "[" + name + "](#" + name + ")"
}

// fieldComments reads what stands behind the fields of structs in the source.
func fieldComments(t *testing.T, dirs ...string) map[string]string {
	comments := map[string]string{}
	for _, dir := range dirs {
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range files {
			if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), dir+"/"+e.Name(), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				spec, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				if st, ok := spec.Type.(*ast.StructType); ok {
					for _, f := range st.Fields.List {
						for _, name := range f.Names {
							comments[spec.Name.Name+"."+name.Name] = strings.TrimSpace(f.Comment.Text())
						}
					}
				}
				return false
			})
		}
	}
	return comments
}
