package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// makeTree bootstraps Debian 12 with systemd into dir from the distribution's mirror.
func makeTree(ctx context.Context, dir string) error {
	mmdebstrap, err := lookup("mmdebstrap")
	if err != nil {
		return err
	}
	_, err = mmdebstrap.run(ctx, "--quiet", "--variant=minbase", "--format=directory",
		"--include=systemd-sysv,dbus,iproute2,ifupdown", "bookworm", dir)
	return err
}

// copyTree copies a tree as it is: owners, modes, hard links, extended attributes.
func copyTree(ctx context.Context, from, to string) error {
	_, err := program{path: "cp"}.run(ctx, "-a", "--reflink=auto", from, to)
	return err
}

// shift moves every owner in the tree up by base. Changing an owner clears set-id bits and file
// capabilities: both are put back, the latter for the new root.
func shift(root string, base int) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		if int(st.Uid) >= base {
			return nil // a hard link seen before
		}
		if d.Type() == fs.ModeSymlink {
			return os.Lchown(path, int(st.Uid)+base, int(st.Gid)+base)
		}
		capability, err := getCapability(path)
		if err != nil {
			return err
		}
		if err := os.Lchown(path, int(st.Uid)+base, int(st.Gid)+base); err != nil {
			return err
		}
		if err := syscall.Chmod(path, st.Mode&0o7777); err != nil {
			return fmt.Errorf("chmod %s: %w", path, err)
		}
		if capability == nil {
			return nil
		}
		return syscall.Setxattr(path, capabilityAttr, namespaced(capability, base), 0)
	})
}

const capabilityAttr = "security.capability"

// getCapability returns a file's capability attribute, or nil.
func getCapability(path string) ([]byte, error) {
	buf := make([]byte, 64)
	n, err := syscall.Getxattr(path, capabilityAttr, buf)
	if errors.Is(err, syscall.ENODATA) || errors.Is(err, syscall.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("getxattr %s: %w", path, err)
	}
	return buf[:n], nil
}

// namespaced turns a version 2 capability attribute (linux/capability.h: vfs_cap_data) into version 3,
// valid where rootid is uid 0. Other versions are left as they are.
func namespaced(capability []byte, rootid int) []byte {
	const v2, v3, versionByte = 2, 3, 3
	if len(capability) != 20 || capability[versionByte] != v2 {
		return capability
	}
	out := bytes.Clone(capability)
	out[versionByte] = v3
	return binary.LittleEndian.AppendUint32(out, uint32(rootid))
}

// allocated is what the files below dir take on disk, in bytes; a hard-linked file counts once.
func allocated(dir string) (int64, error) {
	type file struct{ dev, ino uint64 }
	seen := map[file]bool{}
	var total int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		if f := (file{st.Dev, st.Ino}); !seen[f] {
			seen[f] = true
			total += st.Blocks * 512
		}
		return nil
	})
	return total, err
}
