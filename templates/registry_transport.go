package templates

import (
	"io"
	"net/http"

	"github.com/sysctl-os/sysctl"
)

// registryTransport is the way to a registry and to whom it names for logins, neither of which may have us read a file of
// this machine. The library reads answers to its own requests to their end: they are cut off where an index would be.
type registryTransport struct{ inner http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t registryTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if scheme := req.URL.Scheme; scheme != "http" && scheme != "https" {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, sysctl.E(sysctl.Unavailable, "sent on to %s, which is no server", redacted(req.URL.String()))
	}
	resp, err := t.inner.RoundTrip(req)
	if err == nil && req.Header.Get("Accept-Encoding") != identity {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxIndex+1), resp.Body}
	}
	return resp, err
}
