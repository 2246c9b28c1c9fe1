package manager

import (
	"fmt"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func TestComparePackages(t *testing.T) {
	p := func(name, version string, config ...string) sysctl.Package {
		m := map[string]string{}
		for _, f := range config {
			m[f] = "md5:1"
		}
		return sysctl.Package{Name: name, Arch: "amd64", Version: version, Config: m}
	}
	before := []sysctl.Package{p("bash", "5", "/etc/bash"), p("kernel", "1"), p("kernel", "2"), p("old", "1"), p("nginx", "1.1", "/etc/nginx/a", "/etc/nginx/b"), p("cron", "1", "/etc/cron/x")}
	after := []sysctl.Package{p("bash", "5", "/etc/bash"), p("kernel", "2"), p("kernel", "3"), p("new", "1", "/etc/new"), p("nginx", "1.2", "/etc/nginx/a", "/etc/nginx/b"), p("cron", "1", "/etc/cron/x"),
		{Name: "untold", Arch: "amd64", Version: "1", Config: map[string]string{"/etc/untold": ""}}}
	files := []sysctl.Difference{
		{Path: "/etc/bash", Change: sysctl.Changed, What: []string{"mode"}},
		{Path: "/etc/cron", Change: sysctl.Deleted},
		{Path: "/etc/new", Change: sysctl.Added},
		{Path: "/etc/nginx/a", Change: sysctl.Changed, What: []string{"content", "mode"}},
		{Path: "/etc/nginx/b", Change: sysctl.Changed, What: []string{"content"}},
		{Path: "/etc/untold", Change: sysctl.Added},
	}
	got, err := comparePackages(before, after, files, func(path, _ string) (bool, error) { return path == "/etc/nginx/b" || path == "/etc/new", nil })
	want := "[{cron amd64 configured 1 1 [/etc/cron/x]} {kernel amd64 changed 1 3 []} {new amd64 added  1 []} {nginx amd64 changed 1.1 1.2 [/etc/nginx/a]} {old amd64 deleted 1  []} {untold amd64 added  1 []}]"
	if fmt.Sprint(got) != want || err != nil {
		t.Errorf("%v, %v\nwant %s", got, err, want)
	}
}
