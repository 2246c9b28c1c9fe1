package templates

import (
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
)

// Whatever detection looks at in any tree is watched, but for package databases.
func TestEverythingDetectedIsWatched(t *testing.T) {
	for name, e := range eras() {
		for _, path := range treetest.Unwatched(treetest.New(e.files), Watched(), func(tree sysctl.Tree) {
			if _, err := Detect(tree); err != nil {
				t.Error(err)
			}
		}) {
			if path != "/" && !strings.HasPrefix(path, "/var/") && path != "/lib/apk/db/installed" && path != "/usr/lib/apk/db/installed" && path != "/usr/lib/sysimage/rpm" {
				t.Errorf("%s: %s", name, path)
			}
		}
	}
}
