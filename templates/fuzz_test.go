package templates

import (
	"archive/tar"
	"bytes"
	"testing"

	"github.com/sysctl-os/sysctl"
)

// FuzzUnpack feeds anything to Unpack: it must end, leave everything beside its directory alone, and blame the archive.
func FuzzUnpack(f *testing.F) {
	plain := archive(f, system(
		item(tar.TypeSymlink, "up", to("../..")), item(tar.TypeReg, "up/x"), item(tar.TypeLink, "y", to("up/x")),
		item(tar.TypeSymlink, "abs", to("/tmp")), item(tar.TypeDir, "abs/d"), item(tar.TypeFifo, "p"),
		item(tar.TypeReg, "bin/ping", pax("SCHILY.xattr.user.a", "b")),
	)...)
	for _, seed := range [][]byte{
		plain, gz(f, bytes.NewReader(plain)), zst(f, plain),
		archive(f, item(tar.TypeDir, "rootfs/"), item(tar.TypeSymlink, "rootfs/etc", to("/..")), item(tar.TypeReg, "rootfs/etc/../../victim")),
		archive(f, item(tar.TypeReg, "/victim")), archive(f, item(tar.TypeLink, "a", to("/victim")), item(tar.TypeReg, "a")),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.HasPrefix(data, []byte("\xfd7zXZ\x00")) {
			t.Skip("would start a program for each input")
		}
		dir, above := emptyDir(t)
		_, err := unpack(t, data, dir, UnpackOptions{MaxSize: 1 << 20, MaxEntries: 100})
		untouched(t, above)
		if kind := sysctl.KindOf(err); kind != "" && kind != sysctl.Invalid {
			t.Errorf("%s: %v", kind, err)
		}
	})
}
