package packages

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
)

// lines writes packages one a line, sorted.
func lines(list []sysctl.Package) []string {
	out := []string{}
	for _, p := range list {
		line := p.Name + " " + p.Version + " " + p.Arch
		for _, f := range slices.Sorted(maps.Keys(p.Config)) {
			line += " " + f + "=" + p.Config[f]
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

func list(t *testing.T, files map[string]string) ([]string, []string) {
	t.Helper()
	databases, l, err := List(treetest.New(files))
	if err != nil {
		t.Fatal(err)
	}
	return databases, lines(l)
}

func unzipped(t testing.TB, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const dpkgStatus = `Package: base-files
Status: install ok installed
Architecture: amd64
Version: 12.4+deb12u5
Conffiles:
 /etc/debian_version 6e0bbbd2ff2e56ea1fd7e4e9e0b5f6c1
 /etc/issue 6b9d1d0b4a8ba06bd0cf0b0e4a0b9c1e obsolete
 /etc/new newconffile
Description: Debian base
 system files

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
Conffiles:
 /etc/gone 6b9d1d0b4a8ba06bd0cf0b0e4a0b9c1e

Package: half
Status: install reinstreq half-configured
Architecture: all
Version: 1:2-3~rc1
`

const apkInstalled = `C:Q1abc=
P:alpine-baselayout
V:3.4.3-r2
A:x86_64
F:etc
R:motd
Z:Q1XmduVVNURHQ27TvYp1Lr5TMtFcA=
R:passwd
a:0:0:644
F:etc/apk
M:0:0:755
F:bin
R:sh
Z:Q1XmduVVNURHQ27TvYp1Lr5TMtFcA=

P:musl
V:1.2.4-r2
A:x86_64
`

func TestTexts(t *testing.T) {
	for _, c := range []struct {
		files     map[string]string
		databases []string
		want      []string
	}{
		{map[string]string{"/etc/": ""}, nil, []string{}},
		{map[string]string{"/var/lib/dpkg/status": dpkgStatus}, []string{"dpkg"}, []string{
			"base-files 12.4+deb12u5 amd64 /etc/debian_version=md5:6e0bbbd2ff2e56ea1fd7e4e9e0b5f6c1 /etc/issue=md5:6b9d1d0b4a8ba06bd0cf0b0e4a0b9c1e /etc/new=",
			"half 1:2-3~rc1 all"}},
		{map[string]string{"/var/lib/dpkg/status.d/libc6": "Package: libc6\nVersion: 2.36\nArchitecture: amd64\n", "/var/lib/dpkg/status.d/libc6.md5sums": "Package: x\n"},
			[]string{"dpkg"}, []string{"libc6 2.36 amd64"}},
		{map[string]string{"/lib/apk/db/installed": apkInstalled}, []string{"apk"}, []string{
			"alpine-baselayout 3.4.3-r2 x86_64 /etc/motd=sha1:5e676e555354447436ed3bd8a752ebe5332d15c0 /etc/passwd=",
			"musl 1.2.4-r2 x86_64"}},
		{map[string]string{"/usr/lib/apk/db/installed": "P:musl\nV:1\nA:x86_64\n"}, []string{"apk"}, []string{"musl 1 x86_64"}},
	} {
		databases, got := list(t, c.files)
		if !slices.Equal(databases, c.databases) || !slices.Equal(got, c.want) {
			t.Errorf("%v\n got %q\nwant %q", databases, got, c.want)
		}
	}
}

// checkRPM reads databases that rpm and db_load made of two packages.
func checkRPM(t *testing.T, what string, files map[string]string, n int) {
	t.Helper()
	databases, got := list(t, files)
	if !slices.Equal(databases, []string{"rpm"}) || len(got) != n {
		t.Fatalf("%s: %v %q", what, databases, got)
	}
	if got[0] != "tiny 7-1 noarch" {
		t.Errorf("%s: %q", what, got[0])
	}
	if n > 1 && (!strings.HasPrefix(got[1], "webd 2:1.2-3.el7 noarch /etc/webd/other.conf=sha256:") || !strings.Contains(got[1], " /etc/webd/webd.conf=sha256:") || strings.Contains(got[1], "share")) {
		t.Errorf("%s: %q", what, got[1])
	}
}

func TestRPM(t *testing.T) {
	checkRPM(t, "hash", map[string]string{"/var/lib/rpm/Packages": unzipped(t, "Packages")}, 2)
	checkRPM(t, "hash, the other way round", map[string]string{"/var/lib/rpm/Packages": unzipped(t, "Packages.be")}, 2)
	sqlite := unzipped(t, "rpmdb.sqlite")
	checkRPM(t, "SQLite", map[string]string{"/usr/lib/sysimage/rpm/rpmdb.sqlite": sqlite}, 2)
	wal := unzipped(t, "hot.sqlite-wal") // in which the first package is removed
	checkRPM(t, "SQLite with a log", map[string]string{"/var/lib/rpm/rpmdb.sqlite": sqlite, "/var/lib/rpm/rpmdb.sqlite-wal": wal}, 1)
	checkRPM(t, "a log that was cut off", map[string]string{"/var/lib/rpm/rpmdb.sqlite": sqlite, "/var/lib/rpm/rpmdb.sqlite-wal": wal[:len(wal)-100]}, 2)
	damaged := []byte(wal)
	damaged[len(wal)/2] ^= 1
	checkRPM(t, "a damaged log", map[string]string{"/var/lib/rpm/rpmdb.sqlite": sqlite, "/var/lib/rpm/rpmdb.sqlite-wal": string(damaged)}, 2)
	checkRPM(t, "ndb", map[string]string{"/usr/lib/sysimage/rpm/Packages.db": ndb(t)}, 2)
}

// ndb makes such a database of the records of the hash: rpm's reading of it is not built in everywhere.
func ndb(t testing.TB) string {
	var blobs [][]byte
	hash := unzipped(t, "Packages")
	err := readBDB(nil, "", database{strings.NewReader(hash), int64(len(hash))}, func(b []byte) error {
		blobs = append(blobs, slices.Clone(b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	slots := make([]byte, ndbPage)
	le.PutUint32(slots, ndbHeaderMagic)
	le.PutUint32(slots[12:], 1)
	for at := 2 * ndbSlot; at < ndbPage; at += ndbSlot {
		le.PutUint32(slots[at:], ndbSlotMagic)
	}
	var data bytes.Buffer
	for i, b := range blobs {
		slot := slots[ndbSlot*(3+i):] // the first one is free
		le.PutUint32(slot[4:], uint32(i+1))
		le.PutUint32(slot[8:], uint32((ndbPage+data.Len())/ndbBlob))
		head := make([]byte, ndbBlob)
		le.PutUint32(head, ndbBlobMagic)
		le.PutUint32(head[4:], uint32(i+1))
		le.PutUint32(head[12:], uint32(len(b)))
		data.Write(head)
		data.Write(b)
		data.Write(make([]byte, 2*ndbBlob-len(b)%ndbBlob))
	}
	return string(slots) + data.String()
}

// TestHostile breaks databases at random: there may be an error or other packages, but an end, and no panic.
func TestHostile(t *testing.T) {
	for _, f := range []struct{ name, content, beside, log string }{
		{"/var/lib/rpm/Packages", unzipped(t, "Packages"), "", ""},
		{"/var/lib/rpm/Packages.db", ndb(t), "", ""},
		{"/var/lib/rpm/rpmdb.sqlite", unzipped(t, "rpmdb.sqlite"), "/var/lib/rpm/rpmdb.sqlite-wal", unzipped(t, "hot.sqlite-wal")},
	} {
		r := rand.New(rand.NewPCG(1, 2))
		failures := 0
		for i := range 300 {
			b := []byte(f.content)
			for range 1 + i%20 {
				at := r.IntN(len(b))
				if i%2 == 0 {
					at = r.IntN(min(len(b), 8192)) // heads and indexes
				}
				b[at] = byte(r.Uint32())
			}
			if i%5 == 0 {
				b = b[:r.IntN(len(b))]
			}
			files := map[string]string{f.name: string(b)}
			if f.beside != "" && i%3 == 0 {
				files[f.beside] = f.log
			}
			if _, _, err := List(treetest.New(files)); err != nil {
				failures++
				if sysctl.KindOf(err) != sysctl.Unsupported {
					t.Fatalf("%s: %v", f.name, err)
				}
			}
		}
		if failures == 0 {
			t.Errorf("%s: nothing was found to be damaged", f.name)
		}
	}
	for _, name := range []string{"Packages", "Packages.db", "rpmdb.sqlite"} {
		if _, _, err := List(treetest.New(map[string]string{"/var/lib/rpm/" + name: ""})); sysctl.KindOf(err) != sysctl.Unsupported {
			t.Errorf("an empty %s: %v", name, err)
		}
	}
}

func TestIntact(t *testing.T) {
	tree := treetest.New(map[string]string{"/etc/a": "a", "/etc/link": "-> a"})
	for _, c := range []struct {
		path, digest string
		want         bool
	}{
		{"/etc/a", "md5:0cc175b9c0f1b6a831c399e269772661", true},
		{"/etc/a", "sha1:86f7e437faa5a7fce15d1ddcb9eaeaea377667b8", true},
		{"/etc/a", "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb", true},
		{"/etc/a", "md5:0cc175b9c0f1b6a831c399e269772662", false},
		{"/etc/a", "", false},
		{"/etc/link", "md5:0cc175b9c0f1b6a831c399e269772661", false},
		{"/etc/none", "md5:0cc175b9c0f1b6a831c399e269772661", false},
	} {
		if got, err := Intact(tree, c.path, c.digest); err != nil || got != c.want {
			t.Errorf("%s %s: %v, %v", c.path, c.digest, got, err)
		}
	}
}
