package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// carry makes of a command line for another machine those that are run there: what it says of this machine comes along. Files
// that "file push", "file pull", "export" and "import" are about are this machine's, and travel through standard input and output;
// of other verbs a path is the other machine's. None is to be run where what there was to run has been.
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
	case "file push", "file pull", "export", "import", "mount":
		_, words, err := cmd.Root().Find(rest)
		if err != nil || cmd.ParseFlags(words) != nil || flagIs(cmd, "help") || cmd.Args(cmd, cmd.Flags().Args()) != nil {
			return as, nil
		}
		switch args := cmd.Flags().Args(); verb {
		case "file push":
			return a.push(ctx, host, cmd, args)
		case "file pull":
			return nil, a.pull(ctx, host, cmd, args)
		case "export":
			return nil, a.export(ctx, host, cmd, args)
		case "import":
			return a.load(host, cmd, args)
		default:
			if len(args) == 0 {
				return as, nil // what is mounted there
			}
			return nil, sysctl.E(sysctl.Unsupported, "mount: with -H it would be mounted there, on %s, where nobody here sees it", host.name).
				WithHint("sysctl -H %s file pull -r %s/ DIRECTORY, or on that machine: sysctl mount", host.name, quoteArg(args[0]))
		}
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

// push makes one call, which has the sources from standard input: the file itself where it is one, else a stream of all.
func (a *app) push(ctx context.Context, host sshHost, cmd *cobra.Command, args []string) ([]sshCall, error) {
	sources, target := args[:len(args)-1], args[len(args)-1]
	flags := flagWords(cmd)
	if slices.Contains(sources, "-") { // where there are others, the other side says what is wrong
		return []sshCall{{host: host, args: slices.Concat([]string{"file", "push"}, flags, []string{"--"}, args)}}, nil
	}
	if len(sources) == 1 && !flagIs(cmd, "recursive") {
		return a.pushOne(host, cmd, sources[0], target, flags)
	}
	for _, source := range sources {
		look := os.Lstat
		if !flagIs(cmd, "recursive") {
			look = os.Stat
		}
		if info, err := look(source); err != nil {
			return nil, sysctl.E(kindOfFile(err), "file push: %w", err)
		} else if info.IsDir() && !flagIs(cmd, "recursive") {
			return nil, isDirectory(source)
		}
	}
	call := sshCall{host: host, args: slices.Concat([]string{"file", "push", "--packed"}, flags, []string{"--"}, manager.SourceNames(sources), []string{target})}
	return nil, a.pour(ctx, call, func(ctx context.Context, w io.Writer) error {
		return sysctl.Wrap(manager.PackFiles(ctx, w, sources, flagIs(cmd, "recursive"), a.tellNote()), "file push")
	})
}

func isDirectory(source string) error {
	return sysctl.E(sysctl.Invalid, "file push: %s is a directory", source).WithHint("add --recursive to copy directories")
}

// pushOne makes the call for one file, which goes as it is.
func (a *app) pushOne(host sshHost, cmd *cobra.Command, source, target string, flags []string) ([]sshCall, error) {
	f, err := os.Open(source)
	if err != nil {
		return nil, sysctl.E(kindOfFile(err), "file push: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, sysctl.Wrap(err, "file push")
	}
	if info.IsDir() {
		return nil, isDirectory(source)
	}
	if name, inside, _ := strings.Cut(target, "/"); inside == "" || strings.HasSuffix(target, "/") {
		target = strings.TrimRight(name+"/"+inside, "/") + "/" + filepath.Base(source)
	}
	if !cmd.Flags().Changed("mode") {
		flags = append(slices.Clone(flags), fmt.Sprintf("--mode=%04o", info.Mode().Perm()))
	}
	return []sshCall{{host: host, stdin: f, args: slices.Concat([]string{"file", "push"}, flags, []string{"--", "-", target})}}, nil
}

// pour runs a call whose standard input write gives. An error of write's is the one that is returned.
func (a *app) pour(ctx context.Context, call sshCall, write func(context.Context, io.Writer) error) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	call.stdin = r
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wrote := make(chan error, 1)
	go func() {
		err := write(ctx, w)
		w.Close()
		wrote <- err
	}()
	err = a.travel(ctx, call)
	r.Close() // who still writes gets EPIPE
	if wrong := <-wrote; wrong != nil && !errors.Is(wrong, syscall.EPIPE) && !errors.Is(wrong, context.Canceled) {
		return wrong
	}
	return err
}

// drain runs a call whose standard output read takes. Where the call fails, that is what is returned.
func (a *app) drain(ctx context.Context, call sshCall, read func(context.Context, io.Reader) error) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	call.out = w
	took := make(chan error, 1)
	go func() {
		err := read(ctx, r)
		if err == nil { // what comes after the end of an archive: who writes it must not fail for want of a reader
			_, err = io.Copy(io.Discard, r)
		}
		r.Close() // who still writes gets EPIPE
		took <- err
	}()
	err = a.travel(ctx, call)
	w.Close()
	wrong := <-took
	if sysctl.KindOf(wrong) == sysctl.Invalid && err != nil { // it was cut off, as the call has failed
		return err
	}
	return cmp.Or(wrong, err)
}

// pull fetches files: one as it is, several and directories as a stream, which is complete before any of it appears.
func (a *app) pull(ctx context.Context, host sshHost, cmd *cobra.Command, args []string) error {
	words, target := args[:len(args)-1], args[len(args)-1]
	flags := flagWords(cmd, "create-dirs", "mode")
	call := func(out *os.File, more ...string) sshCall {
		return sshCall{host: host, out: out, args: slices.Concat([]string{"file", "pull"}, flags, more)}
	}
	if target == "-" {
		return a.travel(ctx, call(nil, slices.Concat([]string{"--"}, words, []string{"-"})...))
	}
	refs, err := fileRefs(words)
	if err != nil {
		return sysctl.Wrap(err, "file pull")
	}
	if len(refs) == 1 && !flagIs(cmd, "recursive") {
		to := target
		if info, err := os.Stat(target); err == nil && info.IsDir() || strings.HasSuffix(target, "/") {
			if to = filepath.Join(target, path.Base(refs[0].Path)); path.Base(refs[0].Path) == "/" {
				return sysctl.E(sysctl.Invalid, "file pull: %s is a directory", words[0])
			}
		}
		return a.pullOne(cmd, to, func(f *os.File) error { return a.travel(ctx, call(f, "--", words[0], "-")) })
	}
	o, err := pullFlags(cmd).options(nil, nil)
	if err != nil {
		return sysctl.Wrap(err, "file pull")
	}
	o.Parents = flagIs(cmd, "create-dirs")
	beside := target // on the filesystem that it goes to
	if info, err := os.Stat(target); (err != nil || !info.IsDir()) && len(refs) == 1 && !strings.HasSuffix(target, "/") {
		beside = filepath.Dir(target)
	}
	if o.Parents {
		if err := os.MkdirAll(beside, 0o755); err != nil {
			return sysctl.Wrap(err, "file pull")
		}
	}
	part, err := os.MkdirTemp(beside, ".sysctl-pull-")
	if errors.Is(err, fs.ErrNotExist) {
		return sysctl.E(sysctl.NotFound, "file pull: there is no directory %s", beside).WithHint("add --create-dirs to make it")
	}
	if err != nil {
		return sysctl.Wrap(err, "file pull")
	}
	defer os.RemoveAll(part)
	if o.Mode != nil {
		flags = append(flags, fmt.Sprintf("--mode=%04o", o.Mode.Perm()))
	}
	packed := call(nil, slices.Concat([]string{"--packed", "--"}, words, []string{"-"})...)
	err = a.drain(ctx, packed, func(ctx context.Context, r io.Reader) error {
		return sysctl.Wrap(manager.UnpackFiles(ctx, r, part), "file pull")
	})
	if err == nil {
		err = manager.PlaceFiles(part, refs, target, o)
	}
	return err
}

func pullFlags(cmd *cobra.Command) fileFlags {
	return fileFlags{mode: cmd.Flags().Lookup("mode").Value.String()}
}

// export writes an instance of the other machine to a file of this one, which has its name when it is whole.
func (a *app) export(ctx context.Context, host sshHost, cmd *cobra.Command, args []string) error {
	name, file := args[0], args[1]
	call := sshCall{host: host, args: slices.Concat([]string{"export"}, flagWords(cmd), []string{"--", name, "-"})}
	if file == "-" {
		return a.travel(ctx, call)
	}
	return newFile([]string{"export", name}, file, name+".tar.zst", func(w io.Writer) error {
		return a.drain(ctx, call, func(_ context.Context, r io.Reader) error {
			_, err := io.Copy(w, r)
			return sysctl.Wrap(err, "export %s", name)
		})
	})
}

// load has the other machine make an instance of a file of this one.
func (a *app) load(host sshHost, cmd *cobra.Command, args []string) ([]sshCall, error) {
	call := sshCall{host: host, args: slices.Concat([]string{"import"}, flagWords(cmd), []string{"--", "-"}, args[1:])}
	if args[0] == "-" {
		return []sshCall{call}, nil
	}
	f, err := os.Open(args[0])
	if err != nil {
		return nil, sysctl.E(kindOfFile(err), "import: %w", err)
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, sysctl.E(sysctl.Invalid, "import %s: it is a directory", args[0]).WithHint("sysctl -H %s import FILE", host.name)
	}
	call.stdin = f
	return []sshCall{call}, nil
}

// pullOne has a file filled beside where it is to be, and gives it its name when it is whole.
func (a *app) pullOne(cmd *cobra.Command, to string, fill func(*os.File) error) error {
	o, err := pullFlags(cmd).options(nil, nil)
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
		"image import": 0, "image export": 1, "detect": 0, "template validate": 0, "template build": 0,
		"profile create": 1, "launch": 0, "create": 0, "check": -1,
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
