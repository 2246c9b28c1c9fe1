package vsyscall

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

// program is an ELF file that a test writes byte by byte.
type program struct {
	code     string // hexadecimal, at text, where the program begins
	data     string // behind it, in the same segment
	symbols  []symbol
	sections bool
}

type symbol struct {
	at, size uint64 // from the beginning of the code
	info     byte
}

const (
	base   = 0x400000
	codeAt = 0x1000
)

const (
	globalFunc   = 0x12
	localFunc    = 0x02
	globalNoType = 0x10
	localNoType  = 0x00
	globalObject = 0x11
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (p program) bytes(t testing.TB) []byte {
	t.Helper()
	code, data := unhex(t, p.code), unhex(t, p.data)
	var syms bytes.Buffer
	syms.Write(make([]byte, 24))
	for _, s := range p.symbols {
		binary.Write(&syms, le, struct {
			Name        uint32
			Info, Other byte
			Section     uint16
			Value, Size uint64
		}{0, s.info, 0, 1, base + codeAt + s.at, s.size})
	}
	names := "\x00.text\x00.rodata\x00.symtab\x00.shstrtab\x00"
	file := make([]byte, codeAt)
	file = append(file, code...)
	dataAt := len(file)
	file = append(file, data...)
	loaded := len(file)
	symsAt := len(file)
	file = append(file, syms.Bytes()...)
	namesAt := len(file)
	file = append(file, names...)
	headers := len(file)
	section := func(name string, kind uint32, flags, addr, off, size uint64, each uint64) {
		var b bytes.Buffer
		binary.Write(&b, le, struct {
			Name, Kind                uint32
			Flags, Addr, Offset, Size uint64
			Link, Info                uint32
			Align, Each               uint64
		}{uint32(strings.Index(names, name)), kind, flags, addr, off, size, 0, 0, 1, each})
		file = append(file, b.Bytes()...)
	}
	n := uint16(0)
	if p.sections {
		n = 5
		section("\x00", 0, 0, 0, 0, 0, 0)
		section(".text", 1, 6, base+codeAt, codeAt, uint64(len(code)), 0)
		section(".rodata", 1, 2, base+uint64(dataAt), uint64(dataAt), uint64(len(data)), 0)
		section(".symtab", 2, 0, 0, uint64(symsAt), uint64(syms.Len()), 24)
		section(".shstrtab", 3, 0, 0, uint64(namesAt), uint64(len(names)), 0)
	}
	copy(file, "\x7fELF\x02\x01\x01")
	var h bytes.Buffer
	binary.Write(&h, le, struct {
		Type, Machine                                                uint16
		Version                                                      uint32
		Entry, Segments, Sections                                    uint64
		Flags                                                        uint32
		Size, SegmentSize, SegmentNum, SectionSize, SectionNum, Name uint16
		Kind, Permissions                                            uint32
		Offset, Addr, Physical, FileSize, MemSize, Align             uint64
	}{2, 62, 1, base + codeAt, 64, uint64(headers), 0, 64, 56, 1, 64, n, 4,
		1, 5, 0, base, base, uint64(loaded), uint64(loaded), 0x1000})
	copy(file[16:], h.Bytes())
	return file
}

// find runs Find and returns the file as it is afterwards.
func find(t testing.TB, file []byte) (patched []byte, n int, unsure bool) {
	t.Helper()
	patches, unsure, err := Find(t.Context(), bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	patched = bytes.Clone(file)
	for _, p := range patches {
		if len(p.Old) != len(p.New) || !bytes.Equal(patched[p.Offset:p.Offset+int64(len(p.Old))], p.Old) {
			t.Fatalf("patch %+v is not of what is there", p)
		}
		copy(patched[p.Offset:], p.New)
	}
	return patched, len(patches), unsure
}

func TestFind(t *testing.T) {
	const call = "48c7c0000460ff ffd0" // time
	for name, c := range map[string]struct {
		program
		want   string // the code afterwards; "": as it was
		unsure bool
	}{
		"time":         {program{code: "4883ec08" + call + "4883c408 c3"}, "4883ec08 b8c9000000 0f05 9090 4883c408 c3", false},
		"gettimeofday": {program{code: "48c7c0000060ff ffd0 c3"}, "b860000000 0f05 9090 c3", false},
		"getcpu":       {program{code: "48c7c0000860ff ffd0 c3"}, "b835010000 0f05 9090 c3", false},
		"two calls":    {program{code: call + call + "c3"}, "b8c9000000 0f05 9090 b8c9000000 0f05 9090 c3", false},
		"a jump":       {program{code: "48c7c0000460ff ffe0"}, "b8c9000000 0f05 c390", false},
		"r11":          {program{code: "49c7c3000460ff 41ffd3 c3"}, "b8c9000000 0f05 909090 c3", false},
		"rdx":          {program{code: "48c7c2000060ff ffd2 c3"}, "b860000000 0f05 9090 c3", false},
		"eight bytes":  {program{code: "48b8000460ffffffffff ffd0 c3"}, "b8c9000000 0f05 9090909090 c3", false},
		"something in between": {program{code: "48c7c0000460ff 31ff 4889e6 ffd0 c3"},
			"b8c9000000 9090 31ff 4889e6 0f05 c3", false},

		// What another register than rax is for in between is not looked for.
		"in between, rdx":           {program{code: "48c7c2000460ff 31ff ffd2 c3"}, "", true},
		"in between, a jump":        {program{code: "48c7c0000460ff 31ff ffe0"}, "", true},
		"in between, stored":        {program{code: "48c7c0000460ff 48890424 ffd0 c3"}, "", true},
		"in between, another value": {program{code: "48c7c0000460ff 31c0 ffd0 c3"}, "", false},
		"kept for later":            {program{code: "48c7c3000460ff ffd3 ffd3 c3"}, "", true},
		"compared":                  {program{code: "48c7c0000460ff 4839c7 c3"}, "", false},
		"no function of the page":   {program{code: "48c7c0000c60ff ffd0 c3"}, "", false},

		"data behind the code":          {program{code: "c3" + call + "c3"}, "", true},
		"data with a label":             {program{code: "c3" + call + "c3", sections: true, symbols: []symbol{{1, 0, localNoType}}}, "", true},
		"an object among the code":      {program{code: "c3" + call + "c3", sections: true, symbols: []symbol{{1, 9, globalObject}}}, "", true},
		"a function":                    {program{code: "c3" + call + "c3", sections: true, symbols: []symbol{{1, 10, localFunc}}}, "c3 b8c9000000 0f05 9090 c3", false},
		"a function in assembler":       {program{code: "c3" + call + "c3", sections: true, symbols: []symbol{{1, 0, globalNoType}}}, "c3 b8c9000000 0f05 9090 c3", false},
		"data of the segment":           {program{code: "c3", data: call + "c3", sections: true}, "", false},
		"data of the segment, stripped": {program{code: "c3", data: call + "c3"}, "", true},
		"inside another instruction":    {program{code: "48b8 48c7c0000460ffff d0c0 c3"}, "", true},
		"only the mov is one":           {program{code: "48c7c0000460ff 48b8 ffd0 ffd0ffd0ffd0 c3"}, "", false},
		"another way to the call":       {program{code: "7407" + call + "c3"}, "", true},
		"another way to the mov":        {program{code: "7400" + call + "c3"}, "7400 b8c9000000 0f05 9090 c3", false},
		"reached by a call":             {program{code: "e801000000 c3" + call + "c3"}, "e801000000 c3 b8c9000000 0f05 9090 c3", false},
		"behind a table": {program{code: "ff24c500104000" + call + "c3", sections: true, symbols: []symbol{{0, 17, globalFunc}}},
			"ff24c500104000 b8c9000000 0f05 9090 c3", false},
		"behind a table, of no function": {program{code: "ff24c500104000" + call + "c3"}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			file := c.bytes(t)
			got, n, unsure := find(t, file)
			code := unhex(t, c.code)
			if c.want != "" {
				code = unhex(t, c.want)
			}
			want := bytes.Clone(file)
			copy(want[codeAt:], code)
			if !bytes.Equal(got, want) {
				t.Errorf("code %x\nwant %x", got[codeAt:codeAt+len(code)], code)
			}
			if (n > 0) != (c.want != "") || unsure != c.unsure {
				t.Errorf("%d patches, unsure %v", n, unsure)
			}
			if again, n, _ := find(t, got); n > 0 || !bytes.Equal(again, got) {
				t.Errorf("%d patches the second time", n)
			}
		})
	}
}

// Of what is no x86-64 program nothing is changed, whatever it holds.
func TestFindOtherFiles(t *testing.T) {
	good := program{code: "48c7c0000460ff ffd0 c3"}.bytes(t)
	for name, change := range map[string]func(b []byte) []byte{
		"text":           func(b []byte) []byte { return b[codeAt:] },
		"empty":          func([]byte) []byte { return nil },
		"short":          func(b []byte) []byte { return b[:63] },
		"32 bit":         func(b []byte) []byte { b[4] = 1; return b },
		"i386":           func(b []byte) []byte { b[18] = 3; return b },
		"object":         func(b []byte) []byte { b[16] = 1; return b },
		"core":           func(b []byte) []byte { b[16] = 4; return b },
		"no code":        func(b []byte) []byte { b[68] = 4; return b },
		"truncated":      func(b []byte) []byte { return b[:codeAt+5] },
		"nothing mapped": func(b []byte) []byte { binary.LittleEndian.PutUint16(b[56:], 0); return b },
	} {
		t.Run(name, func(t *testing.T) {
			if _, n, _ := find(t, change(bytes.Clone(good))); n > 0 {
				t.Errorf("%d patches", n)
			}
		})
	}
}

// sparse is a huge file of zeros with a beginning, which counts what is read of it.
type sparse struct {
	head []byte
	size int64
	read int64
}

func (s *sparse) ReadAt(b []byte, off int64) (int, error) {
	if off >= s.size {
		return 0, io.EOF
	}
	clear(b)
	if off < int64(len(s.head)) {
		copy(b, s.head[off:])
	}
	n := min(int64(len(b)), s.size-off)
	s.read += n
	if n < int64(len(b)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// What a file says of itself costs neither time nor memory beyond the limits.
func TestFindHuge(t *testing.T) {
	head := program{code: "48c7c0000460ff ffd0 c3", sections: true}.bytes(t)
	huge := uint64(1) << 45
	for name, change := range map[string]func(b []byte){
		"a segment of 32 TiB": func(b []byte) { le.PutUint64(b[96:], huge) },
		"65535 segments":      func(b []byte) { le.PutUint16(b[56:], 65535); le.PutUint64(b[32:], 1<<30) },
		"65535 sections":      func(b []byte) { le.PutUint16(b[60:], 65535); le.PutUint64(b[40:], 1<<30) },
		"sections of 32 TiB": func(b []byte) {
			for at := le.Uint64(b[40:]); at+64 <= uint64(len(b)); at += 64 {
				le.PutUint64(b[at+32:], huge)
			}
		},
		"offsets beyond everything": func(b []byte) { le.PutUint64(b[32:], 1<<63); le.PutUint64(b[40:], 1<<63+5) },
	} {
		t.Run(name, func(t *testing.T) {
			r := &sparse{head: bytes.Clone(head), size: 1 << 46}
			change(r.head)
			if _, _, err := Find(t.Context(), r, r.size); err != nil {
				t.Fatal(err)
			}
			if r.read > maxText+maxFollowed+maxTables {
				t.Errorf("%d bytes were read", r.read)
			}
		})
	}
}

// Most files have nothing to change, and their code is read once; of most others only the beginning is.
func TestFindReadsLittle(t *testing.T) {
	for name, c := range map[string]struct {
		head []byte
		most int64
	}{
		"program": {program{code: strings.Repeat("90", 100<<10) + "c3"}.bytes(t), 64 + 56 + codeAt + 100<<10 + 1},
		"text":    {[]byte("#!/bin/sh\n"), 64},
	} {
		r := &sparse{head: c.head, size: 1 << 20}
		if _, _, err := Find(t.Context(), r, r.size); err != nil || r.read > c.most {
			t.Errorf("%s: %d bytes of %d were read, %v", name, r.read, c.most, err)
		}
	}
}

// A hostile file is neither a panic nor a change of anything but what looks like the call.
func FuzzFind(f *testing.F) {
	seed := program{code: "7407 48c7c0000460ff ffd0 c3", data: "48c7c0000460ff ffd0", sections: true,
		symbols: []symbol{{2, 10, globalFunc}}}.bytes(f)
	f.Add(uint64(1), uint16(3))
	f.Fuzz(func(t *testing.T, from uint64, n uint16) {
		b := bytes.Clone(seed)
		r := rand.New(rand.NewPCG(from, uint64(n)))
		for range n % 64 {
			at := r.IntN(len(b))
			if r.IntN(2) == 0 {
				at = r.IntN(120)
			}
			b[at] = byte(r.Uint32())
		}
		b = b[:len(b)-r.IntN(2)*r.IntN(len(b))]
		patches, _, err := Find(t.Context(), bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range patches {
			if !bytes.Contains(p.Old, []byte{0x60, 0xff}) && len(p.Old) > 3 || len(p.Old) != len(p.New) {
				t.Errorf("%+v", p)
			}
		}
	})
}

var _ sysctl.Finder = Find
