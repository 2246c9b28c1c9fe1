package packages

import (
	"path"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// dpkg reads /var/lib/dpkg/status, or of images without dpkg itself the files in status.d (deb822).
func dpkg(t sysctl.Tree) (bool, []sysctl.Package, error) {
	var texts []string
	if ok, err := there(t, "/var/lib/dpkg/status"); err != nil {
		return false, nil, err
	} else if ok {
		b, err := t.ReadFile("/var/lib/dpkg/status")
		if err != nil {
			return false, nil, err
		}
		texts = append(texts, string(b))
	}
	if ok, err := there(t, "/var/lib/dpkg/status.d"); err != nil {
		return false, nil, err
	} else if ok {
		entries, err := t.ReadDir("/var/lib/dpkg/status.d")
		if err != nil {
			return false, nil, err
		}
		for _, e := range entries {
			if !e.Type().IsRegular() || strings.HasSuffix(e.Name(), ".md5sums") || len(texts) > maxPackages {
				continue
			}
			b, err := t.ReadFile(path.Join("/var/lib/dpkg/status.d", e.Name()))
			if err != nil {
				return false, nil, err
			}
			texts = append(texts, string(b))
		}
	}
	var list []sysctl.Package
	for _, text := range texts {
		for stanza := range strings.SplitSeq(text, "\n\n") {
			if p, ok := dpkgStanza(stanza); ok {
				list = append(list, p)
			}
			if len(list) > maxPackages {
				return false, nil, damaged("more than %d packages", maxPackages)
			}
		}
	}
	return len(texts) > 0, list, nil
}

// dpkgStanza reads one package. One that is removed and of which configuration files are left is not installed.
func dpkgStanza(text string) (sysctl.Package, bool) {
	p := sysctl.Package{Config: map[string]string{}}
	installed, field := true, "" // files of status.d have no Status
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			if words := strings.Fields(line); field == "Conffiles" && len(words) >= 2 && !strings.HasPrefix(strings.Join(words[2:], " "), "remove-on-upgrade") {
				p.Config[path.Clean("/"+words[0])] = digestOf(words[1])
			}
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		field, value = name, strings.TrimSpace(value)
		switch field {
		case "Package":
			p.Name = value
		case "Version":
			p.Version = value
		case "Architecture":
			p.Arch = value
		case "Status":
			words := strings.Fields(value)
			state := ""
			if len(words) > 0 {
				state = words[len(words)-1]
			}
			installed = state != "config-files" && state != "not-installed"
		}
	}
	return p, p.Name != "" && installed
}

// digestOf says by its length of which kind a digest in hexadecimal is; "" where it is none.
func digestOf(hexadecimal string) string {
	for _, c := range []byte(hexadecimal) {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return ""
		}
	}
	switch len(hexadecimal) {
	case 32:
		return "md5:" + hexadecimal
	case 40:
		return "sha1:" + hexadecimal
	case 64:
		return "sha256:" + hexadecimal
	case 128:
		return "sha512:" + hexadecimal
	}
	return ""
}
