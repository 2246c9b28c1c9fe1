package sysctl

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// IDRange maps Count ids of a guest, from Guest on, to the host's from Host on.
type IDRange struct{ Guest, Host, Count uint32 }

// ToHost translates an id of the guest; false: it is not of the range.
func (r IDRange) ToHost(id uint32) (uint32, bool) {
	return r.Host + (id - r.Guest), id-r.Guest < r.Count
}

// ToGuest translates an id of the host; false: it is not of the range.
func (r IDRange) ToGuest(id uint32) (uint32, bool) {
	return r.Guest + (id - r.Host), id-r.Host < r.Count
}

// String is a line of uid_map (user_namespaces(7)).
func (r IDRange) String() string { return fmt.Sprintf("%d %d %d", r.Guest, r.Host, r.Count) }

// UIDs and GIDs are the mapping of users and of groups, in order of the guest's ids. A privileged instance has none.
func (m IDMap) UIDs() []IDRange { return m.ranges("uid") }
func (m IDMap) GIDs() []IDRange { return m.ranges("gid") }

// HostUID and HostGID translate an id of a guest into the host's; false: the guest has no such id.
func (m IDMap) HostUID(id uint32) (uint32, bool) { return hostID(m.Size == 0, m.UIDs(), id) }
func (m IDMap) HostGID(id uint32) (uint32, bool) { return hostID(m.Size == 0, m.GIDs(), id) }

func hostID(same bool, ranges []IDRange, id uint32) (uint32, bool) {
	for _, r := range ranges {
		if host, ok := r.ToHost(id); ok {
			return host, true
		}
	}
	return id, same
}

// ranges punches what raw.idmap says of a kind of id into the range.
func (m IDMap) ranges(kind string) []IDRange {
	if m.Size == 0 {
		return nil
	}
	raw, _ := parseRawIDs(m.Raw)
	var holes []IDRange
	for _, r := range raw {
		if r.kind == kind || r.kind == "both" {
			holes = append(holes, r.IDRange)
		}
	}
	slices.SortFunc(holes, func(a, b IDRange) int { return cmp.Compare(a.Guest, b.Guest) })
	var all []IDRange
	next := uint32(0)
	upTo := func(end uint32) {
		if next < end {
			all = append(all, IDRange{next, m.Base + next, end - next})
		}
	}
	for _, h := range holes {
		upTo(min(h.Guest, m.Size))
		all = append(all, h)
		next = max(next, h.Guest+h.Count)
	}
	upTo(m.Size)
	return all
}

// CheckIDs reports why the kernel would not take a mapping: two ranges must not share an id of the host.
func (m IDMap) CheckIDs() error {
	for _, all := range [][]IDRange{m.UIDs(), m.GIDs()} {
		slices.SortFunc(all, func(a, b IDRange) int { return cmp.Compare(a.Host, b.Host) })
		for i := 1; i < len(all); i++ {
			if a, b := all[i-1], all[i]; uint64(a.Host)+uint64(a.Count) > uint64(b.Host) {
				return E(Invalid, "host id %d would be two ids of the guest: %d and %d", b.Host, a.Guest+b.Host-a.Host, b.Guest)
			}
		}
	}
	return nil
}

// maxRawIDs: the kernel takes 340 lines (user_namespaces(7)), and each range can split another one.
const maxRawIDs = 100

type rawIDs struct {
	kind string // uid, gid, both
	IDRange
}

// CheckRawIDs checks raw.idmap: lines "uid|gid|both HOST GUEST", each an id or a range such as 1000-1005.
func CheckRawIDs(text string) error {
	_, err := parseRawIDs(text)
	return err
}

func parseRawIDs(text string) (all []rawIDs, err error) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) != 3 || f[0] != "uid" && f[0] != "gid" && f[0] != "both" {
			return nil, E(Invalid, `%q is no mapping: write lines such as "both 1000 1000": uid, gid or both, an id of the host and one of the guest`, strings.TrimSpace(line))
		}
		host, hosts, ok1 := parseIDs(f[1])
		guest, guests, ok2 := parseIDs(f[2])
		switch {
		case !ok1 || !ok2:
			return nil, E(Invalid, `%q is no mapping: an id is a number below 4294967295, a range two of them, such as "1000-1005"`, strings.TrimSpace(line))
		case hosts != guests:
			return nil, E(Invalid, "%q maps %d ids to %d: both must be as many", strings.TrimSpace(line), hosts, guests)
		case guest == 0:
			return nil, E(Invalid, "%q: the guest's root cannot be somebody else of the host", strings.TrimSpace(line))
		case host == 0:
			return nil, E(Invalid, "%q: nobody in a guest may be the host's root: that is security.privileged", strings.TrimSpace(line))
		}
		r := rawIDs{f[0], IDRange{guest, host, hosts}}
		for _, old := range all {
			if (old.kind == r.kind || old.kind == "both" || r.kind == "both") && (overlap(old.Guest, old.Count, r.Guest, r.Count) || overlap(old.Host, old.Count, r.Host, r.Count)) {
				return nil, E(Invalid, "%q maps an id a second time", strings.TrimSpace(line))
			}
		}
		if all = append(all, r); len(all) > maxRawIDs {
			return nil, E(Invalid, "more than %d lines", maxRawIDs)
		}
	}
	return all, nil
}

func overlap(a, n, b, m uint32) bool { return a < b+m && b < a+n }

// parseIDs reads an id or a range of ids. The highest of all is none: to chown(2) it means "leave as it is".
func parseIDs(s string) (first, count uint32, ok bool) {
	from, to, ranged := strings.Cut(s, "-")
	if !ranged {
		to = from
	}
	low, err1 := strconv.ParseUint(from, 10, 32)
	high, err2 := strconv.ParseUint(to, 10, 32)
	if err1 != nil || err2 != nil || low > high || high >= 1<<32-2 {
		return 0, 0, false
	}
	return uint32(low), uint32(high - low + 1), true
}

// LayerCopy is a copy of a layer whose ids on disk are those of a range of the host, where the kernel cannot shift them.
type LayerCopy struct {
	Layer string // "": of a range that has none any more
	Base  uint32
	Size  uint32
	Dir   string // of the range's copies
}
