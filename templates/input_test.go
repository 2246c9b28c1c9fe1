package templates

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
)

func pipeThrough(t testing.TB, data []byte, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(needs.Program(t, program), args...)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func xzLibrary(t testing.TB, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := xz.NewWriter(&buf)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zst(t testing.TB, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(data, nil)
}

// noise is content that compresses badly, so that there is something to damage.
func noise(n int) []byte {
	out, x := make([]byte, n), uint32(1)
	for i := range out {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		out[i] = byte(x)
	}
	return out
}

func TestUnpackFormats(t *testing.T) {
	var noisy bytes.Buffer
	w := tar.NewWriter(&noisy)
	if err := w.WriteHeader(item(tar.TypeReg, "etc/noise", func(h *tar.Header) { h.Size = 8192 })); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(noise(8192)); err != nil {
		t.Fatal(err)
	}
	plain := append(noisy.Bytes(), archive(t, system()...)...)
	for _, c := range []struct {
		format  string
		pack    func(t *testing.T) []byte
		library bool // hide the programs
	}{
		{"tar", func(*testing.T) []byte { return plain }, false},
		{"tar.gz", func(t *testing.T) []byte { return gz(t, bytes.NewReader(plain)) }, false},
		{"tar.xz", func(t *testing.T) []byte { needs.Program(t, "xz"); return xzLibrary(t, plain) }, false},
		{"tar.xz", func(t *testing.T) []byte { return xzLibrary(t, plain) }, true},
		{"tar.zst", func(t *testing.T) []byte { needs.Program(t, "zstd"); return zst(t, plain) }, false},
		{"tar.zst", func(t *testing.T) []byte { return zst(t, plain) }, true},
		{"tar.bz2", func(t *testing.T) []byte { return pipeThrough(t, plain, "bzip2", "-c") }, false},
	} {
		name := c.format
		if c.library {
			name += " by the library"
		}
		t.Run(name, func(t *testing.T) {
			data := c.pack(t)
			if c.library {
				t.Setenv("PATH", t.TempDir())
			}
			dir, _ := emptyDir(t)
			st, err := unpack(t, data, dir, UnpackOptions{})
			if err != nil || st.Format != c.format {
				t.Fatalf("whole: %q %v", st.Format, err)
			}
			if _, err := os.Stat(dir + "/bin/sh"); err != nil {
				t.Fatal(err)
			}
			for _, cut := range []int{len(data) / 3, len(data) / 2, len(data) - 5} {
				if c.format == "tar" {
					cut = cut / 512 * 512 // where only the missing end can be noticed
					cut = min(cut, len(data)-1024)
				}
				dir, _ := emptyDir(t)
				_, err := unpack(t, data[:cut], dir, UnpackOptions{})
				wantDamage(t, err, c.format)
				if !strings.Contains(err.Error(), "truncated") {
					t.Errorf("cut after %d of %d: %v", cut, len(data), err)
				}
			}
			broken := bytes.Clone(data)
			at := len(broken) / 2
			if c.format == "tar" {
				at = 100 // a header: content has no checksum
			}
			broken[at] ^= 0x55
			dir, _ = emptyDir(t)
			_, err = unpack(t, broken, dir, UnpackOptions{})
			wantDamage(t, err, c.format)
		})
	}
}

func wantDamage(t *testing.T, err error, format string) {
	t.Helper()
	if sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), "the "+format+" archive is ") || strings.Contains(err.Error(), "\n") || sysctl.HintOf(err) == "" {
		t.Errorf("want one sentence about a damaged %s archive with a hint, got: %v", format, err)
	}
}

func TestUnpackWhatIsNoTar(t *testing.T) {
	for data, want := range map[string]string{
		"": "the archive is empty", "hsqs....": "a squashfs image", "PK\x03\x04....": "a zip file",
		"\x04\x22\x4d\x18....":                 "compressed by lz4",
		strings.Repeat("hello world\n", 99):    "the tar archive is damaged",
		"\x1f\x8bshort":                        "the tar.gz archive is ",
		"\x1f\x8b\x08\x00\x00\x00\x00\x00":     "the tar.gz archive is truncated",
		"\x28\xb5\x2f\xfd\x00\xa0\x01\x00\x00": "the tar.zst archive is damaged", // it wants a window of 1 GiB
	} {
		dir, _ := emptyDir(t)
		_, err := unpack(t, []byte(data), dir, UnpackOptions{})
		if sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want %s", data, err, want)
		}
	}
}

func TestUnpackProgress(t *testing.T) {
	data := gz(t, bytes.NewReader(archive(t, system()...)))
	at := t.TempDir() + "/rootfs.tar.gz"
	if err := os.WriteFile(at, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var done, total int64
	dir, _ := emptyDir(t)
	if _, err := Unpack(t.Context(), io.Reader(f), dir, UnpackOptions{Progress: func(_ string, d, n int64) { done, total = d, n }}); err != nil {
		t.Fatal(err)
	}
	if done != int64(len(data)) || total != done {
		t.Errorf("progress ended at %d of %d, the file has %d", done, total, len(data))
	}
}
