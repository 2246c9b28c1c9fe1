package templates

import "io"

// How far is read ahead: so much that the two ends seldom wait for each other, and little beside what a tree takes.
const (
	aheadChunk  = 256 << 10
	aheadChunks = 16
)

// ahead is what is read in a goroutine of its own, before it is asked for: two processors share the work of
// decompressing and of making files.
type ahead struct {
	full  chan chunk
	empty chan []byte
	quit  chan struct{} // closed: read no more
	ended chan struct{} // closed when nothing is read any more
	now   chunk
	rest  []byte // of now, not yet given out
}

// chunk is some of it, and the error that came behind.
type chunk struct {
	data []byte
	err  error
}

// readAhead begins to read r. stop ends that, and waits until r is not used any more.
func readAhead(r io.Reader) (data io.Reader, stop func()) {
	a := &ahead{full: make(chan chunk, aheadChunks), empty: make(chan []byte, aheadChunks), quit: make(chan struct{}), ended: make(chan struct{})}
	for range aheadChunks {
		a.empty <- nil // made when it is first needed: archives may be small
	}
	go a.fill(r)
	return a, func() {
		close(a.quit)
		<-a.ended
	}
}

func (a *ahead) fill(r io.Reader) {
	defer close(a.ended)
	for {
		var buf []byte
		select {
		case <-a.quit:
			return
		case buf = <-a.empty:
		}
		if buf == nil {
			buf = make([]byte, aheadChunk)
		}
		n, err := fillBuffer(r, buf[:aheadChunk])
		a.full <- chunk{buf[:n], err} // there is room for all there are
		if err != nil {
			return
		}
	}
}

// Read implements io.Reader.
func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.now.err != nil {
			return 0, a.now.err
		}
		if a.now.data != nil {
			a.empty <- a.now.data
		}
		a.now = <-a.full
		a.rest = a.now.data
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}
