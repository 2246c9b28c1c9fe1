package packages

import (
	"encoding/binary"

	"github.com/sysctl-os/sysctl"
)

// Berkeley DB, as rpm used it until 2020: a hash of which only the values are wanted, so that all its pages are read one
// after the other. Layout: dbinc/db_page.h.
const (
	bdbHashMagic = 0x061561

	bdbPageHeader = 26
	bdbHash       = 13
	bdbUnsorted   = 2
	bdbOverflow   = 7

	bdbKeyData = 1
	bdbOffPage = 3
)

type bdb struct {
	d     database
	order binary.ByteOrder
	page  int
	last  uint32 // number of the last page
	left  int64  // bytes that may still be read: chains of a hostile database would go round for ever
}

// readBDB calls header for each value of the hash.
func readBDB(_ sysctl.Tree, _ string, d database, header func([]byte) error) error {
	meta, err := d.at(0, 512)
	if err != nil {
		return err
	}
	b := &bdb{d: d, order: binary.LittleEndian, left: 4*d.size + maxHeader}
	if b.order.Uint32(meta[12:]) != bdbHashMagic {
		b.order = binary.BigEndian
	}
	if b.order.Uint32(meta[12:]) != bdbHashMagic {
		return damaged("no Berkeley DB hash")
	}
	size := b.order.Uint32(meta[20:])
	if size < 512 || size > 64<<10 || size&(size-1) != 0 || meta[24] != 0 {
		return damaged("pages of %d bytes, encryption %d", size, meta[24])
	}
	b.page, b.last = int(size), uint32(d.size/int64(size))
	for n := uint32(1); n < b.last; n++ {
		page, err := b.read(n)
		if err != nil {
			return err
		}
		if kind := page[25]; kind != bdbHash && kind != bdbUnsorted {
			continue
		}
		if err := b.values(page, header); err != nil {
			return err
		}
	}
	return nil
}

func (b *bdb) read(n uint32) ([]byte, error) {
	if n >= b.last {
		return nil, damaged("page %d of %d", n, b.last)
	}
	if b.left -= int64(b.page); b.left < 0 {
		return nil, damaged("pages lead in circles")
	}
	return b.d.at(int64(n)*int64(b.page), b.page)
}

// values calls header for each value of a page of the hash: entries are pairs of key and value, the first one at the
// page's end.
func (b *bdb) values(page []byte, header func([]byte) error) error {
	entries := int(b.order.Uint16(page[20:]))
	if bdbPageHeader+2*entries > len(page) {
		return damaged("a page of %d entries", entries)
	}
	end := len(page)
	for i := range entries {
		at := int(b.order.Uint16(page[bdbPageHeader+2*i:]))
		if at < bdbPageHeader+2*entries || at >= end {
			return damaged("an entry at %d", at)
		}
		item := page[at:end]
		end = at
		if i%2 == 0 {
			continue // a key
		}
		var value []byte
		switch {
		case item[0] == bdbKeyData:
			value = item[1:]
		case item[0] == bdbOffPage && len(item) >= 12:
			var err error
			if value, err = b.chain(b.order.Uint32(item[4:]), b.order.Uint32(item[8:])); err != nil {
				return err
			}
		default:
			return damaged("an entry of type %d", item[0])
		}
		if len(value) < 16 {
			continue // how many packages there have been
		}
		if err := header(value); err != nil {
			return err
		}
	}
	return nil
}

// chain reads a value that lies on pages of its own.
func (b *bdb) chain(n, size uint32) ([]byte, error) {
	if size > maxHeader {
		return nil, damaged("a value of %d bytes", size)
	}
	var value []byte
	for n != 0 && len(value) < int(size) {
		page, err := b.read(n)
		if err != nil {
			return nil, err
		}
		used := int(b.order.Uint16(page[22:]))
		if page[25] != bdbOverflow || used > len(page)-bdbPageHeader {
			return nil, damaged("page %d is none of a value", n)
		}
		value = append(value, page[bdbPageHeader:][:used]...)
		n = b.order.Uint32(page[16:])
	}
	if len(value) < int(size) {
		return nil, damaged("a value of %d bytes ends at %d", size, len(value))
	}
	return value[:size], nil
}
