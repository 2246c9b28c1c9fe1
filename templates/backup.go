package templates

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/sysctl-os/sysctl"
)

// An archive of an instance (doc/archive.md) is a tar stream: its index, which belongs to who writes and reads it, and
// one directory for each layer with its tree, exactly as it is on disk.
const (
	archiveIndex    = "sysctl.json"
	archiveLayers   = "layers/" // layers/N/…, N from 1
	maxArchiveIndex = 64 << 20
)

// ArchiveFormats are the ways to compress an archive, the usual one first.
func ArchiveFormats() []string { return []string{"zstd", "gzip", "none"} }

// ArchiveLayer is one layer that is written into an archive.
type ArchiveLayer struct {
	Number int
	Dir    string // host path of its tree, which nobody changes
}

// WriteArchive writes an archive: the index and the layers, in order, compressed as ArchiveFormats says. total is the bytes of
// files to come, for progress. It returns how many sockets and device nodes, which no archive has, it has left out. Kinds:
// Invalid (the format), Canceled, and what w gives.
func WriteArchive(ctx context.Context, w io.Writer, format string, index []byte, layers []ArchiveLayer, total int64, p sysctl.Progress) (left int64, err error) {
	c, err := compressor(w, format)
	if err != nil {
		return 0, err
	}
	a := newArchiveWriter(c, total, p)
	err = a.index(index)
	for _, l := range layers {
		if err == nil {
			err = a.layer(ctx, l)
		}
	}
	if err == nil {
		err = a.tar.Close()
	}
	if cerr := c.Close(); err == nil { // also after an error: it has goroutines
		err = cerr
	}
	return a.left, classify(ctx, err, "write the archive", "")
}

// compressor wraps w. Closing it does not close w.
func compressor(w io.Writer, format string) (io.WriteCloser, error) {
	switch format {
	case "", "zstd":
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(2), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(true))
	case "gzip":
		return gzip.NewWriterLevel(w, gzip.BestSpeed)
	case "none":
		return nopCloser{w}, nil
	}
	return nil, sysctl.E(sysctl.Invalid, "%q is no way to compress: write %s", format, strings.Join(ArchiveFormats(), ", "))
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// layerXattr reports whether an extended attribute is part of a layer. What overlay says of layers below in trusted.* is; what
// it says of the very upper is not.
func layerXattr(name string) bool {
	return keepXattr(name) || slices.Contains([]string{"trusted.overlay.opaque", "trusted.overlay.redirect"}, name)
}
