package compat

import "github.com/sysctl-os/sysctl"

// unknownGuest is for trees in which no init is found.
func unknownGuest() remark {
	return remark{
		id:  "unknown-guest",
		who: "a tree in which no init is found",
		when: func(_ sysctl.Host, g sysctl.Guest) (why, way string) {
			if g.Init != "" {
				return "", ""
			}
			return "no init was found in it that we know, so nobody can tell whether it boots", "sysctl image detect PATH says what was looked at"
		},
		evidence: "templates, detection",
		test:     "manager/compat/inside_test.go TestInside",
	}
}
