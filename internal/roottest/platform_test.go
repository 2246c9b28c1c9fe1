package roottest

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl/internal/needs"
)

// Of an image for several platforms the one that is asked for is got, where this machine can run it. What it cannot run is refused
// before anybody is asked.
func TestPullPlatform(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		needs.Skip(t, "amd64", "the platforms are those of a PC")
	}
	p := publish(t)
	e := ours(t, "")
	var each []any
	for _, arch := range []string{"amd64", "386"} {
		each = append(each, p.imageFor(t, arch, "for-"+arch, whole(t, "etc/made-for-"+arch+": x")))
	}
	const index = "application/vnd.oci.image.index.v1+json"
	p.files["/v2/team/app/manifests/1"] = encode(t, map[string]any{"schemaVersion": 2, "mediaType": index, "manifests": each})
	ref := "oci:" + strings.TrimPrefix(p.URL, "http://") + "/team/app:1"
	own := e.must(t, "image", "pull", ref)
	other := e.must(t, "image", "pull", ref, "--platform", "linux/386")
	for alias, want := range map[string]string{"team/app:1": "etc/made-for-amd64", "team/app:1/i386": "etc/made-for-386"} {
		if all := e.listing(t, alias); all[want] == nil {
			t.Errorf("%s has no %s", alias, want)
		}
	}
	if own == other {
		t.Error("both platforms are the same image")
	}
	p.took("")
	for platform, want := range map[string]int{"linux/s390x": 8, "windows/amd64": 2, "linux/vax": 2} {
		status, _, errs := e.sysctl(t, "image", "pull", ref, "--platform", platform)
		if status != want || !strings.Contains(errs, platform) || !strings.Contains(errs, "hint: ") {
			t.Errorf("%s: %d %s", platform, status, errs)
		}
	}
	if asked := p.took(""); len(asked) > 0 {
		t.Errorf("was asked: %q", asked)
	}
	// The one image that there is for a tag is not for what was asked.
	status, _, errs := e.sysctl(t, "image", "pull", strings.TrimSuffix(ref, ":1")+":for-amd64", "--platform", "linux/386")
	if status != 8 || !strings.Contains(errs, "the image is for linux/amd64, wanted is linux/386") {
		t.Errorf("a plain image: %d %s", status, errs)
	}
	if names := strings.Fields(e.must(t, "image", "list", "-q")); slices.Contains(names, "team/app:for-amd64/i386") {
		t.Errorf("left: %q", names)
	}
}
