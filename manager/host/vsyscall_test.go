package host

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
	"github.com/sysctl-os/sysctl/storage"
	"github.com/sysctl-os/sysctl/templates/vsyscall"
)

// tinyProgram is an ELF file of a header, one segment and code.
func tinyProgram(code string) []byte {
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	size := uint64(64 + 56 + len(code))
	for _, v := range []any{uint16(2), uint16(62), uint32(1), uint64(0x400078), uint64(64), uint64(0), uint32(0),
		uint16(64), uint16(56), uint16(1), uint16(64), uint16(0), uint16(0),
		uint32(1), uint32(5), uint64(0), uint64(0x400000), uint64(0x400000), size, size, uint64(0x1000)} {
		binary.Write(&b, binary.LittleEndian, v)
	}
	b.WriteString(code)
	return b.Bytes()
}

// Each of thousands of programs is read once, and those that call the page are copied, whole but for the call.
func TestThousandsOfPrograms(t *testing.T) {
	needs.Root(t)
	s := storage.New(t.TempDir())
	st, err := s.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const call = "\x48\xc7\xc0\x00\x04\x60\xff\xff\xd0\xc3"
	plain, calls := tinyProgram("\x90\x90\xc3"), tinyProgram(call)
	const n = 4000
	for i := range n {
		dir := filepath.Join(st.Dir(), "usr/lib", fmt.Sprint(i%50))
		data := plain
		if i%1000 == 7 {
			data = calls
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("p%d", i)), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	layer, err := st.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	asked, bytesRead := 0, 0
	copies, found, err := s.StagePatched(t.Context(), []string{layer.ID}, func(ctx context.Context, r io.ReaderAt, size int64) ([]sysctl.Patch, bool, error) {
		asked++
		c := &counted{ReaderAt: r}
		defer func() { bytesRead += c.n }()
		return vsyscall.Find(ctx, c, size)
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer copies.Abort()
	if asked != n || bytesRead > n*300 || len(found.Files) != n/1000 || len(found.Unsure) != 0 {
		t.Errorf("read %d files, %d bytes; found %d, unsure of %q", asked, bytesRead, len(found.Files), found.Unsure)
	}
	for name := range found.Files {
		got, err := os.ReadFile(filepath.Join(copies.Dir(), name))
		if want := tinyProgram("\xb8\xc9\x00\x00\x00\x0f\x05\x90\x90\xc3"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x %v", name, got, err)
		}
	}
}

// counted counts what is read.
type counted struct {
	io.ReaderAt
	n int
}

func (c *counted) ReadAt(b []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(b, off)
	c.n += n
	return n, err
}
