package manager_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// A look at a tarball leaves nothing, whatever fails; what is neither file nor directory is not opened.
func TestDetectLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	tarball, fifo := filepath.Join(dir, "x.tar"), filepath.Join(dir, "fifo")
	if err := os.WriteFile(tarball, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	d, err := h.Detect(t.Context(), manager.DetectOptions{Path: tarball})
	if err != nil || !d.Known || d.Guest.ID != "debian" {
		t.Fatalf("%+v, %v", d, err)
	}
	for n := range h.w.calls {
		bad := newHouse(t)
		bad.w.failAt = n + 1
		if _, err := bad.Detect(t.Context(), manager.DetectOptions{Path: tarball}); !errors.Is(err, errInjected) {
			t.Errorf("call %d: %v", n+1, err)
		}
		if left := bad.w.left(); left != "" {
			t.Errorf("call %d left %s", n+1, left)
		}
	}
	if _, err := h.Detect(t.Context(), manager.DetectOptions{Path: dir}); err != nil || h.w.left() != "" {
		t.Errorf("a directory: %v, left %q", err, h.w.left())
	}
	for path, kind := range map[string]sysctl.Kind{fifo: sysctl.Invalid, "/dev/zero": sysctl.Invalid, filepath.Join(dir, "none"): sysctl.NotFound} {
		if _, err := h.Detect(t.Context(), manager.DetectOptions{Path: path}); sysctl.KindOf(err) != kind {
			t.Errorf("detect %s: %v", path, err)
		}
		if _, err := h.ImportImage(t.Context(), manager.ImportOptions{Path: path, Alias: "x"}); sysctl.KindOf(err) != kind {
			t.Errorf("import %s: %v", path, err)
		}
	}
}
