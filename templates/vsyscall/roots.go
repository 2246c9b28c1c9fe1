package vsyscall

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// maxFunctions is how many are looked at.
const maxFunctions = 1 << 21

// roots are the starts of functions that the file tells: its entry, symbols and unwind table.
func (f *file) roots() ([]function, error) {
	all := []function{{start: f.entry}}
	names, err := f.table(uint64(f.names.offset), uint64(f.names.size))
	if err != nil {
		return nil, err
	}
	unwound := false
	for _, s := range f.sections {
		switch {
		case s.kind == elf.SHT_SYMTAB || s.kind == elf.SHT_DYNSYM:
			b, err := f.table(uint64(s.offset), uint64(s.size))
			if err != nil {
				return nil, err
			}
			all = symbols(all, b)
		case s.flags&elf.SHF_ALLOC != 0 && bytes.HasPrefix(names[min(int(s.name), len(names)):], []byte(".eh_frame\x00")):
			b, err := f.table(uint64(s.offset), uint64(s.size))
			if err != nil {
				return nil, err
			}
			unwound = true
			all = frames(all, b, s.addr)
		}
	}
	if !unwound {
		b, addr, err := f.unwindTable()
		if err != nil {
			return nil, err
		}
		all = frames(all, b, addr)
	}
	return all, nil
}

// symbols adds the functions of a symbol table. A symbol without a type counts where it is global, as in assembler; a
// local one may be of data between functions.
func symbols(all []function, b []byte) []function {
	for ; len(b) >= 24 && len(all) < maxFunctions; b = b[24:] {
		kind, bind := elf.ST_TYPE(b[4]), elf.ST_BIND(b[4])
		if elf.SectionIndex(binary.LittleEndian.Uint16(b[6:])) == elf.SHN_UNDEF {
			continue
		}
		switch {
		case kind == elf.STT_FUNC || kind == elf.STT_GNU_IFUNC:
		case kind == elf.STT_NOTYPE && bind != elf.STB_LOCAL:
		default:
			continue
		}
		start := le.Uint64(b[8:])
		all = append(all, function{start: start, end: start + le.Uint64(b[16:])})
	}
	return all
}

// unwindTable finds .eh_frame through the program header that names the table of its contents, for files without sections.
func (f *file) unwindTable() ([]byte, uint64, error) {
	if f.unwind.size < 8 {
		return nil, 0, nil
	}
	h := make([]byte, 8)
	if err := readFull(f.r, h, f.unwind.offset); err != nil {
		return nil, 0, err
	}
	if h[0] != 1 || h[1] != relative|signed4 {
		return nil, 0, nil
	}
	addr := f.unwind.addr + 4 + uint64(int64(int32(le.Uint32(h[4:]))))
	for _, s := range f.load {
		if addr >= s.addr && addr-s.addr < uint64(s.size) {
			skip := int64(addr - s.addr)
			b, err := f.table(uint64(s.offset+skip), uint64(min(s.size-skip, f.budget)))
			return b, addr, err
		}
	}
	return nil, 0, nil
}
