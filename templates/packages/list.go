package packages

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// maxPackages bounds how many packages a tree may have.
const maxPackages = 200_000

// List returns the packages that a tree's databases say are installed, in no order, and which databases those were. A tree
// without any has none. The kind is Unsupported where a database cannot be understood.
func List(t sysctl.Tree) (databases []string, list []sysctl.Package, err error) {
	for _, d := range []struct {
		name string
		read func(sysctl.Tree) (found bool, list []sysctl.Package, err error)
	}{{"dpkg", dpkg}, {"apk", apk}, {"rpm", rpm}} {
		found, some, err := d.read(t)
		if err != nil {
			return nil, nil, sysctl.Wrap(err, "%s database", d.name)
		}
		if found {
			databases = append(databases, d.name)
			list = append(list, some...)
		}
	}
	return databases, list, nil
}

// damaged is the error of a database that is not what it should be.
func damaged(format string, args ...any) error {
	return sysctl.E(sysctl.Unsupported, "cannot be understood: "+format, args...)
}

// Intact reports whether a file of a tree is the one that its package brought, with a digest of Package.Config. One that
// is not there, or is no file, is not.
func Intact(t sysctl.Tree, path, digest string) (bool, error) {
	kind, want, _ := strings.Cut(digest, ":")
	var h hash.Hash
	switch kind {
	case "md5":
		h = md5.New()
	case "sha1":
		h = sha1.New()
	case "sha256":
		h = sha256.New()
	case "sha512":
		h = sha512.New()
	default:
		return false, nil
	}
	if info, err := t.Lstat(path); err != nil || !info.Mode().IsRegular() {
		return false, nil
	}
	f, err := t.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if _, err := io.Copy(h, f); err != nil {
		return false, err
	}
	return hex.EncodeToString(h.Sum(nil)) == want, nil
}

// there reports whether a path leads to something.
func there(t sysctl.Tree, path string) (bool, error) {
	_, err := t.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
