package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Digest returns the name of the tree under dir and the bytes of its files (st_size, hard links once).
// Nobody may change the tree meanwhile. A filesystem mounted inside it is an error.
//
// The name is the hexadecimal sha256 of the line "sysctl tree 1\n" and one record for each entry: depth first,
// the names in a directory in byte order, a directory before its content. A record is a sequence of
// fields and a "\n"; a field is the length of its value in decimal, ":", the value, ",". Numbers are
// decimal unless stated otherwise. The fields of a record are
//
//	path     relative to dir, "." for dir itself
//	type     d, f (regular file), l (symbolic link), c, b, p (FIFO), s (socket), or h: another hard
//	         link to an inode that has a record already; then one field follows, the path of
//	         that record, and none of those below
//	mode     the 12 permission bits, octal
//	uid, gid
//	mtime    whole seconds since 1970; empty for dir itself, as archives often leave it out
//	…        f: size, sha256 of the content in hexadecimal (of more than 4 GiB: see below); l: target; c and b: major, minor
//	…        for each extended attribute, in byte order of the names: name, value
//
// Of a file of more than 4 GiB, which is mostly holes or takes minutes anyway, the sha256 is of those of its blocks of 256 KiB
// that are not all zeros, each behind its offset (8 bytes, the highest first): a lastlog of a terabyte takes no time.
//
// Of an overlay's whiteout, a character device 0:0, mode, owner and mtime count as 0 and no hard links: they say how and
// when the kernel made it.
//
// Of the extended attributes user.*, security.capability, system.posix_acl_access and
// system.posix_acl_default count, and trusted.overlay.opaque and .redirect, which change what a layer means.
func Digest(ctx context.Context, dir string) (id string, size int64, err error) {
	sum, err := digest(ctx, dir, func(*unix.Stat_t) bool { return true })
	return sum.Digest, sum.Size, err
}

// digest is of those entries that count.
func digest(ctx context.Context, dir string, counts func(st *unix.Stat_t) bool) (all sysctl.LayerSum, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d := digester{
		records: make(chan *record, 64), // bounds the files open at once
		files:   make(chan *record, 64),
		linked:  map[[2]uint64]string{},
		counts:  counts,
	}
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() { d.hashFiles(ctx) })
	}
	sum := sha256.New()
	workers.Go(func() { cancel(d.write(sum)) })
	err = d.read(ctx, dir)
	close(d.files)
	close(d.records)
	workers.Wait()
	if cause := context.Cause(ctx); cause != context.Canceled && cause != nil {
		err = cause
	}
	if err != nil {
		return all, sysctl.Wrap(err, "digest %s", dir)
	}
	return sysctl.LayerSum{Digest: hex.EncodeToString(sum.Sum(nil)), Size: d.size, Entries: d.entries}, nil
}

// digester is one run of Digest: read sends records in order, hashFiles hashes
// the files among them, write puts them all into the digest.
type digester struct {
	w       walker
	records chan *record
	files   chan *record
	linked  map[[2]uint64]string // device and inode to the path of its record
	size    int64
	entries int64
	counts  func(st *unix.Stat_t) bool
}

// record is one entry. For a regular file, file is open and hashed tells when sum or err is there.
type record struct {
	fields []string
	xattrs []string
	file   *os.File
	size   int64
	sum    string
	err    error
	hashed chan struct{}
}

// write consumes the records. It goes on after an error, so that nobody waits for it for ever.
func (d *digester) write(sum hash.Hash) (err error) {
	io.WriteString(sum, "sysctl tree 1\n")
	for r := range d.records {
		if r.file != nil {
			<-r.hashed
			r.fields = append(r.fields, strconv.FormatInt(r.size, 10), r.sum)
			if err == nil {
				err = r.err
			}
		}
		for _, f := range slices.Concat(r.fields, r.xattrs) {
			fmt.Fprintf(sum, "%d:%s,", len(f), f)
		}
		io.WriteString(sum, "\n")
	}
	return err
}

func (d *digester) hashFiles(ctx context.Context) {
	buf := make([]byte, hashBlock)
	for r := range d.files {
		h := sha256.New()
		if r.size > hashWhole {
			r.err = hashBlocks(ctx, h, r.file, r.size, buf)
		} else {
			r.err = hashAll(ctx, h, r.file, r.size, buf)
		}
		r.file.Close()
		r.sum = hex.EncodeToString(h.Sum(nil))
		close(r.hashed)
	}
}

const (
	hashWhole = 4 << 30   // larger files are hashed by their blocks
	hashBlock = 256 << 10 // bytes
)

// hashAll hashes a file of size bytes.
func hashAll(ctx context.Context, h hash.Hash, f *os.File, size int64, buf []byte) error {
	for n := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		m, err := f.Read(buf)
		h.Write(buf[:m])
		n += int64(m)
		switch {
		case err == io.EOF && n != size:
			return errMoved
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// hashBlocks hashes of a file of size bytes the blocks that are not all zeros, with their offsets. Holes are not read.
func hashBlocks(ctx context.Context, h hash.Hash, f *os.File, size int64, buf []byte) error {
	zeros := make([]byte, len(buf))
	for at := int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if err == unix.ENXIO { // a hole up to the end
			break
		}
		if err != nil {
			return err
		}
		at = data - data%hashBlock
		block := buf[:min(size-at, hashBlock)]
		if n, err := f.ReadAt(block, at); err == io.EOF && n < len(block) {
			return errMoved
		} else if err != nil && err != io.EOF {
			return err
		}
		if !bytes.Equal(block, zeros[:len(block)]) {
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(at)))
			h.Write(block)
		}
		at += hashBlock
	}
	if st, err := f.Stat(); err != nil || st.Size() != size {
		return errors.Join(err, errMoved)
	}
	return nil
}

// read walks the tree and sends its records.
func (d *digester) read(ctx context.Context, dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return err
	}
	root := &record{fields: []string{".", "d", mode(&st), decimal(st.Uid), decimal(st.Gid), ""}}
	var err error
	if root.xattrs, err = xattrs(dir); err != nil {
		return err
	}
	d.records <- root
	d.w.visit = func(e dirent) (bool, error) {
		r, err := d.record(e.name)
		if err != nil {
			return false, sysctl.Wrap(err, "%s", d.w.path(e.name))
		}
		if r == nil {
			return false, nil
		}
		d.entries++
		dir, file := r.fields[1] == "d", r.file != nil
		d.records <- r // write owns it from here on, and the worker what is of the file
		if file {
			d.files <- r
		}
		return dir, nil
	}
	return d.w.run(ctx, dir)
}

// record describes the entry name of the open directory, or nothing where it does not count.
func (d *digester) record(name string) (*record, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.w.dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, err
	}
	if !d.counts(&st) {
		return nil, nil
	}
	kind, ok := kinds[st.Mode&unix.S_IFMT]
	if !ok {
		return nil, fmt.Errorf("unknown file type %o", st.Mode&unix.S_IFMT)
	}
	path := d.w.path(name)
	if kind == "c" && st.Rdev == 0 {
		return &record{fields: []string{path, kind, "0", "0", "0", "0", "0", "0"}}, nil
	}
	if kind != "d" && st.Nlink > 1 {
		key := [2]uint64{st.Dev, st.Ino}
		if first, ok := d.linked[key]; ok {
			return &record{fields: []string{path, "h", first}}, nil
		}
		d.linked[key] = path
	}
	r := &record{fields: []string{path, kind, mode(&st), decimal(st.Uid), decimal(st.Gid), decimal(st.Mtim.Sec)}}
	var err error
	if r.xattrs, err = xattrs(fmt.Sprintf("/proc/self/fd/%d/%s", d.w.dir, name)); err != nil {
		return nil, err
	}
	switch kind {
	case "f":
		fd, err := unix.Openat(d.w.dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		r.file, r.size, r.hashed = os.NewFile(uintptr(fd), name), st.Size, make(chan struct{})
		d.size += st.Size
	case "l":
		target, err := readlinkAt(d.w.dir, name)
		if err != nil {
			return nil, err
		}
		r.fields = append(r.fields, target)
	case "c", "b":
		r.fields = append(r.fields, decimal(unix.Major(st.Rdev)), decimal(unix.Minor(st.Rdev)))
	}
	return r, nil
}

var kinds = map[uint32]string{
	unix.S_IFDIR: "d", unix.S_IFREG: "f", unix.S_IFLNK: "l", unix.S_IFCHR: "c",
	unix.S_IFBLK: "b", unix.S_IFIFO: "p", unix.S_IFSOCK: "s",
}

func mode(st *unix.Stat_t) string { return strconv.FormatUint(uint64(st.Mode&0o7777), 8) }

func decimal[T uint32 | int64](n T) string { return strconv.FormatInt(int64(n), 10) }

// xattrs returns the attributes that count as name, value, name, value, … It does not follow a link.
func xattrs(path string) ([]string, error) { return readXattrs(path, unix.Llistxattr, unix.Lgetxattr) }

// openXattrs is xattrs of what an O_PATH descriptor stands for.
func openXattrs(fd int) ([]string, error) {
	return readXattrs(procPath(fd), unix.Listxattr, unix.Getxattr)
}

func readXattrs(path string, listing func(string, []byte) (int, error), get func(string, string, []byte) (int, error)) ([]string, error) {
	list, err := grow(func(b []byte) (int, error) { return listing(path, b) })
	if err == unix.ENOTSUP || len(list) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	names := strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00")
	slices.Sort(names)
	for _, name := range names {
		if !xattrCounts(name) {
			continue
		}
		value, err := grow(func(b []byte) (int, error) { return get(path, name, b) })
		if err != nil {
			return nil, err
		}
		out = append(out, name, string(value))
	}
	return out, nil
}

func xattrCounts(name string) bool {
	switch name {
	case "security.capability", "system.posix_acl_access", "system.posix_acl_default",
		"trusted.overlay.opaque", "trusted.overlay.redirect":
		return true
	}
	return strings.HasPrefix(name, "user.")
}

// readlinkAt returns the target of the symbolic link name in dir.
func readlinkAt(dir int, name string) (string, error) {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, b)
	return string(b[:max(n, 0)]), err
}

// grow calls read with a buffer that is large enough.
func grow(read func([]byte) (int, error)) ([]byte, error) {
	for size := 512; ; size *= 8 {
		b := make([]byte, size)
		n, err := read(b)
		if err != unix.ERANGE || size > 1<<20 {
			return b[:max(n, 0)], err
		}
	}
}
