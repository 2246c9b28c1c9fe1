package templates

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
)

// server starts a stand-in server that knows ranges and calls before for each request, which may answer itself.
func server(t *testing.T, files map[string][]byte, before func(w http.ResponseWriter, r *http.Request) bool) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before != nil && before(w, r) {
			return
		}
		data, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	t.Cleanup(s.Close)
	return s
}

// breakOff announces all of data and sends a part of what was asked for, then ends the connection.
func breakOff(w http.ResponseWriter, data []byte, n int) {
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	_, _ = w.Write(data[:n])
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}

func testCache(t *testing.T) *cache {
	t.Helper()
	c, _, err := openCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fetched is what the cache gets from url.
func fetched(ctx context.Context, t *testing.T, c *cache, url, sum string, size int64, quiet time.Duration) ([]byte, error) {
	t.Helper()
	rt := newTransport(quiet, false)
	client := newClient(rt)
	defer client.CloseIdleConnections()
	f, err := c.fetch(ctx, remote{url: url, sum: sum, size: size, client: client, quiet: quiet}, 1<<20, &tally{})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func TestFetch(t *testing.T) {
	data := noise(300_000)
	other := append([]byte("other"), data...)
	for _, x := range []struct {
		name   string
		before func(n int32, w http.ResponseWriter, r *http.Request) bool // n: which request it is
		size   int64
		left   []byte // from an earlier try
		want   string // part of the error; "" = works
		kept   bool   // the part is kept for the next try
	}{
		{name: "whole"},
		{name: "whole of known size", size: 300_000},
		{name: "broken off and continued at once", before: func(n int32, w http.ResponseWriter, r *http.Request) bool {
			if n == 1 {
				breakOff(w, data, 100_000)
			}
			return false
		}},
		{name: "continued from an earlier try", left: data[:200_000], before: func(_ int32, w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") != "bytes=200000-" {
				w.WriteHeader(http.StatusTeapot)
				return true
			}
			return false
		}},
		{name: "complete from an earlier try", left: data, size: 300_000, before: func(_ int32, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusTeapot)
			return true
		}},
		{name: "complete from an earlier try of unknown size", left: data},
		{name: "more than there is from an earlier try", left: other},
		{name: "something else from an earlier try", left: other[:1000]},
		{name: "server without ranges", left: data[:1000], before: func(_ int32, w http.ResponseWriter, r *http.Request) bool {
			_, _ = w.Write(data)
			return true
		}},
		{name: "another part than was asked for", left: data[:1000], before: func(_ int32, w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") == "" {
				return false // asked for all after that
			}
			w.Header().Set("Content-Range", "bytes 0-999/300000")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(data[:1000])
			return true
		}},
		{name: "wrong content", want: "wrong content: its SHA-256 is ", before: func(_ int32, w http.ResponseWriter, r *http.Request) bool {
			_, _ = w.Write(other)
			return true
		}},
		{name: "truncated", want: "wrong content", before: func(_ int32, w http.ResponseWriter, r *http.Request) bool {
			_, _ = w.Write(data[:1000])
			return true
		}},
		{name: "truncated every time, of known size", size: 300_000, want: "broken off: 1000 of 300000 bytes came", kept: true, before: func(_ int32, w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") != "" {
				w.Header().Set("Content-Range", "bytes 1000-")
				w.WriteHeader(http.StatusPartialContent)
				return true
			}
			_, _ = w.Write(data[:1000])
			return true
		}},
		{name: "too much of known size", size: 1000, want: "more than 1000 bytes", before: nil},
		{name: "without end", want: "more than 1048576 bytes", before: func(_ int32, w http.ResponseWriter, r *http.Request) bool {
			for r.Context().Err() == nil {
				if _, err := w.Write(data); err != nil {
					break
				}
			}
			return true
		}},
		{name: "broken off for good", want: "broken off: ", kept: true, before: func(n int32, w http.ResponseWriter, r *http.Request) bool {
			if n > 1 {
				w.Header().Set("Content-Range", "bytes 100000-299999/300000")
				w.WriteHeader(http.StatusPartialContent)
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
			breakOff(w, data, 100_000)
			return true
		}},
		{name: "not there", want: "the server says 404 Not Found", before: func(_ int32, w http.ResponseWriter, r *http.Request) bool {
			http.NotFound(w, r)
			return true
		}},
		{name: "redirected for ever", want: "redirected more than 10 times", before: func(_ int32, w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/a", http.StatusFound)
			return true
		}},
		{name: "redirected to a file", want: "redirected from http to file", before: func(_ int32, w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
			return true
		}},
		{name: "who says nothing", want: "timeout awaiting response headers", before: func(_ int32, w http.ResponseWriter, r *http.Request) bool {
			<-r.Context().Done()
			return true
		}},
		{name: "who stops talking", want: "no more than 1000 bytes came in ", kept: true, before: func(_ int32, w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") != "" {
				w.Header().Set("Content-Range", "bytes 1000-299999/300000")
				w.WriteHeader(http.StatusPartialContent)
			} else {
				_, _ = w.Write(data[:1000])
			}
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		}},
		{name: "who stops talking after enough", want: "nothing came for ", kept: true, before: func(n int32, w http.ResponseWriter, r *http.Request) bool {
			if n > 1 {
				w.Header().Set("Content-Range", "bytes 100000-299999/300000")
				w.WriteHeader(http.StatusPartialContent)
			} else {
				_, _ = w.Write(data[:100_000])
			}
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		}},
		{name: "who trickles", want: " bytes came in ", kept: true, before: func(n int32, w http.ResponseWriter, r *http.Request) bool {
			if n > 1 {
				t.Error("asked again")
			}
			trickle(w, r, data)
			return true
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			c, sum := testCache(t), sumOf(data)
			if x.left != nil {
				if err := os.WriteFile(c.partial(sum), x.left, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var n atomic.Int32
			s := server(t, map[string][]byte{"/f": data}, func(w http.ResponseWriter, r *http.Request) bool {
				return x.before != nil && x.before(n.Add(1), w, r)
			})
			quiet := 30 * time.Second
			if strings.HasPrefix(x.name, "who") && x.want != "" {
				quiet = 100 * time.Millisecond
			}
			got, err := fetched(t.Context(), t, c, s.URL+"/f?ticket=secret", sum, x.size, quiet)
			left, lerr := os.ReadDir(filepath.Join(c.dir, "partial"))
			if lerr != nil || (len(left) > 0) != x.kept {
				t.Errorf("partial: %v %v", left, lerr)
			}
			if x.want == "" {
				if err != nil || !bytes.Equal(got, data) {
					t.Fatalf("%d bytes, %v", len(got), err)
				}
				s.Close() // from now on there is the cache
				if got, err = fetched(t.Context(), t, c, s.URL+"/f", sum, x.size, quiet); err != nil || !bytes.Equal(got, data) {
					t.Errorf("from the cache: %d bytes, %v", len(got), err)
				}
				return
			}
			if sysctl.KindOf(err) != sysctl.Unavailable || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v", sysctl.KindOf(err), err)
			}
			if _, err := os.Stat(c.blob(sum)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("what is wrong is in the cache: %v", err)
			}
		})
	}
}

func TestFetchRefusedConnection(t *testing.T) {
	s := server(t, nil, nil)
	s.Close()
	_, err := fetched(t.Context(), t, testCache(t), s.URL+"/f", sumOf(nil), 0, time.Minute)
	if sysctl.KindOf(err) != sysctl.Unavailable || !strings.Contains(err.Error(), "connection refused") || sysctl.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}

// What was got until Ctrl-C is there for the next time.
func TestFetchCanceled(t *testing.T) {
	data := noise(300_000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := server(t, map[string][]byte{"/f": data}, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") != "" {
			return false
		}
		_, _ = w.Write(data[:150_000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	})
	c := testCache(t)
	client := newClient(newTransport(time.Minute, false))
	defer client.CloseIdleConnections()
	sum := sumOf(data)
	_, err := c.fetch(ctx, remote{url: s.URL + "/f", sum: sum, client: client, quiet: time.Minute}, 1<<20, &tally{total: 150_000, progress: func(_ string, done, total int64) {
		if done == total {
			cancel()
		}
	}})
	if sysctl.KindOf(err) != sysctl.Canceled {
		t.Fatal(err)
	}
	if info, err := os.Stat(c.partial(sum)); err != nil || info.Size() != 150_000 {
		t.Fatalf("%v %v", info, err)
	}
	if got, err := fetched(t.Context(), t, c, s.URL+"/f", sum, 0, time.Minute); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// Content that went bad in the cache is got again.
func TestCacheIsChecked(t *testing.T) {
	data := noise(1000)
	s := server(t, map[string][]byte{"/f": data}, nil)
	c, sum := testCache(t), sumOf(data)
	if err := os.WriteFile(c.blob(sum), data[1:], 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := fetched(t.Context(), t, c, s.URL+"/f", sum, 0, time.Minute); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := c.put("name", data); err != nil {
		t.Fatal(err)
	}
	if got, err := c.get(t.Context(), "name"); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := os.WriteFile(c.named("name"), []byte("../../../etc/passwd"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.get(t.Context(), "name"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a name that leads out: %v", err)
	}
}

// Two at once do not write into each other's file.
func TestFetchTwoAtOnce(t *testing.T) {
	data := noise(100_000)
	var waiting atomic.Int32
	both := make(chan struct{})
	s := server(t, map[string][]byte{"/f": data}, func(http.ResponseWriter, *http.Request) bool {
		if waiting.Add(1) == 2 {
			close(both)
		}
		<-both
		return false
	})
	c, sum := testCache(t), sumOf(data)
	done := make(chan error)
	for range 2 {
		go func() {
			got, err := fetched(t.Context(), t, c, s.URL+"/f", sum, 0, time.Minute)
			if err == nil && !bytes.Equal(got, data) {
				err = errors.New("wrong content")
			}
			done <- err
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(c.dir, "partial")); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

// trickle writes a byte at a time for as long as somebody listens.
func trickle(w http.ResponseWriter, r *http.Request, data []byte) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for at := range data {
		select {
		case <-tick.C:
			_, _ = w.Write(data[at : at+1])
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}
