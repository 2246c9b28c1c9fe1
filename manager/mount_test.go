package manager_test

import (
	"fmt"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func TestMount(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.create(t, "web1")
	snap(t, h, "web1", "s")
	kind(t, h.Mount(ctx, "web1", "", "/mnt/a"), "")
	kind(t, h.Mount(ctx, "web1", "s", "/mnt/b"), "")
	kind(t, h.Mount(ctx, "web1", "none", "/mnt/c"), sysctl.NotFound)
	kind(t, h.Mount(ctx, "nobody", "", "/mnt/c"), sysctl.NotFound)
	views, err := h.Views(ctx)
	if got := fmt.Sprint(views); err != nil || got != "[{web1  /mnt/a} {web1 s /mnt/b}]" {
		t.Errorf("%s, %v", got, err)
	}
	h.w.inUse = true
	kind(t, h.Unmount(ctx, "/mnt/a", false), sysctl.Busy)
	kind(t, h.Unmount(ctx, "/mnt/a", true), "")
	kind(t, h.Unmount(ctx, "/mnt/a", true), sysctl.NotFound)
	kind(t, h.Unmount(ctx, "web1", true), "")
	kind(t, h.Unmount(ctx, "web1", true), sysctl.NotFound)
	kind(t, h.Unmount(ctx, "nobody", true), sysctl.NotFound)
}
