package templates

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// Normalize takes the moment of its making out of the tree at the host path dir, so that the same inputs give the same
// tree: what was changed at since or later gets the time of the newest entry that was not, or 1970 where there is none.
// since must be a time of the tree's own filesystem. Nobody may change the tree meanwhile. It follows no links and is
// idempotent.
func Normalize(ctx context.Context, dir string, since time.Time) error {
	root, err := openRoot(dir)
	if err != nil {
		return sysctl.Wrap(err, "normalize")
	}
	defer unix.Close(root)
	var newest int64
	recent := func(n node) bool { return !time.Unix(n.st.Mtim.Sec, n.st.Mtim.Nsec).Before(since) }
	err = walk(ctx, root, func(n node) error {
		if n.name != "." && !recent(n) {
			newest = max(newest, n.st.Mtim.Sec)
		}
		return nil
	})
	if err == nil {
		// Setting an entry's times does not change those of its directory.
		err = walk(ctx, root, func(n node) error {
			if !recent(n) || n.away {
				return nil
			}
			at := []unix.Timespec{{Sec: newest}, {Sec: newest}}
			return unix.UtimesNanoAt(n.dir, n.base, at, unix.AT_SYMLINK_NOFOLLOW)
		})
	}
	return classify(ctx, err, "normalize", dir)
}
