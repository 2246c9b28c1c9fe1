package lxc

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

const (
	aaControl = "/sys/kernel/security/apparmor"
	aaCache   = "/var/cache/lxc/apparmor" // liblxc's APPARMOR_CACHE_DIR as the distributions build it
)

// clearAppArmor removes the profile and the policy namespace that liblxc generated for a run, from the kernel and
// from disk, as its monitor does when it is not killed (lsm/apparmor.c, apparmor_cleanup). None of the
// instance's processes is left. Idempotent; absent is success.
func (rt *Runtime) clearAppArmor(id int64) error {
	name := rt.paths.lxcName(id)
	if err := os.RemoveAll(filepath.Join(lxcPath, name)); err != nil {
		return err
	}
	if _, err := os.Stat(aaControl); err != nil {
		return nil
	}
	profile, file := generatedNames(name)
	cached, err := filepath.Glob(filepath.Join(aaCache, "*", file))
	if err != nil {
		return err
	}
	for _, path := range cached {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := unix.Rmdir(filepath.Join(aaControl, "policy/namespaces", file)); err != nil && !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "rmdir", Path: file, Err: err}
	}
	if err := os.WriteFile(filepath.Join(aaControl, ".remove"), []byte(profile), 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// generatedNames are what liblxc calls a container's profile, and its policy namespace and files.
func generatedNames(name string) (profile, file string) {
	profile = "lxc-" + name + "_<" + lxcPath + ">"
	return profile, strings.ReplaceAll(profile, "/", "-")
}

// lookLabel reads the profile that init, at dir, has been confined to, where AppArmor is on. It is set through the
// host's proc: what is mounted at a guest's /proc is the guest's choice.
func (e *entry) lookLabel(proc, dir string) error {
	if appArmor() == absent {
		return nil
	}
	label, err := readLabel(dir)
	if err != nil {
		return sysctl.Wrap(err, "AppArmor label of init")
	}
	if label == "unconfined" {
		return nil // and what we start is no freer than we are
	}
	e.label = label
	e.proc, err = os.Open(proc)
	return err
}

// readLabel reads attr/apparmor/current, or attr/current of kernels that have but one LSM: "LABEL (MODE)".
func readLabel(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "attr/apparmor/current"))
	if errors.Is(err, fs.ErrNotExist) {
		b, err = os.ReadFile(filepath.Join(dir, "attr/current"))
	}
	if err != nil {
		return "", err
	}
	label, _, _ := strings.Cut(strings.TrimRight(string(b), "\n\x00"), " (")
	if label == "" {
		return "", unix.ENODATA
	}
	return label, nil
}
