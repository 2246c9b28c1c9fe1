package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// inMemory mounts a tmpfs over a directory below /run, where /run is none: it is on every machine that has an init
// (hier(7)), and whatever a peer keeps there would wait for a disk's journal that it does not wait for elsewhere.
func inMemory(dir string) error {
	if onTmpfs(dir) {
		return nil
	}
	if err := unix.Mount("bench", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", dir, err)
	}
	return nil
}

// notInMemory undoes inMemory. What was there is there again.
func notInMemory(dir string) error {
	if !onTmpfs(dir) || onTmpfs("/run") {
		return nil
	}
	if err := unix.Unmount(dir, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}

func onTmpfs(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && st.Type == unix.TMPFS_MAGIC
}

// runDirectory makes a directory below /run, in memory.
func runDirectory(pattern string) (string, error) {
	dir, err := os.MkdirTemp("/run", pattern)
	if err != nil {
		return "", err
	}
	return dir, inMemory(dir)
}

// removeRunDirectory removes what runDirectory made.
func removeRunDirectory(dir string) error {
	return errors.Join(notInMemory(dir), os.RemoveAll(dir))
}
