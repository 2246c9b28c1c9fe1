package sysctl

import (
	"fmt"
	"strings"
)

// MaxName is the longest instance name: a host name label (RFC 1123) of 63 bytes.
const MaxName = 63

// CheckName reports why s cannot be the name of an instance, or nil. The grammar is a host
// name label: 1 to 63 of a-z, A-Z, 0-9 and '-', beginning with a letter, not ending in '-'.
// The error is of kind Invalid.
func CheckName(s string) error {
	switch {
	case s == "":
		return E(Invalid, "instance name is empty")
	case len(s) > MaxName:
		return E(Invalid, "instance name %q is %d characters long: at most %d", s, len(s), MaxName)
	case !isLetter(s[0]):
		return E(Invalid, "instance name %q must begin with a letter", s)
	case s[len(s)-1] == '-':
		return E(Invalid, "instance name %q must not end in '-'", s)
	}
	for _, r := range s {
		if !(r < 128 && (isLetter(byte(r)) || isDigit(byte(r)) || r == '-')) {
			return E(Invalid, "instance name %q must not contain %q: letters, digits and '-' only", s, r)
		}
	}
	return nil
}

// CheckRef reports why s cannot be the name of a thing of the given noun ("profile", "image
// alias", "network", "template"), or nil: 1 to 63 of letters, digits, '.', '_', '-', '/' and ':',
// beginning with a letter or digit. The error is of kind Invalid.
func CheckRef(noun, s string) error {
	if s == "" {
		return E(Invalid, "%s name is empty", noun)
	}
	if len(s) > MaxName {
		return E(Invalid, "%s name %q is %d characters long: at most %d", noun, s, len(s), MaxName)
	}
	for i, r := range s {
		ok := r < 128 && (isLetter(byte(r)) || isDigit(byte(r)))
		if !ok && (i == 0 || !strings.ContainsRune("._-/:", r)) {
			return E(Invalid, "%s name %q must not contain %q here: letters, digits and . _ - / : after the first", noun, s, r)
		}
	}
	return nil
}

// ShortID is how a long digest is shown to people: its first 12 hexadecimal digits.
func ShortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}

// Generated returns the n-th made-up name for an instance of the given template:
// its letters and digits, then a number ("debian12-1"). The caller tries n = 1, 2, … until free.
func Generated(template string, n int) string {
	var b strings.Builder
	for _, c := range []byte(template) {
		if isLetter(c) || isDigit(c) {
			b.WriteByte(c)
		}
	}
	base := strings.TrimLeft(b.String(), "0123456789")
	if base == "" {
		base = "instance"
	}
	return fmt.Sprintf("%s-%d", base[:min(len(base), MaxName-12)], n)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
