package sysctl

import (
	"context"
	"fmt"
	"io"
)

// Patch is some bytes of a file and what is to be there in their place, which is as long.
type Patch struct {
	Offset int64  `json:"offset"`
	Old    []byte `json:"old"`
	New    []byte `json:"new"`
}

// Finder says which bytes of a regular file are to be replaced, in ascending order; in most files none. unsure says that
// there are more which look like it, and that it cannot tell. The file is a guest's: hostile. It may be asked by several
// goroutines at once. It fails only where reading fails or ctx ends.
type Finder func(ctx context.Context, r io.ReaderAt, size int64) (patches []Patch, unsure bool, err error)

// PatchedFiles is what was found in a tree.
type PatchedFiles struct {
	Files  map[string][]Patch // by path, relative to the root; of hard links each has the patches of the one file
	Unsure []string           // for people: files, at most 100, that look as if there were something to change
}

// Patched is what an instance runs changed copies of. The zero value is an instance that runs what is in its image and what
// it wrote.
type Patched struct {
	Layer  string   `json:"layer,omitempty"` // Layer.ID of the copies of its image's files; "": none of them is changed
	Files  int      `json:"files"`           // of its image that are hidden by a changed copy
	Own    int      `json:"own"`             // files that it wrote and that are changed in place
	Unsure []string `json:"unsure"`          // files that may have to be changed and were not, as nobody can tell
}

// Any reports whether there is anything to say.
func (p Patched) Any() bool { return p.Layer != "" || p.Files+p.Own+len(p.Unsure) > 0 }

// String is one line for people.
func (p Patched) String() string {
	s := fmt.Sprintf("%s of the image", count(p.Files, "file"))
	if p.Own > 0 {
		s += fmt.Sprintf(", %d of its own", p.Own)
	}
	if n := len(p.Unsure); n > 0 {
		s += fmt.Sprintf("; not sure of %s: %s", count(n, "file"), p.Unsure[0])
		if n > 1 {
			s += ", …"
		}
	}
	return s
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Stack is the layers that the instance's own upper lies on, lowest first, as it was mounted last.
func (i Instance) Stack() []string {
	if i.Patched.Layer == "" {
		return i.Layers
	}
	return append(i.Layers[:len(i.Layers):len(i.Layers)], i.Patched.Layer)
}
