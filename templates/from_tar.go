package templates

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// tar makes the tree of an archive that the recipe knows by its sum.
func (b *build) tar(ctx context.Context, s recipeSource) (string, error) {
	f, err := b.archiveFile(ctx, s)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := Unpack(ctx, f, b.dir, b.unpackOptions()); err != nil {
		return "", err
	}
	return "tar " + redacted(s.URL) + " sha256:" + s.SHA256, nil
}

// archiveFile opens the archive, checked. One on this machine is not copied into the cache.
func (b *build) archiveFile(ctx context.Context, s recipeSource) (*os.File, error) {
	u, err := url.Parse(b.elsewhere(s.URL))
	if err != nil {
		return nil, sysctl.E(sysctl.Invalid, "%v", err)
	}
	if u.Scheme != "" && u.Scheme != "file" {
		r := remote{url: u.String(), sum: s.SHA256, client: b.client, quiet: b.quiet}
		return b.cache.fetch(ctx, r, b.maxDownload(), &tally{progress: b.Progress, step: "download"})
	}
	f, err := os.Open(u.Path)
	if err != nil {
		return nil, absent(err)
	}
	sum := sha256.New()
	if _, err = io.Copy(sum, contextReader{ctx, f}); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); err == nil && got != s.SHA256 {
		err = sysctl.E(sysctl.Invalid, "%s: wrong content: its SHA-256 is %s, wanted is %s", u.Path, got, s.SHA256)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// absent classifies what a file or directory that the recipe names gave.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return sysctl.E(sysctl.NotFound, "%w", err)
	}
	return err
}

// elsewhere is the URL by which to get what is at the URL or path at: Mirrors may name another server for its host's.
func (b *build) elsewhere(at string) string {
	u, err := url.Parse(at)
	if err != nil || u.Host == "" || b.Mirrors[u.Host] == "" {
		return at
	}
	m := strings.TrimSuffix(b.Mirrors[u.Host], "/") + u.EscapedPath()
	if u.RawQuery != "" {
		m += "?" + u.RawQuery
	}
	return m
}

// openDirectory looks at all of a directory on this machine.
func (b *build) openDirectory(ctx context.Context, s recipeSource) (opened, error) {
	if _, err := os.Stat(s.Path); err != nil {
		return opened{}, absent(err)
	}
	sum := sha256.New()
	if err := Pack(ctx, s.Path, sum); err != nil {
		return opened{}, err
	}
	return opened{hex.EncodeToString(sum.Sum(nil)), func(ctx context.Context) (string, error) { return b.directory(ctx, s) }}, nil
}

// directory makes the tree a copy of a directory on this machine.
func (b *build) directory(ctx context.Context, s recipeSource) (string, error) {
	if _, err := CopyTree(ctx, s.Path, b.dir, b.unpackOptions()); err != nil {
		return "", err
	}
	return "directory " + path.Clean(s.Path), nil
}
