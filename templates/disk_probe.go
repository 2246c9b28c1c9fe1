package templates

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// content is what begins at the first byte of a disk, partition or logical volume.
type content struct {
	kind  string // "ext4", "xfs", "btrfs"; others are not mounted: "LVM", "swap", …; "": unknown
	uuid  string // as fstab has it
	label string
	why   string // why a filesystem of a kind that is mounted cannot be, or ""
}

// mountable reports whether it is a filesystem that is looked into.
func (c content) mountable() bool {
	return (c.kind == "ext4" || c.kind == "xfs" || c.kind == "btrfs") && c.why == ""
}

// String is the content for people.
func (c content) String() string {
	switch {
	case c.kind == "":
		return "nothing known"
	case c.why != "":
		return c.kind + ", " + c.why
	}
	return c.kind
}

// probe looks for the signatures of filesystems and of what else disks hold.
func probe(r io.ReaderAt) content {
	head := peek(r, 0, 68<<10)
	has := func(at int, magic string) bool { return at <= len(head) && bytes.HasPrefix(head[at:], []byte(magic)) }
	switch {
	case has(0, "LUKS\xba\xbe"):
		return content{kind: "encrypted (LUKS)"}
	case has(0, "-FVE-FS-"):
		return content{kind: "encrypted (BitLocker)"}
	case lvmLabel(head) >= 0:
		return content{kind: "LVM"}
	case has(0, "XFSB") && len(head) >= 512:
		return content{kind: "xfs", uuid: uuidText(head[32:48]), label: text(head[108:120])}
	case has(65600, "_BHRfS_M") && len(head) >= 66<<10:
		c := content{kind: "btrfs", uuid: uuidText(head[65568:65584]), label: text(head[65835:66091])}
		if n := binary.LittleEndian.Uint64(head[65672:]); n != 1 {
			c.why = fmt.Sprintf("on %d disks", n)
		}
		return c
	case has(4096, "\xfc\x4e\x2b\xa9"), has(0, "\xfc\x4e\x2b\xa9"):
		return content{kind: "RAID member"}
	case has(1080, "\x53\xef") && len(head) >= 2048:
		return probeExt(head[1024:2048])
	case has(4086, "SWAPSPACE2"), has(4086, "SWAP-SPACE"):
		return content{kind: "swap"}
	case has(0, "hsqs"):
		return content{kind: "squashfs"}
	case has(3, "NTFS    "):
		return content{kind: "ntfs"}
	case has(54, "FAT"), has(82, "FAT32"):
		return content{kind: "vfat"}
	}
	return content{}
}

// probeExt reads the superblock of an ext2, ext3 or ext4, all of which the one driver mounts.
func probeExt(super []byte) content {
	const journalDevice = 0x8
	if revision, blocks := binary.LittleEndian.Uint32(super[76:]), binary.LittleEndian.Uint32(super[24:]); revision > 1 || blocks > 6 {
		return content{}
	}
	c := content{kind: "ext4", uuid: uuidText(super[104:120]), label: text(super[120:136])}
	if binary.LittleEndian.Uint32(super[96:])&journalDevice != 0 {
		c.kind = "ext journal"
	}
	return c
}

// uuidText writes a UUID whose bytes are in the order of its digits.
func uuidText(b []byte) string {
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// text is a name padded with zeros.
func text(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}
