package templates

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/sysctl-os/sysctl"
)

// maxWindow is the largest zstd window accepted, in bytes: the archive chooses how much memory its reader
// needs. The largest that zstd makes unasked is 128 MiB.
const maxWindow = 512 << 20

const (
	// slack is how many bytes an archive may unpack to besides content and headers: padding.
	slack = 64 << 20
	// headerSize is how many bytes of headers an entry may have on average.
	headerSize = 4096
	// blockSize is tar's unit. An archive ends in two blocks of zeros.
	blockSize = 512
)

// input is an archive being read: decompressed, counted, bounded.
type input struct {
	format string
	raw    *source
	data   io.Reader
	stop   func() // ends the decompressor

	meter   *meter
	entries int64 // headers of entries read so far
	size    int64 // decompressed so far
	tail    int64 // size at the last entry's end, or -1
	nonzero int64 // offset behind the last byte that is not zero
	over    error // a limit was hit
}

// openInput looks at the archive's first bytes and starts decompressing it. The caller closes it.
func openInput(ctx context.Context, r io.Reader, m *meter, p sysctl.Progress) (*input, error) {
	raw := newSource(ctx, r, p)
	buffered := bufio.NewReaderSize(raw, 64<<10)
	head, _ := buffered.Peek(zstd.HeaderMaxSize) // of what is shorter, all
	in := &input{raw: raw, meter: m, tail: -1, stop: func() {}}
	if _, err := raw.state(); err != nil {
		return nil, err
	}
	if len(head) == 0 {
		return nil, sysctl.E(sysctl.Invalid, "the archive is empty")
	}
	if what := foreign(head); what != "" {
		return nil, sysctl.E(sysctl.Invalid, "this is %s: wanted is tar, plain or compressed by gz, xz, zst or bz2", what)
	}
	if err := in.decompress(ctx, head, buffered); err != nil {
		return nil, in.damaged(err)
	}
	return in, nil
}

// decompress chooses the decompressor.
func (in *input) decompress(ctx context.Context, head []byte, r io.Reader) (err error) {
	starts := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case starts("\x1f\x8b"):
		in.format = "tar.gz"
		var z *gzip.Reader
		if z, err = gzip.NewReader(r); err == nil {
			in.data, in.stop = readAhead(z)
		}
	case starts("\xfd7zXZ\x00"):
		in.format = "tar.xz"
		in.data, in.stop, err = xzReader(ctx, r)
	case starts("\x28\xb5\x2f\xfd"):
		in.format = "tar.zst"
		in.data, in.stop, err = zstdReader(ctx, head, r)
	case starts("BZh"):
		in.format = "tar.bz2"
		in.data, in.stop = readAhead(bzip2.NewReader(r))
	default:
		in.format, in.data = "tar", r
	}
	return err
}

// foreign names what the file is that begins with head, where people take it for an archive of a root filesystem
// and it is none.
func foreign(head []byte) string {
	for magic, what := range map[string]string{
		"PK\x03\x04": "a zip file", "hsqs": "a squashfs image", "QFI\xfb": "a qcow2 disk image",
		"7z\xbc\xaf\x27\x1c": "a 7z file", "\x04\x22\x4d\x18": "compressed by lz4", "LZIP": "compressed by lzip",
		"\x89LZO": "compressed by lzop", "\x7fELF": "a program", "070701": "a cpio archive", "!<arch>": "a package",
	} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return what
		}
	}
	return ""
}

// Read implements io.Reader: decompressed bytes, up to the limits.
func (in *input) Read(p []byte) (int, error) {
	if in.over != nil {
		return 0, in.over
	}
	n, err := in.data.Read(p)
	for used := n; used > 0; used-- { // mostly the last is not
		if p[used-1] != 0 {
			in.nonzero = in.size + int64(used)
			break
		}
	}
	in.size += int64(n)
	switch m := in.meter; {
	case in.tail >= 0 && in.size-in.tail > slack:
		in.over = sysctl.E(sysctl.Invalid, "more than %s follow the archive's last entry", bytesFor(slack))
	case in.size-slack-headerSize*in.entries > m.maxSize:
		in.over = m.tooLarge()
	}
	if in.over != nil {
		return 0, in.over
	}
	return n, err
}

// drain reads what follows the last entry: padding, and checksums that vouch for all before it.
func (in *input) drain() error {
	in.tail = in.size
	if _, err := io.Copy(io.Discard, in); err != nil {
		return in.damaged(err)
	}
	if in.size-in.nonzero < blockSize {
		return in.damaged(io.ErrUnexpectedEOF)
	}
	return nil
}

// damaged says in one sentence that the archive cannot be read on. What hit a limit or the source itself is
// passed on.
func (in *input) damaged(err error) error {
	read, cause := in.raw.state()
	switch {
	case cause != nil:
		return cause
	case in.over != nil:
		return in.over
	}
	what := "damaged"
	if errors.Is(err, io.ErrUnexpectedEOF) {
		what = "truncated"
	}
	return sysctl.E(sysctl.Invalid, "the %s archive is %s (%s read): %v", in.format, what, bytesFor(read), err).
		WithHint("get the file again and compare its checksum")
}
