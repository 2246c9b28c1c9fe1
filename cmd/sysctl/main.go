// Command sysctl runs whole operating systems as containers.
//
// The package owns words for people: one file per verb, output formats, progress, completion, hints
// and exit codes. It decides nothing about instances: a verb parses its flags into one options struct
// and makes one call of the manager.
//
// It shares its name with the tool for kernel parameters, so whatever is not one of our verbs is handed
// on to that one before anything else happens (handon.go).
package main

import (
	"context"
	"os"
	"time"
)

func main() { os.Exit(start(os.Args[1:], os.Geteuid(), openHost)) }

// start hands a command line on or runs it, and returns the exit status.
func start(args []string, euid int, open opener) int {
	if !ours(args) {
		handOn(args) // comes back only where there is nobody to hand on to
		return reportNobody(os.Stderr, args)
	}
	a := &app{
		open:   open,
		args:   args,
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
		euid:   euid,
		env:    os.LookupEnv,
		now:    time.Now,
	}
	return a.run(context.Background())
}
