package packages

import (
	"encoding/binary"

	"github.com/sysctl-os/sysctl"
)

// SQLite, as rpm uses it since 2020: a table Packages whose second column is the record. The B-tree is read here and not by
// SQLite, which would want to write beside a file of the guest's (the log's index) and follow its links. Format:
// https://www.sqlite.org/fileformat2.html.
type sqlite struct {
	d     database
	wal   map[uint32][]byte // newer pages, out of the log
	page  int               // bytes of a page
	used  int               // of them, those not reserved
	count uint32            // pages
	left  int               // pages that may still be read: a hostile tree would go round for ever
}

const (
	sqliteMagic    = "SQLite format 3\x00"
	sqliteLeaf     = 13
	sqliteInterior = 5
	sqliteDepth    = 20
)

// readSQLite calls header for each row of the table Packages.
func readSQLite(t sysctl.Tree, name string, d database, header func([]byte) error) error {
	head, err := d.at(0, 100)
	if err != nil {
		return err
	}
	if string(head[:16]) != sqliteMagic {
		return damaged("no SQLite database")
	}
	s := &sqlite{d: d, page: int(binary.BigEndian.Uint16(head[16:]))}
	if s.page == 1 {
		s.page = 64 << 10
	}
	s.used = s.page - int(head[20])
	if s.page < 512 || s.page&(s.page-1) != 0 || s.used < 480 {
		return damaged("pages of %d bytes, %d reserved", s.page, head[20])
	}
	s.count = uint32(d.size / int64(s.page))
	if err := s.readLog(t, name+"-wal"); err != nil {
		return sysctl.Wrap(err, "its log")
	}
	s.left = 4*(int(s.count)+len(s.wal)) + 1024
	root := uint32(0)
	err = s.rows(1, 0, func(row [][]byte) error {
		if len(row) >= 4 && string(row[0]) == "table" && string(row[1]) == "Packages" {
			root = number(row[3])
		}
		return nil
	})
	if err != nil {
		return err
	}
	if root == 0 {
		return damaged("it has no table Packages")
	}
	return s.rows(root, 0, func(row [][]byte) error {
		if len(row) < 2 {
			return damaged("a row of %d columns", len(row))
		}
		return header(row[1])
	})
}

// number reads an integer's column.
func number(b []byte) (n uint32) {
	for _, c := range b {
		n = n<<8 | uint32(c)
	}
	return n
}

func (s *sqlite) read(n uint32) ([]byte, error) {
	if s.left--; s.left < 0 {
		return nil, damaged("pages lead in circles")
	}
	if page, ok := s.wal[n]; ok {
		return page, nil
	}
	if n == 0 || n > s.count {
		return nil, damaged("page %d of %d", n, s.count)
	}
	return s.d.at(int64(n-1)*int64(s.page), s.page)
}

// rows calls row for the rows of the table whose tree has page n.
func (s *sqlite) rows(n uint32, depth int, row func([][]byte) error) error {
	page, err := s.read(n)
	if err != nil {
		return err
	}
	head := page
	if n == 1 {
		head = page[100:]
	}
	kind, cells := head[0], int(binary.BigEndian.Uint16(head[3:]))
	pointers := 8
	if kind == sqliteInterior {
		pointers = 12
	}
	if kind != sqliteInterior && kind != sqliteLeaf || depth > sqliteDepth || pointers+2*cells > len(head) {
		return damaged("page %d of type %d with %d cells", n, kind, cells)
	}
	for i := range cells {
		at := int(binary.BigEndian.Uint16(head[pointers+2*i:]))
		if at >= s.used {
			return damaged("a cell at %d of page %d", at, n)
		}
		cell := page[at:s.used]
		if kind == sqliteLeaf {
			err = s.leaf(cell, row)
		} else if len(cell) < 4 {
			err = damaged("a cell at %d of page %d", at, n)
		} else {
			err = s.rows(binary.BigEndian.Uint32(cell), depth+1, row)
		}
		if err != nil {
			return err
		}
	}
	if kind == sqliteInterior {
		return s.rows(binary.BigEndian.Uint32(head[8:]), depth+1, row)
	}
	return nil
}

// leaf reads the row of a cell: its size, its number, and as much of it as has room; the rest is on pages of its own.
func (s *sqlite) leaf(cell []byte, row func([][]byte) error) error {
	size, cell := varint(cell)
	_, cell = varint(cell)
	if size > maxHeader+1024 {
		return damaged("a row of %d bytes", size)
	}
	local := int(size)
	if most := s.used - 35; local > most {
		least := (s.used-12)*32/255 - 23
		if local = least + (int(size)-least)%(s.used-4); local > most {
			local = least
		}
	}
	if local > len(cell) {
		return damaged("a row of %d bytes", size)
	}
	payload := append([]byte(nil), cell[:local]...)
	if int(size) > local {
		if len(cell) < local+4 {
			return damaged("a row of %d bytes", size)
		}
		next := binary.BigEndian.Uint32(cell[local:])
		for len(payload) < int(size) {
			page, err := s.read(next)
			if err != nil {
				return err
			}
			next = binary.BigEndian.Uint32(page)
			payload = append(payload, page[4:min(s.used, 4+int(size)-len(payload))]...)
		}
	}
	columns, err := record(payload)
	if err != nil {
		return err
	}
	return row(columns)
}

// record splits a row into the bytes of its columns.
func record(b []byte) ([][]byte, error) {
	size, types := varint(b)
	if size > uint64(len(b)) || int(size) < len(b)-len(types) {
		return nil, damaged("the head of a row of %d bytes", size)
	}
	types = types[:int(size)-(len(b)-len(types))]
	data := b[size:]
	var columns [][]byte
	for len(types) > 0 {
		var kind uint64
		kind, types = varint(types)
		n := uint64(0)
		switch {
		case kind >= 12:
			n = (kind - 12) / 2
		case kind < 5:
			n = kind
		case kind == 5:
			n = 6
		case kind == 6 || kind == 7:
			n = 8
		}
		if n > uint64(len(data)) {
			return nil, damaged("a column of %d bytes", n)
		}
		columns, data = append(columns, data[:n]), data[n:]
	}
	return columns, nil
}

// varint reads a number of up to nine bytes, seven bits in each but the last. Of nothing it is 0.
func varint(b []byte) (n uint64, rest []byte) {
	for i, c := range b {
		if i == 8 {
			return n<<8 | uint64(c), b[i+1:]
		}
		n = n<<7 | uint64(c&0x7f)
		if c < 0x80 {
			return n, b[i+1:]
		}
	}
	return n, nil
}
