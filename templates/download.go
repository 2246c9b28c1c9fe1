package templates

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sysctl-os/sysctl"
)

const (
	// maxTries bounds how often a download that breaks off is continued at once.
	maxTries = 20
	// maxRedirects bounds how often a server may send us elsewhere.
	maxRedirects = 10
	// maxIndex is the largest index or manifest of images, in bytes.
	maxIndex = 64 << 20
)

const (
	// silence is how long a server may say next to nothing, unless the user says otherwise.
	silence = time.Minute
	// least is how many bytes of a file a server must give within that time.
	least = 16 << 10
)

// newClient returns the way to talk to servers over rt.
func newClient(rt http.RoundTripper) *http.Client {
	return &http.Client{Transport: rt, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		switch from, to := via[0].URL.Scheme, req.URL.Scheme; {
		case len(via) >= maxRedirects:
			return fmt.Errorf("redirected more than %d times", maxRedirects)
		case from != to && to != "https":
			return fmt.Errorf("redirected from %s to %s", from, to)
		}
		return nil
	}}
}

// newTransport is Go's own with an end to a server's silence and with file URLs. Offline it has nothing else.
func newTransport(quiet time.Duration, offline bool) http.RoundTripper {
	files := http.NewFileTransport(http.Dir("/"))
	if offline {
		return offlineTransport{files}
	}
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	if d, ok := http.DefaultTransport.(*http.Transport); ok {
		t = d.Clone()
	}
	t.ResponseHeaderTimeout = quiet
	t.DialContext = (&net.Dialer{Timeout: min(quiet, 30*time.Second), KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = min(quiet, 10*time.Second)
	t.RegisterProtocol("file", files)
	return t
}

// offlineTransport refuses what is not a file.
type offlineTransport struct{ files http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t offlineTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "file" {
		return t.files.RoundTrip(req)
	}
	if req.Body != nil {
		req.Body.Close()
	}
	return nil, errors.New("it is not in the cache, and the network is not to be used")
}

// remote is content on a server, known by its SHA-256.
type remote struct {
	url    string
	sum    string
	size   int64 // in bytes; 0 = unknown
	client *http.Client
	quiet  time.Duration // how long the server may say nothing
}

// fetch returns the content r, from the cache or else from its server, open at its beginning. What was got before a
// download broke off is kept for the next try, here or in another process. max is the most bytes it may have.
// Errors: Unavailable (no answer, HTTP status, broken off, wrong content), NoSpace, Canceled.
func (c *cache) fetch(ctx context.Context, r remote, max int64, t *tally) (*os.File, error) {
	f, err := c.open(ctx, r.sum)
	if err == nil {
		if info, err := f.Stat(); err == nil {
			t.add(info.Size())
		}
		return f, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, classify(ctx, err, "cache", c.dir)
	}
	if r.size > max {
		return nil, sysctl.E(sysctl.Invalid, "download %s: it has %s: more than %s, the limit", redacted(r.url), bytesFor(r.size), bytesFor(max))
	}
	part, err := c.part(r.sum)
	if err != nil {
		return nil, classify(ctx, err, "cache", c.dir)
	}
	d := &download{remote: r, file: part, sum: sha256.New(), max: max, tally: t}
	err = d.run(ctx)
	if err == nil {
		err = os.Rename(part.Name(), c.blob(r.sum))
	}
	if err == nil {
		_, err = part.Seek(0, io.SeekStart)
	}
	if err != nil {
		if d.useless || d.at == 0 || part.Name() != c.partial(r.sum) {
			os.Remove(part.Name())
		}
		part.Close()
		return nil, classify(ctx, err, "download "+redacted(r.url), c.dir)
	}
	return part, nil
}

// redacted is a URL for people: without password, and without what a server added as a ticket.
func redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "a URL that is none"
	}
	u.RawQuery, u.Fragment = "", ""
	return u.Redacted()
}

// download is one file on its way.
type download struct {
	remote
	file    *os.File
	sum     hash.Hash // of what is in file
	at      int64     // bytes in file
	max     int64
	useless bool // what is in file is wrong and must not be continued
	slow    bool // the last attempt ended because next to nothing came
	tally   *tally
}

// run gets the whole content and checks it. Where the beginning that an earlier try left does not fit to the rest,
// all is got once more.
func (d *download) run(ctx context.Context) error {
	n, err := io.Copy(d.sum, contextReader{ctx, d.file})
	if err != nil {
		return err
	}
	d.at = n
	d.tally.add(n)
	err = d.whole(ctx)
	if d.useless && n > 0 && ctx.Err() == nil {
		d.useless = false
		if err = d.restart(); err == nil {
			err = d.whole(ctx)
		}
	}
	return err
}

// whole gets what is missing and checks all. A connection that breaks off is made again, as long as each gives something.
func (d *download) whole(ctx context.Context) error {
	for try := 1; d.size == 0 || d.at != d.size; try++ {
		before := d.at
		err := d.attempt(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var broken brokenOff
		if !errors.As(err, &broken) || d.at <= before || d.slow && d.at-before < least || try == maxTries {
			return err
		}
	}
	if got := hex.EncodeToString(d.sum.Sum(nil)); got != d.remote.sum {
		d.useless = true
		return sysctl.E(sysctl.Unavailable, "wrong content: its SHA-256 is %s, wanted is %s", got, d.remote.sum).
			WithHint("the server has something else than was published: try another mirror")
	}
	return nil
}

// goesOn is the way out of a download that broke off.
const goesOn = "try again: it goes on where it broke off"

// brokenOff marks a download that can be continued.
type brokenOff struct{ err error }

func (e brokenOff) Error() string { return "broken off: " + e.err.Error() }
func (e brokenOff) Unwrap() error { return e.err }

// identity asks for a file as it is, since the sum is of that. Files of any size are asked for so, and nothing else is.
const identity = "identity"

// attempt asks once for what is missing.
func (d *download) attempt(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return sysctl.E(sysctl.Invalid, "%v", err)
	}
	req.Header.Set("Accept-Encoding", identity)
	if d.at > 0 {
		req.Header.Set("Range", d.missing())
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return unreachable(err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusPartialContent:
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", d.at)) {
			d.useless = true
			return sysctl.E(sysctl.Unavailable, "the server answers with another part than was asked for")
		}
	case http.StatusOK:
		if err := d.restart(); err != nil {
			return err
		}
	case http.StatusRequestedRangeNotSatisfiable:
		if d.at == 0 {
			return status(resp)
		}
		if err := d.restart(); err != nil {
			return err
		}
		return d.attempt(ctx)
	default:
		return status(resp)
	}
	stalled := time.AfterFunc(d.quiet, func() { cancel(errSlow) })
	defer stalled.Stop()
	return d.receive(ctx, resp.Body, stalled)
}

// errSlow ends an attempt in which next to nothing came.
var errSlow = errors.New("too slow")

// missing is the header that asks for the rest.
func (d *download) missing() string {
	if d.size > 0 {
		return fmt.Sprintf("bytes=%d-%d", d.at, d.size-1)
	}
	return fmt.Sprintf("bytes=%d-", d.at)
}

// restart throws away what there is.
func (d *download) restart() error {
	d.tally.add(-d.at)
	d.at = 0
	d.sum.Reset()
	return d.file.Truncate(0)
}

// receive appends what comes. stalled is set back whenever enough has come.
func (d *download) receive(ctx context.Context, body io.Reader, stalled *time.Timer) error {
	limit := d.max
	if d.size > 0 {
		limit = d.size
	}
	buf := make([]byte, 128<<10)
	fresh := int64(0) // since stalled was set back
	for {
		n, err := body.Read(buf)
		if fresh += int64(n); fresh >= least {
			fresh = 0
			stalled.Reset(d.quiet)
		}
		if int64(n) > limit-d.at {
			d.useless = true
			return sysctl.E(sysctl.Unavailable, "wrong content: it has more than %d bytes", limit)
		}
		if _, err := d.file.WriteAt(buf[:n], d.at); err != nil {
			return err
		}
		d.sum.Write(buf[:n])
		d.at += int64(n)
		d.tally.add(int64(n))
		switch {
		case err == io.EOF && d.size > 0 && d.at < d.size:
			return brokenOff{sysctl.E(sysctl.Unavailable, "%d of %d bytes came", d.at, d.size).WithHint(goesOn)}
		case err == io.EOF:
			return nil
		case err != nil && errors.Is(context.Cause(ctx), errSlow):
			d.slow = true
			what := "nothing came for"
			if fresh > 0 {
				what = fmt.Sprintf("no more than %d bytes came in", fresh)
			}
			return brokenOff{sysctl.E(sysctl.Unavailable, "%s %s", what, d.quiet).WithHint(goesOn)}
		case err != nil:
			return brokenOff{sysctl.E(sysctl.Unavailable, "%w", err).WithHint(goesOn)}
		}
	}
}

// unreachable says in one sentence why a server gave no answer.
func unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // the URL is said already
	}
	return sysctl.E(sysctl.Unavailable, "%w", err).WithHint("try again, or name another mirror")
}

// status is the error of an answer that is not what was asked for.
func status(resp *http.Response) error {
	what := resp.Status
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		return sysctl.E(sysctl.Unavailable, "the server says %s", what).WithHint("docker login, where a registry wants to know who asks")
	}
	return sysctl.E(sysctl.Unavailable, "the server says %s", what).WithHint("try another mirror")
}

// patience bounds what is not known by its sum, and is small.
func patience(ctx context.Context, quiet time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, 5*quiet, fmt.Errorf("it took more than %s", 5*quiet))
}

// getSmall gets an index or manifest, which is not known by its sum.
func getSmall(ctx context.Context, client *http.Client, at string, quiet time.Duration, accept ...string) ([]byte, http.Header, error) {
	ctx, cancel := patience(ctx, quiet)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, nil, sysctl.E(sysctl.Invalid, "%v", err)
	}
	if len(accept) > 0 {
		req.Header.Set("Accept", strings.Join(accept, ", "))
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, sysctl.Wrap(unreachable(err), "get %s", redacted(at))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, sysctl.Wrap(status(resp), "get %s", redacted(at))
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxIndex+1))
	if err != nil {
		return nil, nil, sysctl.Wrap(unreachable(err), "get %s", redacted(at))
	}
	if len(data) > maxIndex {
		return nil, nil, sysctl.E(sysctl.Unavailable, "get %s: it has more than %s", redacted(at), bytesFor(maxIndex))
	}
	return data, resp.Header, nil
}

// tally adds up what several downloads got and reports it as one step. Its methods may be called at the same time.
type tally struct {
	progress sysctl.Progress
	step     string
	total    int64 // 0: unknown

	mu   sync.Mutex
	done int64
	told int64
}

func (t *tally) add(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done += n
	if t.done-t.told >= reportEvery || t.done < t.told || t.done == t.total && n != 0 {
		t.told = t.done
		t.progress.Report(t.step, t.done, t.total)
	}
}
