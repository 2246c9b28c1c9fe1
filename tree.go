package sysctl

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
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

// Apply writes changes into a tree, in order. It is idempotent.
func Apply(t Tree, changes []Change) error {
	for _, c := range changes {
		var err error
		switch {
		case c.Remove:
			err = t.Remove(c.Path)
		case c.Link != "":
			err = t.Symlink(c.Link, c.Path)
		default:
			perm := c.Perm
			if perm == 0 {
				perm = 0o644
			}
			err = t.WriteFile(c.Path, c.Data, perm)
		}
		if err != nil {
			return Wrap(err, "write %s", c.Path)
		}
	}
	return nil
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
