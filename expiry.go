package sysctl

import (
	"strconv"
	"strings"
	"time"
)

// Expiry is how long something is kept. The zero value is for ever.
type Expiry struct {
	minutes, days, months int
}

// ParseExpiry reads lengths of time separated by spaces: M minutes, H hours, d days, w weeks, m months, y years ("1w 12H").
// "" is for ever. The error is of kind Invalid.
func ParseExpiry(text string) (Expiry, error) {
	var e Expiry
	seen := ""
	for word := range strings.FieldsSeq(text) {
		unit := word[len(word)-1]
		n, err := strconv.ParseUint(word[:len(word)-1], 10, 31)
		if err != nil || n == 0 || n > 1_000_000 || !strings.ContainsRune("MHdwmy", rune(unit)) {
			return Expiry{}, E(Invalid, `%q is no length of time: write numbers with M (minutes), H (hours), d (days), w (weeks), m (months) or y (years), such as "2w" or "1d 12H"`, word)
		}
		if strings.IndexByte(seen, unit) >= 0 {
			return Expiry{}, E(Invalid, "%q has %c twice", text, unit)
		}
		seen += string(unit)
		switch n := int(n); unit {
		case 'M':
			e.minutes += n
		case 'H':
			e.minutes += 60 * n
		case 'd':
			e.days += n
		case 'w':
			e.days += 7 * n
		case 'm':
			e.months += n
		case 'y':
			e.months += 12 * n
		}
	}
	if far := e.After(time.Unix(0, 0)); !far.IsZero() && far.Year() > 3000 {
		return Expiry{}, E(Invalid, "%q is longer than a thousand years: write none to keep it for ever", text)
	}
	return e, nil
}

// After returns when what was made at t expires, or zero where that is never.
func (e Expiry) After(t time.Time) time.Time {
	if e == (Expiry{}) {
		return time.Time{}
	}
	return t.AddDate(0, e.months, e.days).Add(time.Duration(e.minutes) * time.Minute)
}
