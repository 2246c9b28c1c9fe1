package storage

import (
	"context"
	"os"
	"strconv"
	"unicode/utf8"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

const (
	maxPatched = 10000     // files that are changed in one tree
	maxCopied  = 512 << 20 // bytes of a file that is changed
	maxUnsure  = 100       // names that are kept of files nobody is sure of
)

// scanner asks of each regular file in a tree what is to be changed in it. A tree is hostile: of anything else only its
// type is looked at, no link is followed, and no mount entered.
type scanner struct {
	find     sysctl.Finder
	wanted   func(st *unix.Stat_t) bool // nil: all
	progress sysctl.Progress
	// hit is called for each file with something to change. first is where the same file was met before, by another hard
	// link: then f is nil.
	hit func(path, first string, f *os.File, st *unix.Stat_t, patches []sysctl.Patch) error
	// other, where set, is called for each that was looked at and has nothing to change.
	other func(path string, f *os.File, st *unix.Stat_t) error

	unsure []string
	files  int64
	hits   int
	linked map[[2]uint64]linked
}

// linked is what was found of a file with several links.
type linked struct {
	path    string
	patches []sysctl.Patch
}

// run walks the tree under an open directory, which it closes.
func (s *scanner) run(ctx context.Context, root int) error {
	s.linked = map[[2]uint64]linked{}
	var w walker
	w.visit = func(e dirent) (bool, error) {
		var st unix.Stat_t
		err := unix.Fstatat(w.dir, e.name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == unix.ENOENT {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			return true, nil
		case unix.S_IFREG:
			path := w.path(e.name)
			return false, sysctl.Wrap(s.file(ctx, w.dir, e.name, path, &st), "%s", shown(path))
		}
		return false, nil
	}
	return w.runIn(ctx, root)
}

// file looks at one.
func (s *scanner) file(ctx context.Context, dir int, name, path string, st *unix.Stat_t) error {
	if s.wanted != nil && !s.wanted(st) {
		return nil
	}
	key := [2]uint64{st.Dev, st.Ino}
	if before, ok := s.linked[key]; ok {
		if before.patches == nil {
			return nil
		}
		return s.hit(path, before.path, nil, st, before.patches)
	}
	if s.files++; s.files%500 == 0 {
		s.progress.Report("look into programs", s.files, 0)
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOATIME|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	patches, unsure, err := s.find(ctx, f, st.Size)
	if err != nil {
		return err
	}
	if len(patches) > 0 && (st.Size > maxCopied || s.hits == maxPatched || len(path) > unix.PathMax/2 || !utf8.ValidString(path)) {
		patches, unsure = nil, true
	}
	if unsure {
		s.doubt(path)
	}
	if st.Nlink > 1 {
		s.linked[key] = linked{path, patches}
	}
	if len(patches) == 0 {
		if s.other == nil {
			return nil
		}
		return s.other(path, f, st)
	}
	s.hits++
	return s.hit(path, "", f, st, patches)
}

// doubt notes a file that may have something to change.
func (s *scanner) doubt(path string) {
	if len(s.unsure) < maxUnsure {
		s.unsure = append(s.unsure, shown(path))
	}
}

// shown is a guest's path for people: as in the guest, and quoted where it could do something to a terminal.
func shown(path string) string {
	if q := strconv.Quote(path); q[1:len(q)-1] != path {
		return q
	}
	return "/" + path
}
