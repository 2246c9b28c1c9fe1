package packages

import (
	"bytes"
	"encoding/binary"
	"path"
	"strconv"

	"github.com/sysctl-os/sysctl"
)

// The tags and types of a header that are asked for (rpmtag.h).
const (
	tagName        = 1000
	tagVersion     = 1001
	tagRelease     = 1002
	tagEpoch       = 1003
	tagArch        = 1022
	tagOldNames    = 1027 // of rpm 3 and older: whole paths
	tagFileDigests = 1035
	tagFileFlags   = 1037
	tagDirIndexes  = 1116
	tagBaseNames   = 1117
	tagDirNames    = 1118

	typeInt32  = 4
	typeString = 6
	typeArray  = 8
	typeI18N   = 9
)

const (
	flagConfig = 1 << 0 // RPMFILE_CONFIG
	flagGhost  = 1 << 6 // RPMFILE_GHOST: the package brings no such file
)

// maxTags bounds how many entries a header has.
const maxTags = 1 << 16

// header is one package's record: an index and the data it points into.
type header struct {
	tags map[uint32]entry
	data []byte
}

type entry struct{ kind, offset, count uint32 }

// rpmHeader reads a package out of its header. Keys of signatures, which are no packages, are left out.
func rpmHeader(b []byte) (p sysctl.Package, ok bool, err error) {
	h, err := parseHeader(b)
	if err != nil {
		return p, false, err
	}
	p = sysctl.Package{Name: h.text(tagName), Arch: h.text(tagArch), Config: map[string]string{}}
	if p.Name == "" || p.Name == "gpg-pubkey" {
		return p, false, nil
	}
	p.Version = h.text(tagVersion) + "-" + h.text(tagRelease)
	if epoch := h.numbers(tagEpoch); len(epoch) > 0 && epoch[0] != 0 {
		p.Version = strconv.FormatUint(uint64(epoch[0]), 10) + ":" + p.Version
	}
	flags, digests, names := h.numbers(tagFileFlags), h.texts(tagFileDigests), h.files()
	for i, name := range names {
		if i < len(flags) && flags[i]&flagConfig != 0 && flags[i]&flagGhost == 0 {
			p.Config[name] = ""
			if i < len(digests) {
				p.Config[name] = digestOf(digests[i])
			}
		}
	}
	return p, true, nil
}

// parseHeader reads the index: the number of entries and of bytes of data, then the entries, all big-endian.
func parseHeader(b []byte) (header, error) {
	if len(b) < 8 {
		return header{}, damaged("a header of %d bytes", len(b))
	}
	n, size := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if n > maxTags || uint64(size) > maxHeader || uint64(len(b)) < 8+16*uint64(n)+uint64(size) {
		return header{}, damaged("a header of %d bytes with %d tags and %d bytes of data", len(b), n, size)
	}
	h := header{tags: make(map[uint32]entry, n), data: b[8+16*n:][:size]}
	for i := range n {
		e := b[8+16*i:]
		tag := binary.BigEndian.Uint32(e)
		if _, twice := h.tags[tag]; !twice {
			h.tags[tag] = entry{binary.BigEndian.Uint32(e[4:]), binary.BigEndian.Uint32(e[8:]), binary.BigEndian.Uint32(e[12:])}
		}
	}
	return h, nil
}

// of returns the data that an entry points to, from its beginning on; nil where it points nowhere.
func (h header) of(tag uint32, kinds ...uint32) ([]byte, uint32) {
	e, ok := h.tags[tag]
	if !ok || uint64(e.offset) >= uint64(len(h.data)) {
		return nil, 0
	}
	for _, k := range kinds {
		if e.kind == k {
			return h.data[e.offset:], e.count
		}
	}
	return nil, 0
}

func (h header) text(tag uint32) string {
	b, _ := h.of(tag, typeString, typeArray, typeI18N)
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

func (h header) texts(tag uint32) []string {
	b, n := h.of(tag, typeString, typeArray)
	var list []string
	for range min(uint64(n), uint64(len(b))) {
		s, rest, more := bytes.Cut(b, []byte{0})
		if !more {
			break
		}
		list, b = append(list, string(s)), rest
	}
	return list
}

func (h header) numbers(tag uint32) []uint32 {
	b, n := h.of(tag, typeInt32)
	var list []uint32
	for i := uint64(0); i < uint64(n) && 4*i+4 <= uint64(len(b)); i++ {
		list = append(list, binary.BigEndian.Uint32(b[4*i:]))
	}
	return list
}

// files are the paths of a package's files, in the order of its other lists of files.
func (h header) files() []string {
	bases, indexes, dirs := h.texts(tagBaseNames), h.numbers(tagDirIndexes), h.texts(tagDirNames)
	if len(bases) == 0 {
		var list []string
		for _, name := range h.texts(tagOldNames) {
			list = append(list, path.Clean("/"+name))
		}
		return list
	}
	var list []string
	for i, base := range bases {
		if i >= len(indexes) || uint64(indexes[i]) >= uint64(len(dirs)) {
			break
		}
		list = append(list, path.Join("/", dirs[indexes[i]], base))
	}
	return list
}
