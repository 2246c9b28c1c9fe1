package lxc

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lookRun reads what the guest was started with.
func (rt *Runtime) lookRun(e *entry, id int64) (err error) {
	if e.policy, err = rt.policyOf(id, runtime.GOARCH); err != nil {
		return err
	}
	run, _, err := loadRun(rt.paths.RunFile(id))
	e.limits = run.Rlimits
	return err
}

// idMap is a line of a uid_map (user_namespaces(7)).
type idMap struct{ inside, outside, size uint64 }

func (e *entry) lookOwner(dir string) error {
	b, err := os.ReadFile(dir + "/uid_map")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			return &fs.PathError{Op: "read", Path: dir + "/uid_map", Err: unix.EINVAL}
		}
		var m idMap
		var errs [3]error
		m.inside, errs[0] = strconv.ParseUint(f[0], 10, 32)
		m.outside, errs[1] = strconv.ParseUint(f[1], 10, 32)
		m.size, errs[2] = strconv.ParseUint(f[2], 10, 33)
		if err := errors.Join(errs[:]...); err != nil {
			return err
		}
		e.owner = append(e.owner, m)
	}
	return nil
}
