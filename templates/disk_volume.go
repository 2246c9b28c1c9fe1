package templates

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// extent is a stretch of a disk, in bytes.
type extent struct{ at, size int64 }

// volume is what one filesystem can be in: the whole disk, a partition, a logical volume.
type volume struct {
	name      string // "disk"; the partition's number; "GROUP/VOLUME"
	number    int    // of a partition, else 0
	partUUID  string
	partLabel string
	extents   []extent // its bytes, in order
	content
}

// String is the volume for people.
func (v volume) String() string { return v.name + " (" + v.content.String() + ")" }

// size is how many bytes the volume has.
func (v volume) size() (n int64) {
	for _, e := range v.extents {
		n += e.size
	}
	return n
}

// reader reads a volume's bytes from the disk.
func (v volume) reader(disk io.ReaderAt) io.ReaderAt { return extentReader{disk, v.extents} }

type extentReader struct {
	disk    io.ReaderAt
	extents []extent
}

// ReadAt implements io.ReaderAt.
func (r extentReader) ReadAt(p []byte, at int64) (done int, err error) {
	for _, e := range r.extents {
		if at >= e.size {
			at -= e.size
			continue
		}
		n, err := r.disk.ReadAt(p[done:][:min(int64(len(p)-done), e.size-at)], e.at+at)
		if done += n; done == len(p) {
			return done, nil
		}
		if err != nil {
			return done, err
		}
		at = 0
	}
	return done, io.EOF
}

// volumes lists what is on a disk: the partitions, or the disk where it has none, and the logical volumes in them.
func volumes(disk io.ReaderAt, size int64) ([]volume, error) {
	all := partitions(disk, size)
	if len(all) == 0 {
		all = []volume{{name: "disk", extents: []extent{{0, size}}}}
	}
	var groups lvmGroups
	for i := range all {
		all[i].content = probe(all[i].reader(disk))
		if all[i].kind != "LVM" {
			continue
		}
		if err := groups.add(all[i], disk); err != nil {
			return nil, sysctl.Wrap(err, "LVM on %s", all[i].name)
		}
	}
	logical := groups.volumes()
	for i := range logical {
		if logical[i].why == "" {
			logical[i].content = probe(logical[i].reader(disk))
		}
	}
	return append(all, logical...), nil
}

// describe lists volumes for people.
func describe(all []volume) string {
	var words []string
	for _, v := range all {
		words = append(words, v.String())
	}
	return cmp.Or(strings.Join(words, ", "), "nothing")
}

// encrypted reports whether one of the volumes is.
func encrypted(all []volume) bool {
	return slices.ContainsFunc(all, func(v volume) bool { return strings.HasPrefix(v.kind, "encrypted") })
}

// assemble copies a volume into an unnamed file, with the holes that the disk has.
func (v volume) assemble(ctx context.Context, disk *os.File, dir string, p sysctl.Progress) (*os.File, error) {
	to, err := unnamedFile(dir)
	if err != nil {
		return nil, err
	}
	at := int64(0)
	for _, e := range v.extents {
		if err = copyData(ctx, disk, e, to, at, func(n int64) { p.Report("copy "+v.name, n, v.size()) }); err != nil {
			break
		}
		at += e.size
	}
	if err == nil {
		err = to.Truncate(at)
	}
	if err != nil {
		return nil, errors.Join(err, to.Close())
	}
	return to, nil
}

// copyData copies what an extent of a file has to an offset of another on any disk, without its holes.
func copyData(ctx context.Context, from *os.File, e extent, to *os.File, base int64, told func(int64)) error {
	for at, end := e.at, e.at+e.size; at < end; {
		start, err := unix.Seek(int(from.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || err == nil && start >= end {
			return nil
		}
		if err != nil {
			return err
		}
		stop, err := unix.Seek(int(from.Fd()), start, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		for stop = min(stop, end); start < stop; {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(stop-start, copyChunk)
			// io.Copy between files is copy_file_range(2) where that works: shared content on filesystems that can.
			if _, err := to.Seek(base+start-e.at, io.SeekStart); err != nil {
				return err
			}
			if _, err := from.Seek(start, io.SeekStart); err != nil {
				return err
			}
			if _, err := io.CopyN(to, from, n); err != nil {
				return err
			}
			start += n
			told(base + start - e.at)
		}
		at = stop
	}
	return nil
}
