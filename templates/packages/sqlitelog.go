package packages

import (
	"encoding/binary"
	"errors"
	"io/fs"

	"github.com/sysctl-os/sysctl"
)

// maxLog is the largest log that is read: SQLite empties it at 4 MiB.
const maxLog = 64 << 20

// readLog notes the pages that are newer in the write-ahead log than in the database: those of its transactions that
// are whole. What is behind the last of them was never promised.
func (s *sqlite) readLog(t sysctl.Tree, name string) error {
	info, err := t.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	d, done, err := openDatabase(t, name)
	if err != nil {
		return err
	}
	defer done()
	if d.size > maxLog {
		return damaged("it is larger than %d MiB", maxLog>>20)
	}
	b, err := d.at(0, int(d.size))
	if err != nil {
		return err
	}
	if len(b) < 32 || int(binary.BigEndian.Uint32(b[8:])) != s.page {
		return nil
	}
	var order binary.ByteOrder = binary.LittleEndian // of the sums
	switch binary.BigEndian.Uint32(b) {
	case 0x377f0682:
	case 0x377f0683:
		order = binary.BigEndian
	default:
		return nil
	}
	sum := logSum{order: order}
	sum.add(b[:24])
	if !sum.is(b[24:]) {
		return nil
	}
	salt := string(b[16:24])
	s.wal = map[uint32][]byte{}
	pending := map[uint32][]byte{}
	for b = b[32:]; len(b) >= 24+s.page; b = b[24+s.page:] {
		frame, page := b[:24], b[24:24+s.page]
		if string(frame[8:16]) != salt {
			break // of an earlier round
		}
		sum.add(frame[:8])
		sum.add(page)
		if !sum.is(frame[16:]) {
			break
		}
		pending[binary.BigEndian.Uint32(frame)] = page
		if binary.BigEndian.Uint32(frame[4:]) != 0 { // the end of a transaction
			for n, p := range pending {
				s.wal[n] = p
			}
			clear(pending)
		}
	}
	return nil
}

// logSum is the running sum over a log.
type logSum struct {
	order binary.ByteOrder
	a, b  uint32
}

func (s *logSum) add(data []byte) {
	for ; len(data) >= 8; data = data[8:] {
		s.a += s.order.Uint32(data) + s.b
		s.b += s.order.Uint32(data[4:]) + s.a
	}
}

func (s *logSum) is(b []byte) bool {
	return s.a == binary.BigEndian.Uint32(b) && s.b == binary.BigEndian.Uint32(b[4:])
}
