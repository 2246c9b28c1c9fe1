package profiles

import (
	"maps"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sysctl-os/sysctl"
)

// maxInterface is the longest name of an interface (IFNAMSIZ less the final NUL).
const maxInterface = 15

func bad(format string, args ...any) error { return sysctl.E(sysctl.Invalid, format, args...) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func bools() []string { return []string{"true", "false"} }

// parseBool reads a bool as LXD does: in any case, true, 1, yes, on and their opposites.
func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true", "1", "yes", "on":
		return true, nil
	case "false", "0", "no", "off":
		return false, nil
	}
	return false, bad(`%q is neither true nor false: write "true" or "false"`, s)
}

// parseMAC returns the hardware address of one interface in its usual spelling.
func parseMAC(s string) (string, error) {
	mac, err := net.ParseMAC(s)
	if err != nil || len(mac) != 6 {
		return "", bad(`%q is not a hardware address: write six bytes, such as "00:16:3e:12:34:56"`, s)
	}
	if mac[0]&1 != 0 {
		return "", bad(`%q is a multicast hardware address: the first byte must be even, as in "00:16:3e:12:34:56"`, s)
	}
	if slices.Max(mac) == 0 {
		return "", bad(`%q is all zeros: write an address such as "00:16:3e:12:34:56"`, s)
	}
	return mac.String(), nil
}

// parseAddress returns an address of the family that example has, in its usual spelling, or "none", and the prefix
// length that stands with it, or 0.
func parseAddress(s, family, example string) (address string, bits int, err error) {
	if s == "none" {
		return s, 0, nil
	}
	a, err := netip.ParseAddr(s)
	if p, isPrefix := netip.ParsePrefix(s); isPrefix == nil {
		a, bits, err = p.Addr(), p.Bits(), nil
	}
	switch v4 := netip.MustParseAddr(example).Is4(); {
	case err != nil || a.Zone() != "" || a.Is4In6() || a.Is4() != v4:
		return "", 0, bad(`%q is not an %s address: write one such as %q, or "none"`, s, family, example)
	case a.IsUnspecified(), a.IsLoopback(), a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "", 0, bad(`%q cannot be the address of an interface: write one such as %q, or "none"`, s, example)
	case bits > 0 && bits < a.BitLen()-1 && a == netip.PrefixFrom(a, bits).Masked().Addr():
		return "", 0, bad("%q is a network: write an address in it, such as %q", s, netip.PrefixFrom(a.Next(), bits).String())
	}
	return a.String(), bits, nil
}

// checkInterface reports why s cannot be the name of an interface. It is stricter than the kernel,
// since the name also goes into the guest's own network files.
func checkInterface(s string) error {
	const right = "write 1 to 15 letters, digits and . _ -, such as"
	switch {
	case len(s) > maxInterface:
		return bad("%q is %d characters long: %s %q", s, len(s), right, "eth0")
	case s == "." || s == "..":
		return bad("%q cannot be an interface's name: %s %q", s, right, "eth0")
	case s == "lo" || s == "all" || s == "default":
		return bad("%q is reserved by the kernel: %s %q", s, right, "eth0")
	}
	for _, r := range s {
		if !isWord(r) && r != '.' && r != '-' {
			return bad("%q must not contain %q: %s %q", s, r, right, "eth0")
		}
	}
	return nil
}

// parsePath returns an absolute path without its superfluous parts. A path with ".." is refused:
// behind a symbolic link it would lead elsewhere than it seems to.
func parsePath(s string) (string, error) {
	if err := checkText(s); err != nil {
		return "", err
	}
	switch {
	case strings.ContainsFunc(s, unicode.IsControl):
		return "", bad(`%q contains a control character: write a path such as "/srv/data"`, s)
	case !path.IsAbs(s):
		return "", bad("%q is not an absolute path: write it from the root on, such as %q", s, path.Clean("/"+s))
	case slices.Contains(strings.Split(s, "/"), ".."):
		return "", bad(`%q contains "..": write the path without it, such as %q`, s, path.Clean(s))
	}
	return path.Clean(s), nil
}

// checkText reports why s cannot be stored and shown as text.
func checkText(s string) error {
	if !utf8.ValidString(s) {
		return bad("%q is not text in UTF-8", s)
	}
	if strings.ContainsRune(s, 0) {
		return bad("%q contains a NUL byte, which no text may have", s)
	}
	return nil
}

func checkVariable(name string) error {
	for i, r := range name {
		if !isWord(r) && r != '.' && r != '-' || i == 0 && r >= '0' && r <= '9' {
			return bad("%q cannot be the name of a variable: write letters, digits and _ . - after environment., not beginning with a digit", name)
		}
	}
	return nil
}

func checkUserKey(name string) error {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return bad("%q cannot be part of a key: write printable characters without spaces after user.", name)
	}
	return nil
}

func isWord(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_'
}
