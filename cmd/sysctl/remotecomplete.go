package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// completesHost reports whether a completion script asks about a command line for another machine, and takes it apart: rest is what
// follows the machine, nil where that is what is being typed.
func completesHost(args []string) (host string, rest []string, is bool) {
	if len(args) < 2 || !strings.HasPrefix(args[0], "__complete") {
		return "", nil, false
	}
	line := joinAt(args[1:])
	host, rest, is = cutHost(line)
	if !is || len(rest) == 0 {
		return host, nil, is
	}
	return host, rest, true
}

// joinAt puts a machine's name together again, which bash takes apart at an @.
func joinAt(line []string) []string {
	at := slices.Index(line, "@")
	if at < 1 || at > 2 { // of -H USER @ HOST
		return line
	}
	end := min(at+2, len(line))
	return slices.Concat(line[:at-1], []string{strings.Join(line[at-1:end], "")}, line[end:])
}

// completeRemote answers a completion script: the names of machines, or what the machine itself says of the rest. As all completion it
// never fails and says nothing of its own.
func (a *app) completeRemote(ctx context.Context, word string, rest []string) {
	if rest == nil {
		for _, name := range a.knownHosts(word) {
			fmt.Fprintln(a.stdout, name)
		}
		fmt.Fprintf(a.stdout, ":%d\n", noFiles)
		return
	}
	host, err := parseHost(word)
	null, nullErr := os.Open(os.DevNull)
	if err == nil && nullErr == nil {
		defer null.Close()
		_ = a.travel(ctx, sshCall{host: host, args: append([]string{a.args[0]}, rest...), stdin: null, quick: true})
	}
}

// knownHosts lists the machines that the user's ssh knows by name and that begin with what is typed, behind its user.
func (a *app) knownHosts(word string) (names []string) {
	home, ok := a.env("HOME")
	if !ok {
		return nil
	}
	user, typed, at := strings.Cut(word, "@")
	if !at {
		user, typed = "", word
	} else {
		user += "@"
	}
	add := func(name string) {
		if strings.HasPrefix(name, typed) && !strings.ContainsAny(name, "*?!|") {
			names = append(names, user+name)
		}
	}
	eachLine(filepath.Join(home, ".ssh", "config"), func(fields []string) {
		if strings.EqualFold(fields[0], "host") {
			for _, name := range fields[1:] {
				add(name)
			}
		}
	})
	eachLine(filepath.Join(home, ".ssh", "known_hosts"), func(fields []string) {
		for name := range strings.SplitSeq(fields[0], ",") {
			if inside, port, ok := strings.Cut(strings.TrimPrefix(name, "["), "]:"); ok && !strings.Contains(inside, ":") {
				name = inside + ":" + port
			}
			if !strings.HasPrefix(name, "@") && !strings.HasPrefix(name, "#") {
				add(name)
			}
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// eachLine calls f with the words of each line of a file that has any. What cannot be read has none.
func eachLine(file string, f func(fields []string)) {
	r, err := os.Open(file)
	if err != nil {
		return
	}
	defer r.Close()
	for s := bufio.NewScanner(r); s.Scan(); {
		if fields := strings.Fields(s.Text()); len(fields) > 0 {
			f(fields)
		}
	}
}
