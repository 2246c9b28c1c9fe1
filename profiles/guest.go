package profiles

import (
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// guestFields is the part of the table that says what is left alone in the guest.
func guestFields() []field[sysctl.Spec] {
	return []field[sysctl.Spec]{{
		Key: Key{Name: "guest.network", Type: "write or keep", Default: "write", Example: "keep", Values: []string{"write", "keep"},
			Doc: "Whether every start writes hostname, addresses and resolver into the guest's own files. With `keep` they are yours, as they are."},
		set: func(s *sysctl.Spec, _, v string) error {
			if v != "write" && v != "keep" {
				return bad(`%q is neither "write" nor "keep"`, v)
			}
			s.Guest.KeepNetwork = v == "keep"
			return nil
		},
	}, {
		Key: Key{Name: "guest.network.keep", Type: "paths", Default: "none", Example: "/etc/resolv.conf,/etc/hosts",
			Doc: "Files of the guest that no start writes, moves or removes, separated by commas. A line `# sysctl: keep` in a file does the same for it."},
		set: func(s *sysctl.Spec, _, v string) error {
			for word := range strings.SplitSeq(v, ",") {
				p, err := parsePath(strings.TrimSpace(word))
				if err != nil {
					return err
				}
				if !slices.Contains(s.Guest.KeepFiles, p) {
					s.Guest.KeepFiles = append(s.Guest.KeepFiles, p)
				}
			}
			return nil
		},
	}, {
		Key: Key{Name: "guest.prep", Type: "steps", Default: "all steps", Example: "-udev-off,-console",
			Doc: "Preparation steps that are not done to the guest, each with a minus before its name (`sysctl template show NAME --steps` lists them). Chosen when an instance is made."},
		set: func(s *sysctl.Spec, _, v string) error {
			for word := range strings.SplitSeq(v, ",") {
				name, ok := strings.CutPrefix(strings.TrimSpace(word), "-")
				if !ok || name == "" || name[0] == '-' || strings.TrimFunc(name, func(r rune) bool { return isWord(r) || r == '-' }) != "" {
					return bad(`%q switches no step off: write steps with a minus before each, such as "-udev-off,-console"`, word)
				}
				if !slices.Contains(s.Guest.SkipPrep, name) {
					s.Guest.SkipPrep = append(s.Guest.SkipPrep, name)
				}
			}
			return nil
		},
	}}
}
