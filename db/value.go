package db

import (
	"database/sql"
	"encoding/json"
	"net/netip"
	"time"

	"github.com/sysctl-os/sysctl"
)

// How the nouns' fields are written into columns, and read back.

func nanos(t time.Time) int64 { return t.UnixNano() }

func fromNanos(n int64) time.Time { return time.Unix(0, n).UTC() }

// orNow returns t, or the transaction's present where t is not given.
func (t *tx) orNow(given time.Time) time.Time {
	if given.IsZero() {
		return t.now
	}
	return given
}

func guestText(g sysctl.Guest) (string, error) {
	b, err := json.Marshal(g)
	return string(b), err
}

func parseGuest(s string, g *sysctl.Guest) error {
	return sysctl.Wrap(json.Unmarshal([]byte(s), g), "guest")
}

// orNull is s, or NULL where it is empty.
func orNull(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

func addrText(a netip.Addr) sql.NullString {
	if !a.IsValid() {
		return sql.NullString{}
	}
	return sql.NullString{String: a.Unmap().String(), Valid: true}
}

func parseAddr(s sql.NullString) (netip.Addr, error) {
	if !s.Valid {
		return netip.Addr{}, nil
	}
	return netip.ParseAddr(s.String)
}
