package vsyscall

// How .eh_frame writes an address (DW_EH_PE_*, Linux Standard Base, "DWARF Extensions").
const (
	absolute  = 0x00
	relative  = 0x10 // to where it is written
	unsigned4 = 0x03
	unsigned8 = 0x04
	signed4   = 0x0b
	signed8   = 0x0c
)

// frames adds the functions that .eh_frame, mapped at addr, has records of. It stops at what it does not understand.
func frames(all []function, b []byte, addr uint64) []function {
	encodings := map[int]int{} // of the common records, by where they are
	for at := 0; at+8 <= len(b) && len(all) < maxFunctions; {
		length, body := uint64(le.Uint32(b[at:])), at+4
		if length == 0xffffffff && body+8 <= len(b) {
			length, body = le.Uint64(b[body:]), body+8
		}
		if length < 4 || length > uint64(len(b)-body) {
			break // the end, or nonsense
		}
		end := body + int(length)
		if back := int(le.Uint32(b[body:])); back == 0 {
			encodings[at] = encoding(b[body+4 : end])
		} else if enc, ok := encodings[body-back]; ok {
			start, rest, ok := address(b[body+4:end], addr+uint64(body)+4, enc)
			size, _, sized := address(rest, 0, enc&^relative)
			if ok && sized {
				all = append(all, function{start: start, end: start + size})
			}
		}
		at = end
	}
	return all
}

// encoding returns how the records that refer to a common one write addresses; -1: unknown.
func encoding(cie []byte) int {
	if len(cie) < 1 {
		return -1
	}
	version, cie := cie[0], cie[1:]
	augmentation, cie := text0(cie)
	if augmentation == "" {
		return absolute
	}
	if augmentation[0] != 'z' {
		return -1
	}
	cie = skipLEB(skipLEB(cie)) // alignment of code and of data
	if version == 1 && len(cie) > 0 {
		cie = cie[1:] // return address
	} else {
		cie = skipLEB(cie)
	}
	cie = skipLEB(cie) // length of what follows
	for _, c := range augmentation[1:] {
		if len(cie) == 0 {
			return -1
		}
		switch c {
		case 'R':
			return int(cie[0])
		case 'L':
			cie = cie[1:]
		case 'P':
			_, rest, ok := address(cie[1:], 0, int(cie[0])&0x0f)
			if !ok {
				return -1
			}
			cie = rest
		case 'S', 'B':
		default:
			return -1
		}
	}
	return absolute
}

// address reads an address that is written at an address.
func address(b []byte, at uint64, enc int) (addr uint64, rest []byte, ok bool) {
	if enc&relative == 0 || enc < 0 {
		at = 0
	}
	switch enc &^ relative {
	case absolute, unsigned8, signed8:
		if len(b) >= 8 {
			return at + le.Uint64(b), b[8:], true
		}
	case unsigned4:
		if len(b) >= 4 {
			return at + uint64(le.Uint32(b)), b[4:], true
		}
	case signed4:
		if len(b) >= 4 {
			return at + uint64(int64(int32(le.Uint32(b)))), b[4:], true
		}
	}
	return 0, nil, false
}

// text0 cuts off a string that ends with a zero.
func text0(b []byte) (string, []byte) {
	for i, c := range b {
		if c == 0 {
			return string(b[:i]), b[i+1:]
		}
	}
	return "", nil
}

// skipLEB cuts off a number in LEB128.
func skipLEB(b []byte) []byte {
	for i, c := range b {
		if c < 0x80 {
			return b[i+1:]
		}
	}
	return nil
}
