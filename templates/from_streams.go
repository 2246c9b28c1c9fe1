package templates

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// streamsIndex is what an image server publishes.
type streamsIndex struct {
	Index map[string]struct {
		DataType string `json:"datatype"`
		Path     string `json:"path"`
	} `json:"index"`
}

// streamsProducts is a list of images.
type streamsProducts struct {
	Products map[string]struct {
		Aliases  string                    `json:"aliases"` // separated by commas
		Arch     string                    `json:"arch"`    // Debian's names
		Versions map[string]streamsVersion `json:"versions"`
	} `json:"products"`
}

// streamsVersion is one build of an image; builds are named so that the latest sorts last.
type streamsVersion struct {
	Items map[string]streamsItem `json:"items"`
}

// streamsItem is one file of it.
type streamsItem struct {
	Type   string `json:"ftype"`
	Path   string `json:"path"` // below the server's URL
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// openStreams asks an image server which build of an image is its latest.
func (b *build) openStreams(ctx context.Context, s recipeSource) (opened, error) {
	server, err := url.Parse(b.elsewhere(s.Server))
	if err != nil {
		return opened{}, sysctl.E(sysctl.Invalid, "%v", err)
	}
	item, version, err := b.findImage(ctx, server, s.Image)
	if err != nil {
		return opened{}, sysctl.Wrap(err, "image %s", s.Image)
	}
	return opened{item.SHA256, func(ctx context.Context) (string, error) {
		if err := b.streams(ctx, server, item); err != nil {
			return "", err
		}
		return fmt.Sprintf("simplestreams %s %s %s sha256:%s (%s)", s.Server, s.Image, version, item.SHA256, b.Arch), nil
	}}, nil
}

// streams makes the tree of a file on an image server.
func (b *build) streams(ctx context.Context, server *url.URL, item streamsItem) error {
	r := remote{url: server.JoinPath(item.Path).String(), sum: item.SHA256, size: item.Size, client: b.client, quiet: b.quiet}
	f, err := b.cache.fetch(ctx, r, b.maxDownload(), &tally{progress: b.Progress, step: "download", total: item.Size})
	if err != nil {
		return err
	}
	defer f.Close()
	if item.Type == "squashfs" {
		return b.unsquash(ctx, b.cache.blob(item.SHA256))
	}
	_, err = Unpack(ctx, f, b.dir, b.unpackOptions())
	return err
}

// findImage finds the root filesystem of the image with an alias.
func (b *build) findImage(ctx context.Context, server *url.URL, alias string) (streamsItem, string, error) {
	var index streamsIndex
	if err := b.getJSON(ctx, server.JoinPath("streams/v1/index.json"), &index); err != nil {
		return streamsItem{}, "", err
	}
	var archs []string
	for _, key := range slices.Sorted(maps.Keys(index.Index)) {
		if index.Index[key].DataType != "image-downloads" {
			continue
		}
		var list streamsProducts
		if err := b.getJSON(ctx, server.JoinPath(index.Index[key].Path), &list); err != nil {
			return streamsItem{}, "", err
		}
		for _, id := range slices.Sorted(maps.Keys(list.Products)) {
			p := list.Products[id]
			if id != alias && !slices.Contains(strings.Split(p.Aliases, ","), alias) {
				continue
			}
			if p.Arch == b.Arch {
				return latest(p.Versions)
			}
			archs = append(archs, p.Arch)
		}
	}
	if len(archs) > 0 {
		return streamsItem{}, "", sysctl.E(sysctl.Unsupported, "there is none for %s: %s", b.Arch, strings.Join(archs, ", "))
	}
	return streamsItem{}, "", sysctl.E(sysctl.NotFound, "the server does not have it")
}

// latest returns the best root filesystem of the latest version that has one: an archive before a squashfs image, which
// needs a tool, and one of its own before one together with metadata.
func latest(versions map[string]streamsVersion) (streamsItem, string, error) {
	sum := regexp.MustCompile(forms()["sha256"].pattern)
	var without error
	for _, v := range slices.Backward(slices.Sorted(maps.Keys(versions))) {
		var best streamsItem
		rank := 0
		items := versions[v].Items
		for _, name := range slices.Sorted(maps.Keys(items)) {
			item := items[name]
			if r := rankItem(item.Type); r > rank && sum.MatchString(item.SHA256) && item.Size >= 0 {
				best, rank = item, r
			}
		}
		if rank > 1 {
			return best, v, nil
		}
		if rank == 1 {
			_, err := exec.LookPath("unsquashfs")
			if err == nil {
				return best, v, nil
			}
			without = cmp.Or(without, error(sysctl.E(sysctl.Unsupported, "there is a squashfs image only, and no unsquashfs on this host").
				WithHint("apt-get install squashfs-tools")))
		}
	}
	if without != nil {
		return streamsItem{}, "", without
	}
	return streamsItem{}, "", sysctl.E(sysctl.Unsupported, "it has no root filesystem with a SHA-256")
}

// rankItem says how good a kind of file is as the source of a root filesystem; 0: not at all.
func rankItem(kind string) int {
	switch {
	case strings.HasPrefix(kind, "root.tar"):
		return 3
	case strings.Contains(kind, "_combined.tar"):
		return 2
	case kind == "squashfs":
		return 1
	}
	return 0
}

// getJSON gets an index, from the cache where there is no network.
func (b *build) getJSON(ctx context.Context, at *url.URL, into any) error {
	var data []byte
	err := os.ErrNotExist
	if b.Offline {
		data, err = b.cache.get(ctx, at.String())
	}
	if err != nil {
		if data, _, err = getSmall(ctx, b.client, at.String(), b.quiet); err != nil {
			return err
		}
	}
	if err := json.Unmarshal(data, into); err != nil {
		return sysctl.E(sysctl.Unavailable, "get %s: not an index of images: %v", redacted(at.String()), err)
	}
	return b.cache.put(at.String(), data)
}

// unsquash makes the tree of the squashfs image at file. The tool unpacks it into a directory of its own first: only
// what CopyTree lets through comes into the tree.
func (b *build) unsquash(ctx context.Context, file string) (err error) {
	program, err := exec.LookPath("unsquashfs")
	if err != nil {
		return sysctl.E(sysctl.Unsupported, "no unsquashfs on this host").WithHint("apt-get install squashfs-tools")
	}
	temp, err := os.MkdirTemp(filepath.Join(b.cache.dir, "partial"), "squashfs-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	tree := filepath.Join(temp, "tree")
	b.Progress.Report("unsquashfs", 0, 0)
	run := toolRun{program: program, args: []string{"-no-progress", "-d", tree, file}, progress: b.Progress, log: b.Log}
	if err := run.run(ctx); err != nil {
		return err
	}
	_, err = CopyTree(ctx, tree, b.dir, b.unpackOptions())
	return err
}
