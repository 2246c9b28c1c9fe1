package storage

import (
	"encoding/binary"
	"slices"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// On disk a tree has the guest's ids, but where the kernel cannot shift them for a mount (shift.go): there it has those ids
// of the host that an instance's are mapped to. What follows is pure: which id becomes which, also where ids are part of an
// attribute's value.

// translate says what an id becomes, of a user or of a group.
type translate func(group bool, id uint32) (uint32, error)

// checkShifted reports why a tree cannot have the host's ids of a mapping: each must say whose it is, so that a tree can be
// shifted back, and an interrupted shift be done again.
func checkShifted(m sysctl.IDMap) error {
	if m.Base < m.Size {
		return sysctl.E(sysctl.Unsupported, "security.idmap.base: ids from %d on overlap with the guest's own, 0 to %d, which does not do where layers are copied", m.Base, m.Size-1).
			WithHint("sysctl check")
	}
	for _, r := range slices.Concat(rawRanges(m, m.UIDs()), rawRanges(m, m.GIDs())) {
		if r.Guest >= m.Size || r.Count > m.Size-r.Guest {
			return sysctl.E(sysctl.Unsupported, "raw.idmap: id %d of the guest is beyond its %d ids, which does not do where layers are copied", r.Guest+r.Count-1, m.Size).
				WithHint("sysctl check")
		}
		if uint64(r.Host) < uint64(m.Base)+uint64(m.Size) && uint64(m.Base) < uint64(r.Host)+uint64(r.Count) {
			return sysctl.E(sysctl.Unsupported, "raw.idmap: id %d of the host is one of the instance's range, which does not do where layers are copied", r.Host).
				WithHint("sysctl check")
		}
	}
	return nil
}

// rawRanges are the ranges of a mapping that raw.idmap has put into it.
func rawRanges(m sysctl.IDMap, all []sysctl.IDRange) []sysctl.IDRange {
	return slices.DeleteFunc(slices.Clone(all), func(r sysctl.IDRange) bool { return r.Host == m.Base+r.Guest })
}

// mapped are the ranges by which users and groups are translated.
type mapped struct{ uids, gids []sysctl.IDRange }

func mappedBy(m sysctl.IDMap) mapped { return mapped{m.UIDs(), m.GIDs()} }

// find translates by the range that an id is of; false: there is none.
func (m mapped) find(group bool, id uint32, to func(sysctl.IDRange, uint32) (uint32, bool)) (uint32, bool) {
	all := m.uids
	if group {
		all = m.gids
	}
	for _, r := range all {
		if other, ok := to(r, id); ok {
			return other, true
		}
	}
	return id, false
}

// forth and back translate. An id that is of no range stays what it is.
func (m mapped) forth(group bool, id uint32) (uint32, error) {
	id, _ = m.find(group, id, sysctl.IDRange.ToHost)
	return id, nil
}

func (m mapped) back(group bool, id uint32) (uint32, error) {
	id, _ = m.find(group, id, sysctl.IDRange.ToGuest)
	return id, nil
}

// toHost translates the guest's ids into the host's. An id that the guest does not have stays what it is; where that is an id
// of the host that the guest has, it would become the guest's, and the kind is Unsupported.
func toHost(m sysctl.IDMap) translate {
	all := mappedBy(m)
	return func(group bool, id uint32) (uint32, error) {
		if host, ok := all.find(group, id, sysctl.IDRange.ToHost); ok {
			return host, nil
		}
		if _, ok := all.find(group, id, sysctl.IDRange.ToGuest); ok {
			return 0, sysctl.E(sysctl.Unsupported, "it belongs to id %d, which is none of the guest's and one of the host's ids that it has", id).
				WithHint("sysctl config set NAME security.idmap.base=ANOTHER")
		}
		return id, nil
	}
}

// toGuest is the reverse. An id that is none of the host's ids that the guest has stays what it is.
func toGuest(m sysctl.IDMap) translate { return mappedBy(m).back }

// passes are what is done one after the other to a tree that is shifted in place. An id says by itself whether a pass was
// done to it, so each may be done again, or undone, wherever it was interrupted.
func passes(m sysctl.IDMap) []mapped {
	whole := []sysctl.IDRange{{Guest: 0, Host: m.Base, Count: m.Size}}
	all := []mapped{{whole, whole}}
	raw := mapped{rawRanges(m, m.UIDs()), rawRanges(m, m.GIDs())}
	if len(raw.uids)+len(raw.gids) == 0 {
		return all
	}
	for _, ranges := range [][]sysctl.IDRange{raw.uids, raw.gids} {
		for i := range ranges {
			ranges[i].Guest += m.Base // as the pass before has left them
		}
	}
	return append(all, raw)
}

// Attributes whose values have ids in them.
const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"
)

// translateXattr returns an attribute's value with its ids translated; of most attributes it has none.
func translateXattr(name string, value []byte, f translate) ([]byte, error) {
	switch name {
	case aclAccess, aclDefault:
		return translateACL(value, f)
	case capabilityXattr:
		return translateCapability(value, f)
	}
	return value, nil
}

// translateACL translates an access list (include/uapi/linux/posix_acl_xattr.h): a version of 4 bytes, and for each entry a
// tag and permissions of 2 bytes each and an id of 4.
func translateACL(value []byte, f translate) ([]byte, error) {
	const header, entry = 4, 8
	const user, group = 0x02, 0x08 // ACL_USER, ACL_GROUP: of the others the id says nothing
	out := slices.Clone(value)
	for at := header; at+entry <= len(out); at += entry {
		tag := binary.LittleEndian.Uint16(out[at:])
		if tag != user && tag != group {
			continue
		}
		id, err := f(tag == group, binary.LittleEndian.Uint32(out[at+4:]))
		if err != nil {
			return nil, err
		}
		binary.LittleEndian.PutUint32(out[at+4:], id)
	}
	return out, nil
}

// translateCapability translates whose root the capabilities of a program hold for (include/uapi/linux/capability.h): a
// word of revision and flags, two pairs of sets, and in revision 3 the id of that root. Revision 2 is of the host's.
func translateCapability(value []byte, f translate) ([]byte, error) {
	const size2, size3 = 20, 24
	const revisions, revision2, revision3 = 0xff000000, 0x02000000, 0x03000000
	if len(value) < size2 {
		return value, nil // revision 1, which has no root
	}
	word := binary.LittleEndian.Uint32(value)
	var root uint32
	switch {
	case word&revisions == revision3 && len(value) == size3:
		root = binary.LittleEndian.Uint32(value[size2:])
	case word&revisions != revision2:
		return value, nil
	}
	root, err := f(false, root)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(value[:size2])
	if root == 0 {
		binary.LittleEndian.PutUint32(out, word&^revisions|revision2)
		return out, nil
	}
	binary.LittleEndian.PutUint32(out, word&^revisions|revision3)
	return binary.LittleEndian.AppendUint32(out, root), nil
}

// translateStat translates a file's owner in what is known of it.
func translateStat(st *unix.Stat_t, f translate) (err error) {
	if st.Uid, err = f(false, st.Uid); err != nil {
		return err
	}
	st.Gid, err = f(true, st.Gid)
	return err
}

// translateXattrs translates in a list of names and values.
func translateXattrs(list []string, f translate) error {
	for i := 0; i+1 < len(list); i += 2 {
		value, err := translateXattr(list[i], []byte(list[i+1]), f)
		if err != nil {
			return err
		}
		list[i+1] = string(value)
	}
	return nil
}
