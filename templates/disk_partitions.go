package templates

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
)

// maxPartitions bounds a partition table, which may be a loop.
const maxPartitions = 256

// partitions reads the partition table of a disk: GPT, else MBR with its extended partitions. What lies outside of the
// disk is left out. None: there is no table.
func partitions(disk io.ReaderAt, size int64) []volume {
	for _, sector := range []int64{512, 4096} {
		if all := gpt(disk, sector, size); len(all) > 0 {
			return all
		}
	}
	return mbr(disk, size)
}

// within reports whether an extent lies on a disk of size bytes, behind its first sector.
func within(e extent, size int64) bool {
	return e.at >= 512 && e.size > 0 && e.size <= size && e.at <= size-e.size
}

// gpt reads a GUID partition table (UEFI 2.10, 5.3).
func gpt(disk io.ReaderAt, sector, size int64) (all []volume) {
	head := peek(disk, sector, 92)
	if len(head) < 92 || !bytes.HasPrefix(head, []byte("EFI PART")) {
		return nil
	}
	table, n, width := binary.LittleEndian.Uint64(head[72:]), binary.LittleEndian.Uint32(head[80:]), binary.LittleEndian.Uint32(head[84:])
	if table > uint64(size/sector) || width < 128 || width > 4096 {
		return nil
	}
	for i := range min(int64(n), maxPartitions) {
		entry := peek(disk, int64(table)*sector+i*int64(width), 128)
		if len(entry) < 128 || bytes.Equal(entry[:16], make([]byte, 16)) {
			continue
		}
		first, last := binary.LittleEndian.Uint64(entry[32:]), binary.LittleEndian.Uint64(entry[40:])
		if last < first || last >= uint64(size/sector) {
			continue
		}
		e := extent{int64(first) * sector, int64(last-first+1) * sector}
		if !within(e, size) {
			continue
		}
		all = append(all, volume{
			name: strconv.FormatInt(i+1, 10), number: int(i + 1), extents: []extent{e},
			partUUID: guidText(entry[16:32]), partLabel: utf16Text(entry[56:128]),
		})
	}
	return all
}

// guidText writes a GUID, whose first three numbers have their lowest bytes first.
func guidText(b []byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint16(b[4:]),
		binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:16])
}

func utf16Text(b []byte) string {
	var units []uint16
	for i := 0; i+1 < len(b) && (b[i] != 0 || b[i+1] != 0); i += 2 {
		units = append(units, binary.LittleEndian.Uint16(b[i:]))
	}
	return string(utf16.Decode(units))
}

// mbrEntry is a line of a table of partitions, in sectors of 512 bytes.
type mbrEntry struct {
	kind         byte
	first, count int64
}

func (e mbrEntry) extended() bool { return e.kind == 0x05 || e.kind == 0x0f || e.kind == 0x85 }

// mbrTable reads the four entries in the sector at an offset.
func mbrTable(disk io.ReaderAt, at int64) (entries []mbrEntry, signature uint32) {
	s := peek(disk, at, 512)
	if len(s) < 512 || s[510] != 0x55 || s[511] != 0xaa {
		return nil, 0
	}
	for i := range 4 {
		b := s[446+16*i:]
		if b[0]&0x7f != 0 { // neither bootable nor not: this is no table, but a boot sector
			return nil, 0
		}
		entries = append(entries, mbrEntry{b[4], int64(binary.LittleEndian.Uint32(b[8:])), int64(binary.LittleEndian.Uint32(b[12:]))})
	}
	return entries, binary.LittleEndian.Uint32(s[440:])
}

// mbr reads the table in the first sector, and the chain of those in extended partitions.
func mbr(disk io.ReaderAt, size int64) (all []volume) {
	entries, signature := mbrTable(disk, 0)
	add := func(number int, base int64, e mbrEntry) {
		x := extent{(base + e.first) * 512, e.count * 512}
		if e.kind == 0 || !within(x, size) {
			return
		}
		all = append(all, volume{
			name: strconv.Itoa(number), number: number, extents: []extent{x}, partUUID: fmt.Sprintf("%08x-%02x", signature, number),
		})
	}
	extended := int64(0)
	for i, e := range entries {
		if e.extended() {
			extended = e.first
		} else {
			add(i+1, 0, e)
		}
	}
	for number, at := 5, extended; at > 0 && number < maxPartitions; number++ {
		table, _ := mbrTable(disk, at*512)
		if table == nil {
			break
		}
		add(number, at, table[0])
		next := int64(0)
		if table[1].extended() {
			next = extended + table[1].first
		}
		if next == extended {
			break
		}
		at = next
	}
	return all
}
