package templates

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// ArchiveSink takes what an archive has, in its order: the index, then for each layer Layer and, where that was unpacked, Done.
type ArchiveSink struct {
	Index func(data []byte) error
	// Layer says where the layer of a number is unpacked to, an existing empty directory that nobody else can enter, and
	// how much it may be; "": it is passed over.
	Layer func(number int) (dir string, size, entries int64, err error)
	Done  func(number int) error
}

// ReadArchive reads an archive that WriteArchive wrote, compressed as it may be. The archive is hostile: nothing is written outside
// a layer's directory, or more than Layer allows; device nodes other than overlay's whiteouts are refused. What a layer is
// must be checked in Done: it may be anything. Kinds: Invalid (no such archive, damaged, more than allowed), NoSpace,
// Unsupported (an attribute that the filesystem does not take), Canceled, what r gives and what s returns.
func ReadArchive(ctx context.Context, r io.Reader, s ArchiveSink, p sysctl.Progress) error {
	in, err := openInput(ctx, r, newMeter(math.MaxInt64/2, math.MaxInt64/2), p)
	if err != nil {
		return classify(ctx, err, "read the archive", "")
	}
	a := archiveReader{in: in, sink: s}
	err = a.all(ctx)
	a.drop()
	in.stop()
	return classify(ctx, err, "read the archive", "")
}

// archiveReader is one archive being read.
type archiveReader struct {
	in     *input
	sink   ArchiveSink
	number int       // of the layer at hand; 0: none yet
	layer  *unpacker // nil: it is passed over
}

func (a *archiveReader) all(ctx context.Context) error {
	tr := tar.NewReader(a.in)
	for first := true; ; first = false {
		h, err := tr.Next()
		switch {
		case err == io.EOF && !first:
			if err := a.finish(ctx); err != nil {
				return err
			}
			return a.in.drain()
		case err == io.EOF:
			return noArchive()
		case err != nil && !errors.Is(err, tar.ErrInsecurePath):
			return a.in.damaged(err)
		}
		a.in.entries++
		switch {
		case first:
			err = a.index(h, tr)
		default:
			err = sysctl.Wrap(a.entry(ctx, h, tr), "entry %.200q", h.Name)
		}
		var bad inputError
		if errors.As(err, &bad) {
			err = a.in.damaged(bad.err)
		}
		if err != nil {
			return err
		}
	}
}

func noArchive() error {
	return sysctl.E(sysctl.Invalid, "this is no archive of an instance: there is no %s at its beginning", archiveIndex).
		WithHint("of a root filesystem: sysctl image import FILE --alias NAME")
}

func (a *archiveReader) index(h *tar.Header, content io.Reader) error {
	if h.Name != archiveIndex || h.Typeflag != tar.TypeReg {
		return noArchive()
	}
	if h.Size > maxArchiveIndex {
		return sysctl.E(sysctl.Invalid, "%s is larger than %s", archiveIndex, bytesFor(maxArchiveIndex))
	}
	data, err := io.ReadAll(content)
	if err != nil {
		return inputError{err}
	}
	return a.sink.Index(data)
}

// entry makes one entry of a layer.
func (a *archiveReader) entry(ctx context.Context, h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	number, name, err := layerName(h.Name)
	if err != nil {
		return err
	}
	if number != a.number {
		if err := a.next(ctx, number); err != nil {
			return err
		}
	}
	u := a.layer
	if u == nil {
		return nil
	}
	if err := u.top.entry(); err != nil {
		return err
	}
	at, err := u.attrs(h)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeChar, tar.TypeBlock:
		if h.Typeflag != tar.TypeChar || h.Devmajor != 0 || h.Devminor != 0 {
			return sysctl.E(sysctl.Invalid, "a device node has no place in an archive")
		}
		return u.refused(u.top.whiteout(name))
	case tar.TypeLink:
		var of int
		if of, h.Linkname, err = layerName(h.Linkname); err == nil && of != number {
			err = sysctl.E(sysctl.Invalid, "hard link into another layer")
		}
		if err != nil {
			return err
		}
	}
	if name == "." && h.Typeflag != tar.TypeDir {
		return sysctl.E(sysctl.Invalid, "the root of the tree is not a directory")
	}
	return u.refused(u.put(ctx, u.top, name, h, at, u.top.feed(content)))
}

// layerName takes a name in the archive apart.
func layerName(full string) (number int, name string, err error) {
	clean, err := cleanName(full)
	if err != nil {
		return 0, "", err
	}
	rest, ok := strings.CutPrefix(clean, archiveLayers)
	digits, name, below := strings.Cut(rest, "/")
	n, err := strconv.ParseUint(digits, 10, 31)
	if !ok || err != nil || n == 0 {
		return 0, "", sysctl.E(sysctl.Invalid, "there is only %sNUMBER/ in an archive", archiveLayers)
	}
	if !below {
		name = "."
	}
	return int(n), name, nil
}

// next finishes the layer at hand and begins another.
func (a *archiveReader) next(ctx context.Context, number int) error {
	if number < a.number {
		return sysctl.E(sysctl.Invalid, "layer %d comes after layer %d", number, a.number)
	}
	if err := a.finish(ctx); err != nil {
		return err
	}
	a.number = number
	dir, size, entries, err := a.sink.Layer(number)
	if err != nil || dir == "" {
		return err
	}
	root, err := openEmpty(dir)
	if err != nil {
		return err
	}
	a.layer = &unpacker{in: a.in, top: newSink(root, newMeter(max(size, 1), max(entries, 1))), exact: true}
	a.layer.top.exact = true
	return nil
}

// finish ends the layer at hand.
func (a *archiveReader) finish(ctx context.Context) error {
	if a.layer == nil {
		return nil
	}
	err := a.layer.top.finish(ctx)
	for _, what := range sortedNames(a.layer.top.Skipped) {
		if err == nil {
			err = sysctl.E(sysctl.Unsupported, "layer %d: there is no way to keep all of it: %s", a.number, what)
		}
	}
	a.drop()
	if err != nil {
		return err
	}
	return a.sink.Done(a.number)
}

func (a *archiveReader) drop() {
	if a.layer != nil {
		a.layer.close()
		a.layer = nil
	}
}

// whiteout makes overlay's word for "what is below by this name is not there".
func (s *sink) whiteout(name string) error {
	dir, base, err := s.parent(name)
	if err != nil {
		return err
	}
	return s.make(dir, base, func() error { return unix.Mknodat(dir, base, unix.S_IFCHR, 0) })
}
