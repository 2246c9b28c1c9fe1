package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

// "sysctl -H HOST VERB …" runs the verb on another machine, over ssh, which passes on terminal, streams and exit status.
// Files of this machine that the command line names travel through the streams (remotefiles.go).

// fromKey is in the environment of a verb that was called over ssh: what the caller called this machine.
const fromKey = "SYSCTL_FROM"

// cutHost takes "-H HOST" off the beginning of a command line. given is what stands there, or is false.
func cutHost(args []string) (host string, rest []string, given bool) {
	if len(args) == 0 {
		return "", nil, false
	}
	first := args[0]
	switch {
	case first == "-H" || first == "--host":
		if len(args) == 1 {
			return "", nil, true
		}
		return args[1], args[2:], true
	case strings.HasPrefix(first, "--host="):
		return strings.TrimPrefix(first, "--host="), args[1:], true
	case strings.HasPrefix(first, "-H"):
		return strings.TrimPrefix(first, "-H"), args[1:], true
	}
	return "", nil, false
}

// sshHost is where ssh is to connect to.
type sshHost struct {
	name string // as the user wrote it
	dest string // [USER@]HOST, for ssh
	port string // "": ssh's own choice
}

// parseHost reads [USER@]HOST[:PORT], where HOST may be an IPv6 address, in brackets where a port follows. Whatever a shell or ssh
// could take for something else is refused.
func parseHost(word string) (sshHost, error) {
	h := sshHost{name: word, dest: word}
	bad := func(format string, args ...any) (sshHost, error) {
		return h, sysctl.E(sysctl.Invalid, "-H %s: %s", clean(word), fmt.Sprintf(format, args...)).WithHint("sysctl -H root@server list")
	}
	user, host, ok := strings.Cut(word, "@")
	if !ok {
		user, host = "", word
	}
	switch inside, rest, bracketed := strings.Cut(strings.TrimPrefix(host, "["), "]"); {
	case strings.HasPrefix(host, "[") && !bracketed:
		return bad("the ] is missing")
	case strings.HasPrefix(host, "["):
		host = inside
		if rest != "" && !strings.HasPrefix(rest, ":") {
			return bad("behind the ] there may be :PORT, and nothing else")
		}
		h.port = strings.TrimPrefix(rest, ":")
	case strings.Count(host, ":") == 1:
		host, h.port, _ = strings.Cut(host, ":")
		if h.port == "" {
			return bad("the port behind the colon is missing")
		}
	}
	if n, err := strconv.ParseUint(h.port, 10, 16); h.port != "" && (err != nil || n == 0) {
		return bad("%s is not a port: a number from 1 to 65535", strconv.Quote(h.port))
	}
	if h.dest = host; ok {
		h.dest = user + "@" + host
	}
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r > 127 || strings.ContainsRune("._-:%@+", r))
	}
	if host == "" || ok && user == "" || h.dest[0] == '-' || host[0] == '-' || strings.ContainsFunc(h.dest, odd) {
		return bad("write [USER@]HOST[:PORT]")
	}
	return h, nil
}

// sshCall is one command line on another machine.
type sshCall struct {
	host  sshHost
	args  []string
	stdin *os.File // nil: ours
	out   *os.File // nil: ours
	quick bool     // ask the user nothing, and give up soon
}

// remote runs the rest of a command line on another machine. cmd is the verb, nil where it is none of ours.
func (a *app) remote(ctx context.Context, word string, rest []string) (cmd *cobra.Command, err error) {
	host, err := parseHost(word)
	if err != nil {
		return nil, err
	}
	if len(rest) == 0 {
		return nil, sysctl.E(sysctl.Invalid, "-H %s: what to run there is missing", host.name).WithHint("sysctl -H %s list", host.name)
	}
	if verb, _, err := a.rootCmd().Find(rest); err == nil && ours(rest) && verb.HasParent() {
		cmd = verb
	}
	calls, err := a.carry(ctx, host, cmd, rest)
	if err != nil {
		return cmd, err
	}
	for _, c := range calls {
		if err := a.travel(ctx, c); err != nil {
			return cmd, err
		}
	}
	return cmd, nil
}

// script is what the login shell of another machine, whichever that is, hands to sh: it finds our program, with the verb, and becomes
// it. $0 is what the caller called the machine.
func script(verb string, failure int) string {
	const path = "PATH=$PATH:/usr/local/bin:/usr/sbin:/sbin; export PATH; "
	if verb == "" { // for the kernel's parameters any sysctl will do
		return path + `exec sysctl "$@"`
	}
	return path + `for s in sysctl /usr/local/bin/sysctl; do if "$s" help ` + verb + ` >/dev/null 2>&1; then ` + fromKey + `="$0"; export ` + fromKey + `; exec "$s" "$@"; fi; done; ` +
		`if sysctl version >/dev/null 2>&1 || /usr/local/bin/sysctl version >/dev/null 2>&1; then echo "sysctl: $0: the sysctl there is older than this one and has no verb ` + verb + `"; ` +
		`else echo "sysctl: $0: this sysctl is not installed there"; fi >&2; exit ` + strconv.Itoa(failure)
}

// sshArgs is the command line of ssh. log is where it is to write its own messages, "" where it writes them to standard error.
func (a *app) sshArgs(c sshCall, log string) []string {
	words := []string{"ssh"}
	if s, ok := a.env("SYSCTL_SSH"); ok && strings.TrimSpace(s) != "" {
		words = strings.Fields(s)
	}
	if openSSH(words) {
		if log != "" {
			words = append(words, "-o", "LogLevel=ERROR", "-E", log)
		}
		if c.quick {
			words = append(words, "-o", "BatchMode=yes", "-o", "ConnectTimeout=2")
		}
	}
	if c.host.port != "" {
		words = append(words, "-p", c.host.port)
	}
	tty := "-T"
	if a.remoteTTY(c) {
		tty = "-t"
	}
	verb, failure := "", codeOf(sysctl.E(sysctl.Unsupported, ""))
	if _, _, again := cutHost(c.args); again {
		verb = "version" // any of ours: it will say what it cannot do
	} else if ours(c.args) {
		if verb = c.args[0]; strings.HasPrefix(verb, "-") || strings.HasPrefix(verb, "__") {
			verb = "help"
		}
		if verb == "exec" || verb == "shell" {
			failure = exitExec
		}
	}
	command := "exec sh -c '" + script(verb, failure) + "' " + quoteRemote(c.host.name)
	for _, arg := range c.args {
		command += " " + quoteRemote(arg)
	}
	return append(words, tty, c.host.dest, command)
}

// openSSH reports whether a command is OpenSSH's, whose options go beyond what all have in common.
func openSSH(words []string) bool { return filepath.Base(words[0]) == "ssh" }

// remoteTTY reports whether the other side gets a terminal: where ours are the terminal, as ssh would lead two streams into one
// otherwise. A command in a guest has one where it would have one here.
func (a *app) remoteTTY(c sshCall) bool {
	if c.stdin != nil || c.out != nil || c.quick || !isTerminal(a.stdin) {
		return false
	}
	if c.args[0] != "exec" && c.args[0] != "shell" && c.args[0] != "console" {
		return isTerminal(a.stdout) && isTerminal(a.stderr)
	}
	words := c.args
	if dash := slices.Index(words, "--"); dash >= 0 {
		words = words[:dash]
	}
	return isTerminal(a.stdout) || slices.Contains(words, "-t") || slices.Contains(words, "--tty")
}

// quoteRemote makes a word one word for the login shell of another machine, which may be sh, bash, zsh, fish or csh.
func quoteRemote(word string) string {
	if word == "" {
		return "''"
	}
	var b strings.Builder
	for i, r := range []byte(word) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r > 127, strings.IndexByte("_-./:,@+", r) >= 0,
			r == '=' && i > 0:
			b.WriteByte(r)
		case r < ' ' || r == 127:
			b.WriteString("'" + string(rune(r)) + "'")
		default:
			b.WriteByte('\\')
			b.WriteByte(r)
		}
	}
	return b.String()
}

// travel runs one command line on another machine, and returns its exit status as an error, as a verb here does.
func (a *app) travel(ctx context.Context, c sshCall) error {
	said, err := os.CreateTemp("", "sysctl-ssh-")
	if err != nil {
		return sysctl.Wrap(err, "-H %s", c.host.name)
	}
	defer said.Close()
	defer os.Remove(said.Name())
	words := a.sshArgs(c, said.Name())
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.stdin, a.stdout, a.stderr
	if c.stdin != nil {
		cmd.Stdin = c.stdin
	}
	if c.out != nil {
		cmd.Stdout = c.out
	}
	// ssh ends when it is told to, and the verb on the other side with it; who reports is this process.
	caught := make(chan os.Signal, 2)
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(sig) {
			signal.Notify(caught, sig)
		}
	}
	defer signal.Stop(caught)
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			return sysctl.E(sysctl.Unsupported, "-H %s: %s is not installed here", c.host.name, words[0]).WithHint("apt-get install openssh-client")
		}
		return sysctl.Wrap(err, "-H %s: %s", c.host.name, words[0])
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	interrupted := false
	for {
		select {
		case sig := <-caught:
			interrupted = true
			cmd.Process.Signal(sig)
		case <-ctx.Done():
			interrupted = true
			cmd.Process.Kill()
			ctx = context.Background()
		case err = <-done:
			return a.travelled(c, said, cmd.ProcessState, err, interrupted)
		}
	}
}

// sshFailure is the exit status of ssh where it has not come so far that a command on the other side has one.
const sshFailure = 255

// travelled makes of how ssh has ended what a verb here would have returned.
func (a *app) travelled(c sshCall, said *os.File, state *os.ProcessState, err error, interrupted bool) error {
	var lines []string
	if !c.quick {
		for line := range strings.Lines(readAll(said)) {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, clean(line))
			}
		}
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return sysctl.Wrap(err, "-H %s", c.host.name)
	}
	status := state.ExitCode()
	if status < 0 {
		status = 128 + int(state.Sys().(syscall.WaitStatus).Signal())
	}
	failed := status == sshFailure && len(lines) > 0
	last := ""
	if failed {
		last, lines = strings.TrimPrefix(lines[len(lines)-1], "ssh: "), lines[:len(lines)-1]
	}
	for _, line := range lines {
		a.note("ssh: %s", line)
	}
	switch {
	case status == 0:
		return nil
	case interrupted && (status == sshFailure || status > 128):
		return sysctl.Wrap(context.Canceled, "-H %s", c.host.name)
	case failed:
		return sysctl.E(sysctl.Unavailable, "-H %s: ssh: %s", c.host.name, last).WithHint("%s", sshWayOut(c.host, last))
	}
	return exitStatus(status)
}

// sshWayOut is the command that helps where ssh has failed.
func sshWayOut(h sshHost, said string) string {
	dest := h.dest
	if h.port != "" {
		dest = "-p " + h.port + " " + dest
	}
	switch {
	case strings.Contains(said, "Permission denied"):
		return "ssh-copy-id " + dest
	case strings.Contains(said, "Host key verification failed"):
		return "ssh " + dest + " true: it shows its key and asks"
	}
	return "ssh -v " + dest + " true"
}

// readAll is the text of a file that somebody else has written.
func readAll(f *os.File) string {
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	b := make([]byte, min(info.Size(), 64<<10))
	n, _ := f.ReadAt(b, 0)
	return string(b[:n])
}
