package templates

import (
	"archive/tar"
	"context"
	"errors"
	"io"

	"github.com/sysctl-os/sysctl"
)

// Entries are made by batches in a goroutine of their own, in the archive's order, while the next are read: reading headers and
// content takes half as long as the kernel takes to make the files.
const (
	batchBytes   = 256 << 10
	batchEntries = 128
	batches      = 4 // being filled, waiting, being made, and the one that a large file began in
)

// batch is some entries with their content, or a part of the content of the last entry of one before.
type batch struct {
	tasks []task
	bytes []byte // what the contents are parts of
	cut   error  // why there is no more content
	err   error  // why some of it, or of one before, was not made
}

type task struct {
	h    *tar.Header
	data []byte // the content, or where it is larger its beginning
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
				err = b.entry(ctx, t)
			}
		}
		b.release(work, err)
	}
	close(b.free)
}

func (b *batcher) release(work *batch, err error) {
	work.tasks, work.bytes, work.err = work.tasks[:0], work.bytes[:0], err
	b.free <- work
}

// entry makes one entry. What batches bring of its content is released as soon as the next piece is asked for.
func (b *batcher) entry(ctx context.Context, t task) error {
	data, left := t.data, t.contentSize()
	var held *batch
	err := b.u.entry(ctx, t.h, func() ([]byte, error) {
		if len(data) == 0 && left > 0 {
			if held != nil {
				b.release(held, nil)
			}
			if held = <-b.full; held.cut != nil {
				return nil, inputError{held.cut}
			}
			data = held.bytes
		}
		piece := data
		data, left = nil, left-int64(len(piece))
		if left == 0 {
			return piece, io.EOF
		}
		return piece, nil
	})
	if held != nil {
		b.release(held, nil)
	}
	var bad inputError
	if errors.As(err, &bad) {
		return bad.err
	}
	return sysctl.Wrap(err, "entry %.200q", t.h.Name)
}

// contentSize is how many bytes of content are read for the entry; what has none may claim a size all the same.
func (t task) contentSize() int64 {
	switch t.h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		return t.h.Size
	}
	return 0
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

// add takes an entry over, with its content.
func (b *batcher) add(h *tar.Header, content io.Reader) error {
	t := task{h: h}
	left := t.contentSize()
	if int64(len(b.now.bytes))+left > batchBytes || len(b.now.tasks) == batchEntries {
		if err := b.flush(); err != nil {
			return err
		}
	}
	at := len(b.now.bytes)
	if err := b.fill(h, content, int(min(left, batchBytes))); err != nil {
		return err
	}
	t.data = b.now.bytes[at:]
	b.now.tasks = append(b.now.tasks, t)
	if left <= batchBytes {
		return nil
	}
	for left -= batchBytes; left > 0; left -= batchBytes {
		if err := b.flush(); err != nil {
			return err
		}
		if err := b.fill(h, content, int(min(left, batchBytes))); err != nil {
			return err
		}
	}
	return b.flush()
}

// fill reads n bytes of an entry's content.
func (b *batcher) fill(h *tar.Header, content io.Reader, n int) error {
	at := len(b.now.bytes)
	if b.now.bytes == nil {
		b.now.bytes = make([]byte, 0, batchBytes)
	}
	b.now.bytes = b.now.bytes[:at+n]
	if got, err := fillBuffer(content, b.now.bytes[at:]); got < n {
		b.now.cut = sysctl.Wrap(b.u.in.damaged(err), "entry %.200q", h.Name)
	}
	return b.now.cut
}
