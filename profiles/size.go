package profiles

import (
	"math"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const sizeUnits = "B, kB, MB, GB, TB, KiB, MiB, GiB or TiB"

type unit struct {
	name  string
	bytes int64
}

// units is every unit of a size, largest first.
func units() []unit {
	return []unit{
		{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9},
		{"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3}, {"B", 1},
	}
}

// ParseSize returns a size in bytes: a whole number, followed by nothing (bytes) or by one of B, kB, MB, GB,
// TB (powers of 1000), KiB, MiB, GiB, TiB (powers of 1024). The error is of kind Invalid.
func ParseSize(s string) (int64, error) {
	digits := s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
	suffix := s[len(digits):]
	if digits == "" {
		return 0, bad(`%q is not a size: write a whole number and a unit, such as "512MiB"`, s)
	}
	factor := int64(0)
	if suffix == "" {
		factor = 1
	}
	for _, u := range units() {
		if u.name == suffix {
			factor = u.bytes
		}
	}
	if factor == 0 {
		return 0, badUnit(s, digits, suffix)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > math.MaxInt64/factor {
		return 0, bad("%q is too large a size: at most %s", s, FormatSize(math.MaxInt64))
	}
	return n * factor, nil
}

// badUnit guesses what a wrong suffix was meant to be: "g" and "GIB" mean GiB, "KB" means kB.
func badUnit(s, digits, suffix string) error {
	for _, u := range units() {
		if strings.EqualFold(u.name, suffix) || strings.EqualFold(u.name[:1], suffix) {
			return bad("%q has an unknown unit: did you mean %q? The units are %s", s, digits+u.name, sizeUnits)
		}
	}
	return bad(`%q is not a size: write a whole number and one of %s, such as "512MiB"`, s, sizeUnits)
}

// FormatSize is the inverse of ParseSize: the number of the largest unit that gives it exactly, such as
// "512MiB" or "1500000001B". It never rounds. A negative number is given in bytes.
func FormatSize(n int64) string {
	for _, u := range units() {
		if n > 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// parseMemory reads limits.memory into m.
func parseMemory(m *sysctl.Memory, s string) error {
	if digits, ok := strings.CutSuffix(s, "%"); ok {
		n, err := strconv.ParseUint(digits, 10, 8)
		if err != nil || n < 1 || n > 100 {
			return bad(`%q is not a share of the host's memory: write a whole number from 1%% to 100%%, such as "25%%"`, s)
		}
		m.Bytes, m.Percent = 0, int(n)
		return nil
	}
	n, err := ParseSize(s)
	if err != nil {
		return err
	}
	if n == 0 {
		return bad(`%q leaves the instance no memory: write a size such as "512MiB", or unset the key for no limit`, s)
	}
	m.Bytes, m.Percent = n, 0
	return nil
}
