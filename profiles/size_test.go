package profiles_test

import (
	"math"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "12": 12, "12B": 12, "3kB": 3e3, "3MB": 3e6, "3GB": 3e9, "3TB": 3e12, "007": 7,
		"3KiB": 3 << 10, "3MiB": 3 << 20, "3GiB": 3 << 30, "3TiB": 3 << 40, "9223372036854775807": math.MaxInt64, "8388607TiB": 8388607 << 40,
	} {
		if got, err := profiles.ParseSize(s); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	for s, part := range map[string]string{
		"": "not a size", "B": "not a size", "-1": "not a size", "+1": "not a size", "1.5GiB": "not a size", " 1": "not a size", "1 B": "not a size",
		"9223372036854775808": "too large", "8388608TiB": "too large", "99999999999999999999B": "too large",
		"1g": `did you mean "1GiB"`, "1K": `did you mean "1KiB"`, "1KB": `did you mean "1kB"`, "1gib": `did you mean "1GiB"`, "1mb": `did you mean "1MB"`, "1t": `did you mean "1TiB"`,
		"1XB": "one of B, kB,", "1MiBs": "one of B, kB,", "1é": "one of",
	} {
		got, err := profiles.ParseSize(s)
		if err == nil || sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), part) {
			t.Errorf("ParseSize(%q) = %d, %v; want an error with %q", s, got, err, part)
		}
	}
}

func TestFormatSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0B", 1: "1B", 1000: "1kB", 1024: "1KiB", 1025: "1025B", 512 << 20: "512MiB", 2e9: "2GB", 1 << 40: "1TiB", -5: "-5B", math.MaxInt64: "9223372036854775807B",
	} {
		if got := profiles.FormatSize(n); got != want {
			t.Errorf("FormatSize(%d) = %q, want %q", n, got, want)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"512MiB", "1", "9223372036854775807", "1.5GB", "8388608TiB", "", "00kB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := profiles.ParseSize(s)
		if err != nil {
			return
		}
		if n < 0 {
			t.Fatalf("ParseSize(%q) = %d", s, n)
		}
		if again, err := profiles.ParseSize(profiles.FormatSize(n)); err != nil || again != n {
			t.Fatalf("%q is %d, written %q, read %d, %v", s, n, profiles.FormatSize(n), again, err)
		}
	})
}
