package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/sysctl-os/sysctl"
)

// carry makes of a command line for another machine those that are run there: what it says of this machine comes along. Files
// that "file push" and "file pull" copy travel through standard input and output; of other verbs a path is the other machine's.
// A command line that is wrong goes as it is: who runs it will say so.
func (a *app) carry(ctx context.Context, host sshHost, cmd *cobra.Command, rest []string) ([]sshCall, error) {
	as := []sshCall{{host: host, args: rest}}
	if cmd == nil {
		return as, nil
	}
	switch verb := verbPath(cmd); verb {
	case "exec", "shell":
		as[0].args = a.ownVariables(rest)
		return as, nil
	case "file push", "file pull":
		_, words, err := cmd.Root().Find(rest)
		if err != nil || cmd.ParseFlags(words) != nil || len(cmd.Flags().Args()) < 2 || flagIs(cmd, "help") {
			return as, nil
		}
		if verb == "file push" {
			return a.push(host, cmd, cmd.Flags().Args())
		}
		return nil, a.pull(ctx, host, cmd, cmd.Flags().Args())
	default:
		return as, foreignPaths(host, cmd, rest)
	}
}

// ownVariables writes the values of our variables that exec and shell pass on into the command line.
func (a *app) ownVariables(rest []string) []string {
	var out []string
	for i := 0; i < len(rest); i++ {
		word := rest[i]
		if word == "--" {
			return append(out, rest[i:]...)
		}
		name, flag := strings.CutPrefix(word, "--env=")
		if word == "--env" && i+1 < len(rest) {
			i++
			name, flag = rest[i], true
		}
		if !flag {
			out = append(out, word)
			continue
		}
		if !strings.Contains(name, "=") && name != "" {
			value, ok := a.env(name)
			if !ok {
				continue // as unset as here
			}
			name += "=" + value
		}
		out = append(out, "--env="+name)
	}
	return out
}

func flagIs(cmd *cobra.Command, name string) bool {
	f := cmd.Flags().Lookup(name)
	return f != nil && f.Value.String() == "true"
}

// flagWords are the flags of a command line, but for some.
func flagWords(cmd *cobra.Command, but ...string) (words []string) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains(but, f.Name) {
			words = append(words, "--"+f.Name+"="+f.Value.String())
		}
	})
	return words
}

// push makes one call of each source, which the instance gets from standard input.
func (a *app) push(host sshHost, cmd *cobra.Command, args []string) (calls []sshCall, err error) {
	sources, target := args[:len(args)-1], args[len(args)-1]
	flags := flagWords(cmd)
	if slices.Equal(sources, []string{"-"}) {
		return []sshCall{{host: host, args: slices.Concat([]string{"file", "push"}, flags, []string{"--", "-", target})}}, nil
	}
	name, inside, _ := strings.Cut(target, "/")
	if flagIs(cmd, "recursive") {
		return nil, sysctl.E(sysctl.Unsupported, "file push: with -H it copies files, no directories").
			WithHint("tar -c %s | sysctl -H %s exec %s -- tar -x -C %s", quoteArgs(sources), host.name, quoteArg(name), quoteArg("/"+inside))
	}
	for _, source := range sources {
		f, err := os.Open(source)
		if err != nil {
			return nil, sysctl.Wrap(err, "file push")
		}
		info, err := f.Stat()
		if err != nil {
			return nil, sysctl.Wrap(err, "file push")
		}
		if info.IsDir() {
			return nil, sysctl.E(sysctl.Invalid, "file push: %s is a directory", source).
				WithHint("tar -c %s | sysctl -H %s exec %s -- tar -x -C %s", quoteArg(source), host.name, quoteArg(name), quoteArg("/"+inside))
		}
		to, own := target, flags
		if len(sources) > 1 || inside == "" || strings.HasSuffix(target, "/") {
			to = strings.TrimRight(target, "/") + "/" + filepath.Base(source)
		}
		if !cmd.Flags().Changed("mode") {
			own = append(slices.Clone(flags), fmt.Sprintf("--mode=%04o", info.Mode().Perm()))
		}
		calls = append(calls, sshCall{host: host, stdin: f, args: slices.Concat([]string{"file", "push"}, own, []string{"--", "-", to})})
	}
	return calls, nil
}

// pull fetches files one after the other. Each appears here whole or not at all.
func (a *app) pull(ctx context.Context, host sshHost, cmd *cobra.Command, args []string) error {
	refs, target := args[:len(args)-1], args[len(args)-1]
	flags := flagWords(cmd, "create-dirs", "mode")
	if flagIs(cmd, "recursive") && target != "-" {
		ref, _ := fileRef(refs[0])
		return sysctl.E(sysctl.Unsupported, "file pull: with -H it copies files, no directories").
			WithHint("sysctl -H %s exec %s -- tar -c -C %s . | tar -x -C %s", host.name, quoteArg(ref.Instance), quoteArg(ref.Path), quoteArg(target))
	}
	call := func(ref string, out *os.File) sshCall {
		return sshCall{host: host, out: out, args: slices.Concat([]string{"file", "pull"}, flags, []string{"--", ref, "-"})}
	}
	info, err := os.Stat(target)
	into := err == nil && info.IsDir() || strings.HasSuffix(target, "/") || len(refs) > 1
	for _, word := range refs {
		if target == "-" {
			if err := a.travel(ctx, call(word, nil)); err != nil {
				return err
			}
			continue
		}
		to := target
		if ref, err := fileRef(word); err != nil {
			return sysctl.Wrap(err, "file pull")
		} else if into {
			if to = filepath.Join(target, path.Base(ref.Path)); path.Base(ref.Path) == "/" {
				return sysctl.E(sysctl.Invalid, "file pull: %s is a directory", word)
			}
		}
		if err := a.pullOne(cmd, to, func(f *os.File) error { return a.travel(ctx, call(word, f)) }); err != nil {
			return err
		}
	}
	return nil
}

// pullOne has a file filled beside where it is to be, and gives it its name when it is whole.
func (a *app) pullOne(cmd *cobra.Command, to string, fill func(*os.File) error) error {
	o, err := fileFlags{mode: cmd.Flags().Lookup("mode").Value.String()}.options(nil, nil)
	if err != nil {
		return sysctl.Wrap(err, "file pull")
	}
	if flagIs(cmd, "create-dirs") {
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			return sysctl.Wrap(err, "file pull")
		}
	}
	part := filepath.Join(filepath.Dir(to), fmt.Sprintf(".%s.%d.part", filepath.Base(to), os.Getpid()))
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return sysctl.Wrap(err, "file pull")
	}
	defer os.Remove(part) // nothing is left of it where it got its name
	defer f.Close()
	if err := fill(f); err != nil {
		return err
	}
	if o.Mode != nil {
		if err := f.Chmod(*o.Mode); err != nil {
			return sysctl.Wrap(err, "file pull")
		}
	}
	return sysctl.Wrap(os.Rename(part, to), "file pull")
}

// pathArgument is where verbs take the path of a file: the number of the argument, -1 where all may be one.
func pathArgument(verb string) (n int, takes bool) {
	n, takes = map[string]int{
		"image import": 0, "image export": 1, "import": 0, "export": 1, "detect": 0, "template validate": 0, "template build": 0,
		"profile create": 1, "launch": 0, "create": 0, "check": -1, "mount": 1,
	}[verb]
	return n, takes
}

// foreignPaths refuses paths that can only be meant to be of this machine: they would be looked for on the other one. Only what
// looks like one is judged, as most of these verbs take names too.
func foreignPaths(host sshHost, cmd *cobra.Command, rest []string) error {
	n, takes := pathArgument(verbPath(cmd))
	_, words, err := cmd.Root().Find(rest)
	if !takes || err != nil || cmd.ParseFlags(words) != nil {
		return nil
	}
	for i, word := range cmd.Flags().Args() {
		if n >= 0 && i != n || word == "-" || filepath.IsAbs(word) {
			continue
		}
		_, err := os.Lstat(word)
		if !strings.HasPrefix(word, "./") && !strings.HasPrefix(word, "../") && err != nil {
			continue // a name, or nothing of ours
		}
		return sysctl.E(sysctl.Invalid, "%s: %s is a file of this machine; with -H a path is absolute, and the other machine's", verbPath(cmd), word).
			WithHint("scp %s %s:/var/tmp/", quoteArg(word), host.dest)
	}
	return nil
}
