package netconfig

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"github.com/sysctl-os/sysctl"
)

// answerTimeout is how long somebody on a network of this host may take to answer.
const answerTimeout = 10 * time.Second

// discardPort is where hardly anybody listens: the answer is the kernel's.
const discardPort = 9

// Answers checks that somebody answers at an address, be it that nobody listens: Unavailable.
func Answers(ctx context.Context, a netip.Addr) error {
	d := net.Dialer{Timeout: answerTimeout}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(a.String(), strconv.Itoa(discardPort)))
	switch {
	case err == nil:
		return conn.Close()
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil
	}
	return sysctl.E(sysctl.Unavailable, "%s does not answer: %w", a, err)
}
