package vsyscall

import (
	"debug/elf"
	"slices"
)

// text is a file's code in memory, piece by piece as it is mapped.
type text []piece

// piece is a range of code.
type piece struct {
	addr   uint64
	offset int64 // in the file
	code   []byte
	seen   []uint64 // one bit a byte: an instruction was found to begin there
}

// loadText reads the code: the sections of code where the file says which they are, since data may be mapped together with it,
// else all that is mapped to be executed. nil: it is too much, or overlaps.
func (f *file) loadText() (text, error) {
	if err := f.sectionHeaders(); err != nil {
		return nil, err
	}
	var ranges []segment
	for _, s := range f.sections {
		if s.flags&(elf.SHF_ALLOC|elf.SHF_EXECINSTR) == elf.SHF_ALLOC|elf.SHF_EXECINSTR && f.mapped(s.segment) {
			ranges = append(ranges, s.segment)
		}
	}
	if len(ranges) == 0 {
		ranges = slices.Clone(f.exec)
	}
	slices.SortFunc(ranges, func(a, b segment) int {
		switch {
		case a.addr < b.addr:
			return -1
		case a.addr > b.addr:
			return 1
		}
		return 0
	})
	var t text
	var sum int64
	var end uint64
	for _, s := range ranges {
		if s.size == 0 {
			continue
		}
		if sum += s.size; sum > maxFollowed || s.addr < end {
			return nil, nil
		}
		end = s.addr + uint64(s.size)
		p := piece{addr: s.addr, offset: s.offset, code: make([]byte, s.size), seen: make([]uint64, s.size/64+1)}
		if err := readFull(f.r, p.code, s.offset); err != nil {
			return nil, err
		}
		t = append(t, p)
	}
	return t, nil
}

// mapped reports whether a section is where an executable segment says it is.
func (f *file) mapped(s segment) bool {
	return slices.ContainsFunc(f.exec, func(x segment) bool {
		return s.addr >= x.addr && s.addr-x.addr <= uint64(x.size) && uint64(s.size) <= uint64(x.size)-(s.addr-x.addr) &&
			s.offset-x.offset == int64(s.addr-x.addr)
	})
}

// at returns the piece that has an address, and where in it that is; nil: there is no code.
func (t text) at(addr uint64) (*piece, int) {
	i, found := slices.BinarySearchFunc(t, addr, func(p piece, addr uint64) int {
		switch {
		case p.addr < addr:
			return -1
		case p.addr > addr:
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	if i < 0 || addr-t[i].addr >= uint64(len(t[i].code)) {
		return nil, 0
	}
	return &t[i], int(addr - t[i].addr)
}

// mark notes that an instruction begins at an address and reports whether that was not known.
func (p *piece) mark(i int) bool {
	bit := uint64(1) << (i % 64)
	if p.seen[i/64]&bit != 0 {
		return false
	}
	p.seen[i/64] |= bit
	return true
}
