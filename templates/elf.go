package templates

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
)

// elfMachine returns the word size and architecture in Debian's names that an ELF file's header states, or
// zeros. The rest of the file is not looked at: debug/elf makes no promise about hostile files.
func elfMachine(data []byte) (bits int, arch string) {
	if len(data) < 20 || !bytes.HasPrefix(data, []byte("\x7fELF")) {
		return 0, ""
	}
	var order binary.ByteOrder = binary.LittleEndian
	big := data[5] == 2
	if big {
		order = binary.BigEndian
	}
	switch data[4] {
	case 1:
		bits = 32
	case 2:
		bits = 64
	default:
		return 0, ""
	}
	machine := order.Uint16(data[18:])
	switch {
	case machine == 3:
		arch = "i386"
	case machine == 62 && bits == 64:
		arch = "amd64"
	case machine == 62:
		arch = "x32"
	case machine == 40:
		arch = "armhf"
	case machine == 183:
		arch = "arm64"
	case machine == 243:
		arch = fmt.Sprintf("riscv%d", bits)
	case machine == 21 && big:
		arch = "ppc64"
	case machine == 21:
		arch = "ppc64el"
	case machine == 22 && bits == 64:
		arch = "s390x"
	case machine == 258:
		arch = "loong64"
	default:
		arch = fmt.Sprintf("machine-%d", machine)
	}
	return bits, arch
}

// kernelNote returns the oldest kernel that a library's note .note.ABI-tag says it runs on ("2.6.32"), or "". The note
// stands before the code.
func kernelNote(data []byte) string {
	if bits, _ := elfMachine(data); bits == 0 {
		return ""
	}
	var order interface {
		binary.ByteOrder
		binary.AppendByteOrder
	} = binary.LittleEndian
	if data[5] == 2 {
		order = binary.BigEndian
	}
	// Sizes of name and content, the type ABI tag, the name; then the content: the system Linux and three numbers.
	var note []byte
	for _, n := range []uint32{4, 16, 1} {
		note = order.AppendUint32(note, n)
	}
	note = append(note, "GNU\x00\x00\x00\x00\x00"...)
	at := bytes.Index(data, note)
	if at < 0 || len(data) < at+len(note)+12 {
		return ""
	}
	n := data[at+len(note):]
	return fmt.Sprintf("%d.%d.%d", order.Uint32(n), order.Uint32(n[4:]), order.Uint32(n[8:]))
}

// interpreter returns the dynamic loader an ELF file asks for, or "". The string stands near the
// beginning, before the code.
func interpreter(data []byte) string {
	m := regexp.MustCompile(`(/[\w./-]*/ld[\w.+-]*\.so[\w.]*)\x00`).FindSubmatch(data[:min(len(data), 64<<10)])
	if m == nil {
		return ""
	}
	return string(m[1])
}

// find returns the first group of the first match of any pattern in data, or "".
func find(data []byte, patterns ...string) string {
	for _, p := range patterns {
		if m := regexp.MustCompile(p).FindSubmatch(data); m != nil {
			return string(m[1])
		}
	}
	return ""
}
