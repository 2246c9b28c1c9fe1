package packages

import (
	"errors"
	"io"
	"path"

	"github.com/sysctl-os/sysctl"
)

// maxDatabase is the largest rpm database that is read: everything Red Hat ever shipped in one system is some hundred MiB.
const maxDatabase = 1 << 30

// maxHeader is the largest record of one package.
const maxHeader = 64 << 20

// database is a file that is read at random, with its size.
type database struct {
	io.ReaderAt
	size int64
}

// at reads n bytes.
func (d database) at(offset int64, n int) ([]byte, error) {
	if offset < 0 || n < 0 || offset+int64(n) > d.size {
		return nil, damaged("it ends before %d", offset+int64(n))
	}
	b := make([]byte, n)
	_, err := d.ReadAt(b, offset)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b, err
}

// rpm reads rpm's database, whichever of its formats it has, where it is now or was before.
func rpm(t sysctl.Tree) (bool, []sysctl.Package, error) {
	for _, f := range []struct {
		name string
		read func(t sysctl.Tree, path string, d database, header func([]byte) error) error
	}{{"rpmdb.sqlite", readSQLite}, {"Packages.db", readNDB}, {"Packages", readBDB}} {
		for _, dir := range []string{"/usr/lib/sysimage/rpm", "/var/lib/rpm"} {
			name := path.Join(dir, f.name)
			ok, err := there(t, name)
			if err != nil {
				return false, nil, err
			}
			if !ok {
				continue
			}
			d, done, err := openDatabase(t, name)
			if err != nil {
				return false, nil, err
			}
			var list []sysctl.Package
			err = f.read(t, name, d, func(blob []byte) error {
				p, ok, err := rpmHeader(blob)
				if ok {
					list = append(list, p)
				}
				if err == nil && len(list) > maxPackages {
					err = damaged("more than %d packages", maxPackages)
				}
				return err
			})
			done()
			return err == nil, list, sysctl.Wrap(err, "%s", name)
		}
	}
	return false, nil, nil
}

func openDatabase(t sysctl.Tree, name string) (database, func(), error) {
	f, err := t.Open(name)
	if err != nil {
		return database{}, nil, err
	}
	info, err := f.Stat()
	r, ok := f.(io.ReaderAt)
	switch {
	case err != nil:
	case !ok:
		err = sysctl.E(sysctl.Internal, "%s cannot be read at random", name)
	case info.Size() > maxDatabase:
		err = damaged("it is larger than %d MiB", maxDatabase>>20)
	}
	if err != nil {
		f.Close()
		return database{}, nil, err
	}
	return database{r, info.Size()}, func() { f.Close() }, nil
}
