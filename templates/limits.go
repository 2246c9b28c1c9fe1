package templates

import (
	"fmt"

	"github.com/sysctl-os/sysctl"
)

// Limits of one tree, where the options do not say otherwise.
const (
	DefaultMaxSize    int64 = 64 << 30 // bytes
	DefaultMaxEntries int64 = 5_000_000
)

// sparseFactor is how much larger than the size limit a sparse file may claim to be: its holes cost no
// disk, but reading through them costs time.
const sparseFactor = 32

// Stats is what was put into a tree.
type Stats struct {
	Entries int64            // files, directories, links, … made; parents made on the way count
	Bytes   int64            // content written; holes do not count
	Format  string           // of the archive: "tar", "tar.gz", …; "" for a directory
	Skipped map[string]int64 // what was left out on purpose, by kind: "device nodes", "sockets", …
}

// meter counts what goes into a tree and refuses more than the limits.
type meter struct {
	Stats
	maxSize, maxEntries int64
}

func newMeter(maxSize, maxEntries int64) *meter {
	m := &meter{maxSize: maxSize, maxEntries: maxEntries}
	if m.maxSize <= 0 {
		m.maxSize = DefaultMaxSize
	}
	if m.maxEntries <= 0 {
		m.maxEntries = DefaultMaxEntries
	}
	m.Skipped = map[string]int64{}
	return m
}

// entry counts one more entry.
func (m *meter) entry() error {
	if m.Entries++; m.Entries > m.maxEntries {
		return sysctl.E(sysctl.Invalid, "more than %d entries, the limit of one root filesystem", m.maxEntries).
			WithHint("leave out what is not part of the OS (caches, mail, backups) and import again")
	}
	return nil
}

// grow counts n more bytes of content.
func (m *meter) grow(n int64) error {
	if m.Bytes += n; m.Bytes > m.maxSize {
		return m.tooLarge()
	}
	return nil
}

// fits reports whether a file of size bytes may follow, before its content is read.
func (m *meter) fits(size int64, sparse bool) error {
	switch {
	case sparse && size/sparseFactor > m.maxSize:
		return m.tooLarge()
	case !sparse && size > m.maxSize-m.Bytes:
		return m.tooLarge()
	}
	return nil
}

func (m *meter) tooLarge() error {
	return sysctl.E(sysctl.Invalid, "unpacks to more than %s, the size limit", bytesFor(m.maxSize)).
		WithHint("raise the limit with --max-size")
}

func (m *meter) skip(kind string) { m.Skipped[kind]++ }

// bytesFor is n for people: the largest binary unit that divides it, or one decimal.
func bytesFor(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, u := float64(n), 0
	for v >= 1024 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	if v == float64(int64(v)) {
		return fmt.Sprintf("%d %s", int64(v), units[u])
	}
	return fmt.Sprintf("%.1f %s", v, units[u])
}
