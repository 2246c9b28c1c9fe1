package templates

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// LVM is read by its metadata, which is text, and never activated: nothing of it becomes known to the host, whose
// groups may have the same names, and the kernel needs no device mapper.

// lvmLabel finds the label of a physical volume in one of its first four sectors; -1: there is none.
func lvmLabel(head []byte) int {
	for at := 0; at < 4*512 && at+512 <= len(head); at += 512 {
		if bytes.HasPrefix(head[at:], []byte("LABELONE")) && bytes.HasPrefix(head[at+24:], []byte("LVM2 001")) {
			return at
		}
	}
	return -1
}

// maxLVMText is the longest metadata read, in bytes.
const maxLVMText = 16 << 20

// lvmGroups is the physical volumes of a disk and the newest metadata of their groups.
type lvmGroups struct {
	physical map[string]volume     // by UUID without dashes
	groups   map[string]lvmSection // by name
}

// add reads a physical volume.
func (g *lvmGroups) add(pv volume, disk io.ReaderAt) error {
	r := pv.reader(disk)
	head := peek(r, 0, 8192)
	label := lvmLabel(head)
	at := label + int(min(binary.LittleEndian.Uint32(head[label+20:]), 480))
	if at+40 > len(head) {
		return sysctl.E(sysctl.Invalid, "the label is damaged")
	}
	if g.physical == nil {
		g.physical, g.groups = map[string]volume{}, map[string]lvmSection{}
	}
	g.physical[string(head[at:at+32])] = pv
	areas := lvmAreas(head[at+40:])
	if len(areas) < 2 {
		return nil // another one of the group has the metadata
	}
	for _, area := range areas[1] {
		text, err := lvmText(r, area)
		if err != nil {
			return err
		}
		if text == nil {
			continue
		}
		top, err := parseLVM(text)
		if err != nil {
			return err
		}
		g.newest(top)
	}
	return nil
}

// newest keeps the groups in a parsed text that are newer than those known.
func (g *lvmGroups) newest(top lvmSection) {
	for name, value := range top {
		group, ok := value.(lvmSection)
		if !ok {
			continue
		}
		if known, ok := g.groups[name]; !ok || group.number("seqno") > known.number("seqno") {
			g.groups[name] = group
		}
	}
}

// lvmAreas reads lists of stretches, each ended by one at 0: those of data, then those of metadata.
func lvmAreas(b []byte) [][]extent {
	lists := [][]extent{nil}
	for ; len(b) >= 16 && len(lists) < 3; b = b[16:] {
		e := extent{int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))}
		if e.at == 0 {
			lists = append(lists, nil)
			continue
		}
		lists[len(lists)-1] = append(lists[len(lists)-1], e)
	}
	return lists
}

// lvmText reads the metadata of an area, a ring behind its first sector; nil where it has none.
func lvmText(r io.ReaderAt, area extent) ([]byte, error) {
	if area.at < 0 || area.size < 1024 {
		return nil, sysctl.E(sysctl.Invalid, "the metadata area is damaged")
	}
	head := peek(r, area.at, 512)
	if len(head) < 512 || !bytes.HasPrefix(head[4:], []byte(" LVM2 x[5A%r0N*>")) {
		return nil, sysctl.E(sysctl.Invalid, "the metadata area is damaged")
	}
	const ignored = 1
	at, size := int64(binary.LittleEndian.Uint64(head[40:])), int64(binary.LittleEndian.Uint64(head[48:]))
	if at == 0 || size == 0 || binary.LittleEndian.Uint32(head[60:])&ignored != 0 {
		return nil, nil
	}
	if at < 512 || at >= area.size || size < 0 || size > min(maxLVMText, area.size-512) {
		return nil, sysctl.E(sysctl.Invalid, "the metadata area is damaged")
	}
	text := peek(r, area.at+at, int(min(size, area.size-at)))
	if rest := size - int64(len(text)); rest > 0 {
		text = append(text, peek(r, area.at+512, int(rest))...)
	}
	return bytes.TrimRight(text, "\x00"), nil
}

// volumes lists the logical volumes that people see, with where they are on the disk.
func (g *lvmGroups) volumes() (all []volume) {
	for _, name := range slices.Sorted(maps.Keys(g.groups)) {
		group := g.groups[name]
		logical := group.section("logical_volumes")
		for _, lv := range slices.Sorted(maps.Keys(logical)) {
			s := logical.section(lv)
			if !slices.Contains(s.list("status"), any("VISIBLE")) {
				continue
			}
			v := volume{name: name + "/" + lv}
			if v.extents, v.why = g.place(group, s); v.why != "" {
				v.kind = "LVM"
			}
			all = append(all, v)
		}
	}
	return all
}

// place finds where a logical volume is, or says why that cannot be said.
func (g *lvmGroups) place(group, lv lvmSection) (all []extent, why string) {
	unit := group.number("extent_size") * 512
	var segments []lvmSection
	for _, value := range lv {
		if s, ok := value.(lvmSection); ok && s["extent_count"] != nil {
			segments = append(segments, s)
		}
	}
	slices.SortFunc(segments, func(a, b lvmSection) int { return int(a.number("start_extent") - b.number("start_extent")) })
	next := int64(0)
	for _, s := range segments {
		stripes := s.list("stripes")
		switch kind, _ := s["type"].(string); {
		case kind != "striped":
			return nil, "of type " + kind
		case s.number("stripe_count") != 1 || len(stripes) != 2:
			return nil, "striped over several disks"
		case s.number("start_extent") != next:
			return nil, "damaged"
		}
		next += s.number("extent_count")
		e, why := g.segment(group, stripes, s.number("extent_count"), unit)
		if why != "" {
			return nil, why
		}
		if n := len(all); n > 0 && all[n-1].at+all[n-1].size == e.at {
			all[n-1].size += e.size
			continue
		}
		all = append(all, e)
	}
	if len(all) == 0 {
		return nil, "empty"
	}
	return all, ""
}

// segment finds where extents of a physical volume are on the disk.
func (g *lvmGroups) segment(group lvmSection, stripe []any, count, unit int64) (extent, string) {
	name, _ := stripe[0].(string)
	first, _ := stripe[1].(int64)
	pv := group.section("physical_volumes").section(name)
	id, _ := pv["id"].(string)
	on, ok := g.physical[strings.ReplaceAll(id, "-", "")]
	if !ok {
		return extent{}, "partly on a disk that is not here"
	}
	const far = 1 << 55 // bytes: what products of numbers below stay under
	begin := pv.number("pe_start") * 512
	if unit <= 0 || unit > 1<<40 || first < 0 || count <= 0 || first > far/unit || count > far/unit || begin < 0 || begin > far {
		return extent{}, "damaged"
	}
	e := extent{begin + first*unit, count * unit}
	if !within(e, on.size()) {
		return extent{}, "damaged"
	}
	e.at += on.extents[0].at // a partition or the disk: one stretch
	return e, ""
}

// lvmSection is a section of metadata: numbers (int64), strings, lists ([]any) and sections by name.
type lvmSection map[string]any

func (s lvmSection) number(name string) int64 { n, _ := s[name].(int64); return n }

func (s lvmSection) list(name string) []any { l, _ := s[name].([]any); return l }

func (s lvmSection) section(name string) lvmSection { x, _ := s[name].(lvmSection); return x }

// parseLVM reads metadata.
func parseLVM(text []byte) (lvmSection, error) {
	p := &lvmParser{rest: text}
	s, err := p.section(0)
	if err == nil && len(p.rest) > 0 {
		err = fmt.Errorf("%q is too much", p.rest[:1])
	}
	if err != nil {
		return nil, sysctl.E(sysctl.Invalid, "the metadata is damaged: %w", err)
	}
	return s, nil
}
