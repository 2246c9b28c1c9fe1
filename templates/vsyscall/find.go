package vsyscall

import (
	"bytes"
	"context"
	"io"
	"slices"

	"github.com/sysctl-os/sysctl"
)

// Limits of what is read of a file. One that goes beyond is not sure.
const (
	maxText       = 256 << 20 // bytes of code that are searched
	maxFollowed   = 32 << 20  // bytes of code that are followed where something was found
	maxCandidates = 4096
	chunk         = 256 << 10
)

// Edition changes when a file may give another result than before.
const Edition = 1

var _ sysctl.Finder = Find

// Find is a sysctl.Finder. Of a file that is no program or library for x86-64 it reads 64 bytes; of one without anything
// to change its code, once; memory is bounded whatever the file says of itself.
func Find(ctx context.Context, r io.ReaderAt, size int64) (patches []sysctl.Patch, unsure bool, err error) {
	f, err := open(r, size)
	if f == nil || err != nil {
		return nil, false, err
	}
	if f.tooLarge {
		return nil, true, nil
	}
	at, err := f.search(ctx)
	if err != nil || len(at) == 0 {
		return nil, false, err
	}
	text, err := f.loadText()
	if err != nil || text == nil || len(at) > maxCandidates {
		return nil, true, err
	}
	var sites []*site
	for _, addr := range at {
		s, doubt := classify(text, addr)
		if s != nil {
			sites = append(sites, s)
		}
		unsure = unsure || doubt
	}
	if len(sites) == 0 {
		return nil, unsure, nil
	}
	roots, err := f.roots()
	if err != nil {
		return nil, false, err
	}
	if err := follow(ctx, text, roots, sites); err != nil {
		return nil, false, err
	}
	for _, s := range sites {
		if s.reached && !s.broken {
			patches = append(patches, s.patches(text)...)
		} else {
			unsure = true
		}
	}
	slices.SortFunc(patches, func(a, b sysctl.Patch) int { return int(a.Offset - b.Offset) })
	return patches, unsure, nil
}

// search returns the addresses of all bytes in the file's code that would move an address of the page to a register.
func (f *file) search(ctx context.Context) ([]uint64, error) {
	const before, after = 3, 8
	var found []uint64
	buf := make([]byte, before+chunk+after)
	for _, s := range f.exec {
		for off := int64(0); off < s.size; off += chunk {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			from := max(off-before, 0)
			b := buf[:min(off+chunk+after, s.size)-from]
			if err := readFull(f.r, b, s.offset+from); err != nil {
				return nil, err
			}
			for _, i := range moves(b) {
				at := from + int64(i)
				if at >= max(off-before, 0) && len(found) <= maxCandidates {
					found = append(found, s.addr+uint64(at))
				}
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil // chunks overlap
}

// moves returns where in b there is a mov of an address of the page to a 64-bit register.
func moves(b []byte) []int {
	var found []int
	for i := 2; i+4 <= len(b); i++ { // i: where the address begins, low byte first
		n := bytes.IndexByte(b[i+2:], 0x60)
		if i += n; n < 0 || i+4 > len(b) {
			break
		}
		if b[i+3] != 0xff || b[i] != 0 || b[i+1] != 0 && b[i+1] != 4 && b[i+1] != 8 {
			continue
		}
		switch {
		case i >= 3 && wide(b[i-3]) && b[i-2] == 0xc7 && b[i-1]&0xf8 == 0xc0:
			found = append(found, i-3)
		case wide(b[i-2]) && b[i-1]&0xf8 == 0xb8 && i+8 <= len(b) && string(b[i+4:i+8]) == "\xff\xff\xff\xff":
			found = append(found, i-2)
		}
	}
	return found
}

// wide reports whether a byte is the prefix of an instruction on a 64-bit register in its last three bits.
func wide(rex byte) bool { return rex == 0x48 || rex == 0x49 }
