package packages

import (
	"encoding/base64"
	"encoding/hex"
	"path"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// apk reads lib/apk/db/installed. apk keeps no list of configuration files: it takes what is in /etc for them.
func apk(t sysctl.Tree) (bool, []sysctl.Package, error) {
	for _, name := range []string{"/lib/apk/db/installed", "/usr/lib/apk/db/installed"} {
		ok, err := there(t, name)
		if err != nil {
			return false, nil, err
		}
		if !ok {
			continue
		}
		b, err := t.ReadFile(name)
		if err != nil {
			return false, nil, err
		}
		var list []sysctl.Package
		for stanza := range strings.SplitSeq(string(b), "\n\n") {
			if p, ok := apkStanza(stanza); ok {
				list = append(list, p)
			}
			if len(list) > maxPackages {
				return false, nil, damaged("more than %d packages", maxPackages)
			}
		}
		return true, list, nil
	}
	return false, nil, nil
}

func apkStanza(text string) (sysctl.Package, bool) {
	p := sysctl.Package{Config: map[string]string{}}
	dir, file := "", ""
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\n"), ":")
		if !ok {
			continue
		}
		switch key {
		case "P":
			p.Name = value
		case "V":
			p.Version = value
		case "A":
			p.Arch = value
		case "F":
			dir, file = path.Clean("/"+value), ""
		case "R":
			file = path.Join(dir, value)
			if strings.HasPrefix(file, "/etc/") {
				p.Config[file] = ""
			}
		case "Z":
			if _, isConfig := p.Config[file]; isConfig {
				p.Config[file] = apkDigest(value)
			}
		}
	}
	return p, p.Name != ""
}

// apkDigest turns Q1 and base64 (sha1), Q2 (sha256), or hexadecimal (md5, of the oldest), into a digest.
func apkDigest(s string) string {
	if b64, ok := strings.CutPrefix(s, "Q1"); ok {
		if sum, err := base64.StdEncoding.DecodeString(b64); err == nil && len(sum) == 20 {
			return "sha1:" + hex.EncodeToString(sum)
		}
		return ""
	}
	if b64, ok := strings.CutPrefix(s, "Q2"); ok {
		if sum, err := base64.StdEncoding.DecodeString(b64); err == nil && len(sum) == 32 {
			return "sha256:" + hex.EncodeToString(sum)
		}
		return ""
	}
	return digestOf(s)
}
