package templates

import (
	"context"
	"io"
	"io/fs"
	"sync"

	"github.com/sysctl-os/sysctl"
)

// reportEvery is how many bytes lie between two progress reports.
const reportEvery = 1 << 20

// source is an archive as it is, before decompression: it counts, reports progress and ends with the
// context. A decompressor may read it in a goroutine of its own.
type source struct {
	ctx      context.Context
	r        io.Reader
	total    int64 // 0: unknown
	progress sysctl.Progress

	mu   sync.Mutex
	n    int64
	told int64 // n at the last report
	err  error // what reading gave, but for io.EOF
}

func newSource(ctx context.Context, r io.Reader, p sysctl.Progress) *source {
	s := &source{ctx: ctx, r: r, progress: p}
	if f, ok := r.(interface{ Stat() (fs.FileInfo, error) }); ok {
		if fi, err := f.Stat(); err == nil && fi.Mode().IsRegular() {
			s.total = fi.Size()
		}
	}
	return s
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	err := s.ctx.Err()
	n := 0
	if err == nil {
		n, err = s.r.Read(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n += int64(n)
	if err != nil && err != io.EOF {
		s.err = sysctl.Wrap(err, "read the archive")
	}
	if s.n-s.told >= reportEvery || err == io.EOF {
		s.told = s.n
		s.progress.Report("unpack", s.n, s.total)
	}
	return n, err
}

// state returns how many bytes were read and what kept more from being read.
func (s *source) state() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n, s.err
}
