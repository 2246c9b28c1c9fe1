package templates

import (
	"archive/tar"
	"context"
	"errors"
	"io"

	"github.com/sysctl-os/sysctl"
)

// Entries are made by batches in a goroutine of their own, in the archive's order, while the next are read: reading headers and
// copying content takes half as long as the kernel takes to make the files.
const (
	batchBytes   = 65536
	batchEntries = 128
	batches      = 3 // being filled, waiting and being made
	// largeFile is from where a file is made as it is read, when all before it are made.
	largeFile = batchBytes
)

// batch is some entries with their content.
type batch struct {
	tasks []task
	bytes []byte // what their contents are parts of
	err   error  // why some of it, or of one before, was not made
}

type task struct {
	h    *tar.Header
	data []byte
}

// whole is content that is all there.
type whole struct{ data []byte }

// Read implements io.Reader.
func (w *whole) Read(p []byte) (int, error) {
	if len(w.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, w.data)
	w.data = w.data[n:]
	return n, nil
}

// batcher hands entries on.
type batcher struct {
	u    *unpacker
	now  *batch
	full chan *batch
	free chan *batch
	err  error
}

// newBatcher starts the goroutine. end ends it, and says what kept something from being made.
func (u *unpacker) newBatcher(ctx context.Context) *batcher {
	b := &batcher{u: u, now: &batch{}, full: make(chan *batch, batches), free: make(chan *batch, batches)}
	for range batches - 1 {
		b.free <- &batch{}
	}
	go b.make(ctx)
	return b
}

// make makes what comes, up to the first error.
func (b *batcher) make(ctx context.Context) {
	var err error
	for work := range b.full {
		for _, t := range work.tasks {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				err = sysctl.Wrap(b.u.entry(ctx, t.h, &whole{data: t.data}), "entry %.200q", t.h.Name)
			}
		}
		work.tasks, work.bytes, work.err = work.tasks[:0], work.bytes[:0], err
		b.free <- work
	}
	close(b.free)
}

// flush hands on what has been collected, and gives the error of what was made so far, as far as it is known.
func (b *batcher) flush() error {
	b.full <- b.now
	b.now = <-b.free
	if b.err == nil {
		b.err = b.now.err
	}
	return b.err
}

// wait is flush, and waits until all is made.
func (b *batcher) wait() error {
	for range batches {
		if err := b.flush(); err != nil {
			return err
		}
	}
	return nil
}

// end ends the goroutine.
func (b *batcher) end() error {
	b.full <- b.now
	close(b.full)
	for work := range b.free {
		if b.err == nil {
			b.err = work.err
		}
	}
	return b.err
}

// add takes an entry over, with its content: a large one's is made at once.
func (b *batcher) add(ctx context.Context, h *tar.Header, content io.Reader) error {
	if h.Size > largeFile || isSparse(h) {
		if err := b.wait(); err != nil {
			return err
		}
		err := b.u.entry(ctx, h, content)
		var bad inputError
		if errors.As(err, &bad) {
			err = b.u.in.damaged(bad.err)
		}
		return sysctl.Wrap(err, "entry %.200q", h.Name)
	}
	if len(b.now.bytes)+int(h.Size) > batchBytes || len(b.now.tasks) == batchEntries {
		if err := b.flush(); err != nil {
			return err
		}
	}
	if b.now.bytes == nil {
		b.now.bytes = make([]byte, 0, batchBytes)
	}
	at := len(b.now.bytes)
	data := b.now.bytes[at : at+int(h.Size)]
	if h.Typeflag == tar.TypeReg || h.Size > 0 {
		if n, err := fillBuffer(content, data); n < len(data) {
			return sysctl.Wrap(b.u.in.damaged(err), "entry %.200q", h.Name)
		}
	}
	b.now.bytes = b.now.bytes[:at+len(data)]
	b.now.tasks = append(b.now.tasks, task{h, data})
	return nil
}
