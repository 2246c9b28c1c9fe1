package host

import (
	"net/netip"
	"os"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
	"github.com/sysctl-os/sysctl/storage"
	"github.com/sysctl-os/sysctl/templates"
)

// What a start does with the guest's files where nothing has changed: whether the guest is what it was, and rendering.
func BenchmarkGuestFiles(b *testing.B) {
	dir := os.Getenv("SYSCTL_BENCH_TREE") // a directory with another tree
	if dir == "" {
		f, err := os.Open(needs.Shared(b, "rootfs/alpine-3.20-amd64.tar.gz"))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		dir = b.TempDir()
		if _, err := templates.Unpack(b.Context(), f, dir, templates.UnpackOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	t, err := storage.OpenDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer t.Close()
	g, err := guests{}.Detect(t)
	if err != nil {
		b.Fatal(err)
	}
	n := sysctl.GuestNetwork{Hostname: "web1", DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")}, NICs: []sysctl.GuestNIC{{
		Name: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.5/24"), netip.MustParsePrefix("2001:db8::5/64")},
		Gateway4: netip.MustParseAddr("192.0.2.1"), Gateway6: netip.MustParseAddr("2001:db8::1"),
	}}}
	b.Run("fingerprint", func(b *testing.B) {
		for b.Loop() {
			guests{}.Fingerprint(t)
		}
	})
	b.Run("render", func(b *testing.B) {
		for b.Loop() {
			if _, err := (guests{}).Render(t, g, n); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("detect", func(b *testing.B) {
		for b.Loop() {
			if _, err := (guests{}).Detect(t); err != nil {
				b.Fatal(err)
			}
		}
	})
}
