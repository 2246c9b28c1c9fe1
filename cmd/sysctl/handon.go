package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/sysctl-os/sysctl"
)

// verbs lists the first words that are ours. It is a list of its own, not read off the command tree, so
// that handing on costs no more than looking at argv; a test compares the two. No verb may contain
// '.', '/' or '=', or be the name of a directory in /proc/sys.
func verbs() []string {
	return []string{
		"launch", "create", "start", "stop", "restart", "freeze", "unfreeze", "delete", "rename", "list", "info",
		"snapshot", "restore", "copy", "diff", "events", "top", "export", "import",
		"exec", "shell", "console", "logs", "file", "mount", "umount",
		"image", "template", "profile", "config", "network",
		"check", "autostart", "autostop", "environment", "version", "completion", "help", "settle", "wire", "docs",
		"__complete", "__completeNoDesc", // what completion scripts call
	}
}

// ours reports whether a command line is for us: none at all, -h or --help, -H HOST or --host HOST, which the other tool does not
// have, or one that begins with one of our verbs. Our other flags come after the verb, so that every other leading flag (-a, -w, -n, -p, -V,
// --system, …) is the other tool's.
func ours(args []string) bool {
	_, _, far := cutHost(args)
	return len(args) == 0 || args[0] == "-h" || args[0] == "--help" || far || slices.Contains(verbs(), args[0])
}

// handOn replaces this process by the next sysctl, with the same environment. It returns only when no
// candidate could be executed.
func handOn(args []string) {
	self, err := os.Stat("/proc/self/exe")
	if err != nil {
		return
	}
	argv := append([]string{"sysctl"}, args...)
	for _, path := range candidates(os.Getenv("PATH"), self) {
		// A failure means that this one is no program for us (no permission, wrong
		// architecture): as a shell would, look further.
		_ = syscall.Exec(path, argv, os.Environ())
	}
}

// candidates lists the sysctls further down PATH than ourselves, then those at the usual places.
// What stands before the last place where we ourselves are found is left out: two copies of us on one
// PATH would otherwise execute each other for ever. Relative entries are skipped.
func candidates(path string, self os.FileInfo) []string {
	dirs := append(filepath.SplitList(path), "/usr/sbin", "/sbin")
	var found []string
	for _, dir := range dirs {
		if !filepath.IsAbs(dir) {
			continue
		}
		file := filepath.Join(dir, "sysctl")
		info, err := os.Stat(file)
		switch {
		case err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		case os.SameFile(info, self):
			found = nil
		default:
			found = append(found, file)
		}
	}
	return found
}

// reportNobody says that there is no other sysctl and returns the exit status.
func reportNobody(stderr io.Writer, args []string) int {
	a := &app{notes: stderr, env: os.LookupEnv}
	err := sysctl.E(sysctl.Unsupported, "%s: not a verb of ours, and there is no other sysctl on PATH to hand it on to", quoteArgs(args)).
		WithHint("sysctl help")
	if near := sysctl.Nearest(args[0], shown(verbs())); near != "" {
		err = sysctl.E(sysctl.Invalid, "%s: no such verb: did you mean %s?", args[0], near).
			WithHint("%s", quoteArgs(slices.Concat([]string{"sysctl", near}, args[1:])))
	}
	return a.report(nil, err)
}

// shown leaves out the words that only completion scripts use.
func shown(words []string) []string {
	return slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "_") })
}

// quoteArgs writes a command line as one would type it into a shell.
func quoteArgs(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = quoteArg(arg)
	}
	return strings.Join(quoted, " ")
}

func quoteArg(arg string) string {
	plain := arg != "" && strings.IndexFunc(arg, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:=,@%+", r))
	}) < 0
	if plain {
		return arg
	}
	return fmt.Sprintf("'%s'", strings.ReplaceAll(arg, "'", `'\''`))
}
