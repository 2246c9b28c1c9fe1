package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// check reads every Go file below fsys (the module's root) and returns what does not obey rooms, one
// sentence each, sorted by file. Files for other systems are read too; testdata and hidden
// directories are not.
func check(fsys fs.FS, rooms map[string]room) ([]string, error) {
	var wrong []string
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != "." && (base == "testdata" || base[0] == '.' || base[0] == '_') {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		found, err := checkFile(name, src, rooms)
		wrong = append(wrong, found...)
		return err
	})
	return wrong, err
}

func checkFile(name string, src []byte, rooms map[string]room) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	dir := path.Dir(name)
	if dir == "." {
		dir = ""
	}
	test := strings.HasSuffix(name, "_test.go")
	r, ok := rooms[dir]
	if !ok {
		return []string{fmt.Sprintf("%s: %s is no room of the drawing: give it a place in internal/arch/drawing.go", name, dir)}, nil
	}
	wrong := habits(name, file, test)
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if why := forbidden(dir, r, imported, test); why != "" {
			wrong = append(wrong, name+": "+why)
		}
	}
	return wrong, nil
}

// forbidden says why code in dir may not import the package, or "".
func forbidden(dir string, r room, imported string, test bool) string {
	if target, ok := inModule(imported); ok {
		may := r.rooms
		if test {
			may = slices.Concat(may, r.tests, testRooms, []string{dir})
		}
		if slices.Contains(may, target) || slices.Contains(may, anyRoom) {
			return ""
		}
		return fmt.Sprintf("%s may not import %s: the arrow points up or sideways", title(dir), title(target))
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") {
		return "" // the standard library
	}
	may := r.libraries
	if test {
		may = slices.Concat(may, r.testLibraries, testLibraries)
	}
	if slices.ContainsFunc(may, func(lib string) bool { return within(imported, lib) }) {
		return ""
	}
	return fmt.Sprintf("%s may not import %s: it is not this room's library", title(dir), imported)
}

// habits reports a package called util and func init outside tests.
func habits(name string, file *ast.File, test bool) []string {
	var wrong []string
	if p := strings.TrimSuffix(file.Name.Name, "_test"); p == "util" || p == "utils" {
		wrong = append(wrong, name+": a package named "+p+" says nothing about what it owns")
	}
	if test {
		return wrong
	}
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			wrong = append(wrong, name+": func init runs before main asks for it: call it from where it is needed")
		}
	}
	return wrong
}

// inModule returns the room an import path names.
func inModule(imported string) (string, bool) {
	if !within(imported, module) {
		return "", false
	}
	return strings.TrimPrefix(strings.TrimPrefix(imported, module), "/"), true
}

// within reports whether an import path is prefix or lies below it.
func within(imported, prefix string) bool {
	return imported == prefix || strings.HasPrefix(imported, prefix+"/")
}

func title(dir string) string {
	if dir == "" {
		return "the module's root"
	}
	return dir
}
