package sysctl

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Tree is a guest's root filesystem seen from the host. The guest's tree is hostile: every path is
// resolved inside it (openat2 RESOLVE_IN_ROOT), so that no symbolic link of the guest leads out.
// Paths are absolute inside the guest ("/etc/hostname"). Errors wrap fs.ErrNotExist and friends.
type Tree interface {
	// ReadFile returns a regular file's content; at most 16 MiB, more is an error. Devices,
	// FIFOs and sockets are refused without being opened for reading.
	ReadFile(name string) ([]byte, error)
	// ReadDir lists a directory, sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	// Stat follows symbolic links inside the tree; Lstat does not follow the last one.
	Stat(name string) (fs.FileInfo, error)
	Lstat(name string) (fs.FileInfo, error)
	Readlink(name string) (string, error)
	// Resolve returns the path inside the tree that name leads to, following every link.
	Resolve(name string) (string, error)
	// WriteFile replaces name atomically by a regular file owned by the guest's root, making missing
	// directories (0755). A symbolic link at name is replaced, not followed. Nothing is
	// written where content and mode are the same already.
	WriteFile(name string, data []byte, perm fs.FileMode) error
	// Symlink makes name a symbolic link to target, replacing a file or link that is there.
	Symlink(target, name string) error
	// MkdirAll makes a directory and its parents. An existing directory is success.
	MkdirAll(name string, perm fs.FileMode) error
	// Remove removes a file, link or empty directory; absent is success.
	Remove(name string) error
	// Open opens a regular file for reading at random (ELF headers). The caller closes it.
	Open(name string) (fs.File, error)
}

// Change is one file to be written into a tree: what preparation and rendering of guest files give.
type Change struct {
	Path   string
	Data   []byte      // content, unless Link or Remove is set
	Perm   fs.FileMode // 0 means 0644
	Link   string      // make Path a symbolic link to this
	Remove bool        // remove Path
	Why    string      // for people: "hostname", "network (ifupdown)"
}

// BatchTree is a Tree that writes many files for the price of one. WriteFiles does what WriteFile does for each
// of the changes, which are files, none at or under another's path. When it fails each is either as it was or
// written whole.
type BatchTree interface {
	Tree
	WriteFiles(files []Change) error
}

// Apply writes changes into a tree, in order; what a BatchTree can write at once counts as one. It is idempotent.
func Apply(t Tree, changes []Change) error {
	for len(changes) > 0 {
		n := 1
		b, batch := t.(BatchTree)
		if batch {
			n = max(1, filesAtOnce(changes))
		}
		c := changes[0]
		var err error
		switch {
		case c.Remove:
			err = Wrap(t.Remove(c.Path), "write %s", c.Path)
		case c.Link != "":
			err = Wrap(t.Symlink(c.Link, c.Path), "write %s", c.Path)
		case batch:
			err = b.WriteFiles(changes[:n])
		default:
			err = Wrap(t.WriteFile(c.Path, c.Data, c.Mode()), "write %s", c.Path)
		}
		if err != nil {
			return err
		}
		changes = changes[n:]
	}
	return nil
}

// Mode is the mode of the file.
func (c Change) Mode() fs.FileMode {
	if c.Perm == 0 {
		return 0o644
	}
	return c.Perm
}

// filesAtOnce counts the files that changes begin with, none of which lies at or under another's path.
func filesAtOnce(changes []Change) int {
	for n, c := range changes {
		if c.Remove || c.Link != "" {
			return n
		}
		for _, before := range changes[:n] {
			if c.Path == before.Path || strings.HasPrefix(c.Path, before.Path+"/") {
				return n
			}
		}
	}
	return len(changes)
}

// Fingerprint sums up what lies at some paths of a tree, so that a change of any can be told without reading files:
// kind, mode, size, time of change and, of a symbolic link, its target and what it leads to. A directory changes
// when an entry of it comes or goes. What cannot be looked at counts as absent.
func Fingerprint(t Tree, names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	h := sha256.New()
	for _, name := range slices.Compact(names) {
		fi, err := t.Lstat(name)
		target := ""
		if err == nil && fi.Mode()&fs.ModeSymlink != 0 {
			target, _ = t.Readlink(name)
			fi, err = t.Stat(name)
		}
		if err != nil {
			fmt.Fprintf(h, "%s %q\n", name, target)
			continue
		}
		size := fi.Size()
		if fi.IsDir() {
			size = 0 // the file system's, and not the same when it was copied
		}
		fmt.Fprintf(h, "%s %q %s %d %d\n", name, target, fi.Mode(), size, fi.ModTime().UnixNano())
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
