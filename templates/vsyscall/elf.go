package vsyscall

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// maxTables is how many bytes of all its tables are read of a file, each time they are named. What is longer is not read.
const maxTables = 96 << 20

// file is what a file says of itself.
type file struct {
	r        io.ReaderAt
	size     int64
	header   [64]byte
	entry    uint64
	exec     []segment // what is mapped to be executed
	load     []segment // all that is mapped
	unwind   segment   // PT_GNU_EH_FRAME
	sections []section
	names    segment // of the sections
	budget   int64   // bytes of tables that may still be read
	tooLarge bool
}

// segment is a range of the file and where it is mapped.
type segment struct {
	addr   uint64
	offset int64
	size   int64
}

// section is a section header.
type section struct {
	segment
	name  uint32
	kind  elf.SectionType
	flags elf.SectionFlag
}

var le = binary.LittleEndian

// open reads what is mapped where; nil where it is no program or library for x86-64.
func open(r io.ReaderAt, size int64) (*file, error) {
	f := &file{r: r, size: size, budget: maxTables}
	h := f.header[:]
	if size < int64(len(h)) {
		return nil, nil
	}
	if err := readFull(r, h, 0); err != nil {
		return nil, err
	}
	kind := elf.Type(le.Uint16(h[16:]))
	if string(h[:6]) != "\x7fELF\x02\x01" || kind != elf.ET_EXEC && kind != elf.ET_DYN || elf.Machine(le.Uint16(h[18:])) != elf.EM_X86_64 {
		return nil, nil
	}
	f.entry = le.Uint64(h[24:])
	return f, f.programHeaders()
}

func (f *file) programHeaders() error {
	off, each, n := le.Uint64(f.header[32:]), le.Uint16(f.header[54:]), le.Uint16(f.header[56:])
	if each != 56 {
		return nil
	}
	b, err := f.table(off, 56*uint64(n))
	if err != nil {
		return err
	}
	var text int64
	for ; len(b) >= 56; b = b[56:] {
		s := f.segment(le.Uint64(b[16:]), le.Uint64(b[8:]), le.Uint64(b[32:]))
		switch elf.ProgType(le.Uint32(b)) {
		case elf.PT_LOAD:
			f.load = append(f.load, s)
			if elf.ProgFlag(le.Uint32(b[4:]))&elf.PF_X != 0 {
				f.exec = append(f.exec, s)
				text += s.size
				f.tooLarge = f.tooLarge || text > maxText
			}
		case elf.PT_GNU_EH_FRAME:
			f.unwind = s
		}
	}
	return nil
}

// sectionHeaders reads them: only where something was found is it asked what is there.
func (f *file) sectionHeaders() error {
	off, each, n := le.Uint64(f.header[40:]), le.Uint16(f.header[58:]), le.Uint16(f.header[60:])
	names := le.Uint16(f.header[62:])
	if each != 64 {
		return nil
	}
	b, err := f.table(off, 64*uint64(n))
	if err != nil {
		return err
	}
	for i := 0; len(b) >= 64; i, b = i+1, b[64:] {
		kind := elf.SectionType(le.Uint32(b[4:]))
		if kind == elf.SHT_NULL || kind == elf.SHT_NOBITS {
			continue
		}
		s := f.segment(le.Uint64(b[16:]), le.Uint64(b[24:]), le.Uint64(b[32:]))
		if i == int(names) {
			f.names = s
		}
		f.sections = append(f.sections, section{segment: s, name: le.Uint32(b), kind: kind, flags: elf.SectionFlag(le.Uint64(b[8:]))})
	}
	return nil
}

// segment is a range as the file says it is, cut to what the file has.
func (f *file) segment(addr, offset, size uint64) segment {
	if offset > uint64(f.size) || addr > math.MaxInt64 {
		return segment{}
	}
	return segment{addr: addr, offset: int64(offset), size: int64(min(size, uint64(f.size)-offset))}
}

// table reads a range of the file; nil where it is not all there, or more than may be read.
func (f *file) table(off, size uint64) ([]byte, error) {
	if off > uint64(f.size) || size > uint64(f.size)-off || int64(size) > f.budget {
		return nil, nil
	}
	f.budget -= int64(size)
	b := make([]byte, size)
	return b, readFull(f.r, b, int64(off))
}

// readFull reads all of b. The file is as long as it was said to be.
func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) || errors.Is(err, io.EOF) {
		clear(b[n:]) // it was cut off meanwhile
		return nil
	}
	return err
}
