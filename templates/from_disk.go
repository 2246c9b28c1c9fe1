package templates

import "context"

// disk makes the tree of a disk image that the recipe knows by its sum.
func (b *build) disk(ctx context.Context, s recipeSource) (string, error) {
	f, err := b.archiveFile(ctx, s)
	if err != nil {
		return "", err
	}
	defer f.Close()
	_, what, err := CopyDisk(ctx, f, b.dir, s.Partition, b.unpackOptions())
	if err != nil {
		return "", err
	}
	return "disk " + redacted(s.URL) + " sha256:" + s.SHA256 + " (" + what + ")", nil
}
