package templates

import (
	"context"
	"os"

	"github.com/sysctl-os/sysctl"
)

// MakeTree makes a tree in dir, an existing empty directory, of what is at path: a directory, a disk image or an archive,
// told by looking. partition is CopyDisk's and Invalid with anything else. It returns one line on what the tree was made of.
// The rest is as CopyTree, CopyDisk and Unpack have it.
func MakeTree(ctx context.Context, path, dir, partition string, o UnpackOptions) (source string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	isDisk := info.Mode().IsRegular() && DiskFormat(f) != ""
	switch {
	case isDisk:
		_, what, err := CopyDisk(ctx, f, dir, partition, o)
		return path + " (" + what + ")", err
	case partition != "":
		return "", sysctl.E(sysctl.Invalid, "partition: it is no disk image")
	case info.IsDir():
		_, err = CopyTree(ctx, path, dir, o)
	default:
		_, err = Unpack(ctx, f, dir, o)
	}
	return path, err
}
