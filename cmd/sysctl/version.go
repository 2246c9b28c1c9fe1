package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (a *app) versionCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Long: `Prints the version. "sysctl --version" is handed on and prints that of the system's own sysctl. With --quiet only
the number is printed.`,
		Example: "  sysctl version\n  sysctl version --format json",
		Args:    takes(0, 0),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		number, commit := buildVersion()
		if a.quiet && *out == "table" {
			return a.printLines(number)
		}
		return a.print(*out, view{
			rows:  pairs("version", number, "commit", commit, "go", runtime.Version(), "platform", runtime.GOOS+"/"+runtime.GOARCH),
			value: build{number, commit, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH},
		})
	}
	return a.verb(cmd, traits{unprivileged: true})
}

// build is what is printed of this program.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"` // "" where the build knew none
	Go       string `json:"go"`
	Platform string `json:"platform"` // system/architecture
}

// version is set by the linker (-X main.version=…); the Makefile takes it from git.
var version string

// buildVersion is what the build wrote into the binary: the module's version and the commit, "" where the
// build knew none.
func buildVersion() (number, commit string) {
	number = version
	info, ok := debug.ReadBuildInfo()
	if number == "" && ok {
		number = info.Main.Version
	}
	if number == "" {
		number = "(devel)"
	}
	if !ok {
		return number, ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			commit = s.Value
		}
	}
	return number, commit
}
