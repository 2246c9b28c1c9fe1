package packages

import (
	"encoding/binary"

	"github.com/sysctl-os/sysctl"
)

// rpm's own "ndb", as SUSE uses it: pages of slots that say where each package's record lies. Layout: rpmpkg.c.
const (
	ndbHeaderMagic = 'R' | 'p'<<8 | 'm'<<16 | 'P'<<24
	ndbSlotMagic   = 'S' | 'l'<<8 | 'o'<<16 | 't'<<24
	ndbBlobMagic   = 'B' | 'l'<<8 | 'b'<<16 | 'S'<<24

	ndbPage = 4096
	ndbSlot = 16
	ndbBlob = 16 // bytes of a record's head, and of the blocks that places are counted in
)

// readNDB calls header for each record that a slot leads to.
func readNDB(_ sysctl.Tree, _ string, d database, header func([]byte) error) error {
	head, err := d.at(0, 2*ndbSlot)
	if err != nil {
		return err
	}
	order := binary.LittleEndian
	pages := order.Uint32(head[12:])
	if order.Uint32(head) != ndbHeaderMagic || order.Uint32(head[4:]) != 0 {
		return damaged("no ndb database of version 0")
	}
	if int64(pages) > d.size/ndbPage {
		return damaged("%d pages of slots", pages)
	}
	slots, err := d.at(0, int(pages)*ndbPage)
	if err != nil {
		return err
	}
	left := 2 * d.size // slots may not all lead to the same large record
	for at := 2 * ndbSlot; at+ndbSlot <= len(slots); at += ndbSlot {
		slot := slots[at:]
		if order.Uint32(slot) != ndbSlotMagic {
			return damaged("a slot at %d", at)
		}
		index, block := order.Uint32(slot[4:]), order.Uint32(slot[8:])
		if block == 0 {
			continue // free
		}
		blob, err := d.at(int64(block)*ndbBlob, ndbBlob)
		if err != nil {
			return err
		}
		size := order.Uint32(blob[12:])
		left -= int64(size)
		if order.Uint32(blob) != ndbBlobMagic || order.Uint32(blob[4:]) != index || size > maxHeader || left < 0 {
			return damaged("the record of package %d", index)
		}
		b, err := d.at(int64(block)*ndbBlob+ndbBlob, int(size))
		if err != nil {
			return err
		}
		if err := header(b); err != nil {
			return err
		}
	}
	return nil
}
