package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

// completer lists what may stand where the cursor is. Completion never fails and never prints: where
// something cannot be known it lists nothing.
type completer = cobra.CompletionFunc

const noFiles = cobra.ShellCompDirectiveNoFileComp

// mustComplete gives a flag its completer; a flag that does not exist is a bug.
func mustComplete(cmd *cobra.Command, flag string, c completer) {
	if err := cmd.RegisterFlagCompletionFunc(flag, c); err != nil {
		panic(err)
	}
}

// nothing completes nothing, not even file names.
func nothing(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, noFiles
}

func fixed(words ...string) completer {
	return func(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		return beginning(word, slices.Clone(words)), noFiles
	}
}

// beginning keeps the words that begin with what has been typed.
func beginning(typed string, words []string) []string {
	return slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, typed) })
}

// each completes an argument with the completer of its place and any further ones with the last.
func each(places ...completer) completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		words, how := places[min(len(args), len(places)-1)](cmd, args, word)
		words = slices.DeleteFunc(words, func(w string) bool { return slices.Contains(args, w) })
		return words, how
	}
}

// first completes the first argument only.
func first(c completer) completer { return each(c, nothing) }

// live completes with what a backend lists, where we may ask it and it answers in time.
func (a *app) live(list func(ctx context.Context, b backend) []string) completer {
	return func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		if a.euid != 0 && !a.traits[cmd].unprivileged {
			return nil, noFiles
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		b, done, err := a.open(ctx, false)
		if err != nil {
			return nil, noFiles
		}
		defer done()
		words := beginning(word, list(ctx, b))
		slices.Sort(words)
		return words, noFiles
	}
}

// names completes with the instances that are in one of the given states, or with all. What is broken
// is listed always: nobody knows what it is good for.
func (a *app) names(states ...sysctl.Status) completer {
	return a.live(func(ctx context.Context, b backend) []string {
		list, _ := b.List(ctx)
		var words []string
		for _, i := range list {
			if len(states) == 0 || i.State.Status == sysctl.Broken || slices.Contains(states, i.State.Status) {
				words = append(words, i.Name)
			}
		}
		return words
	})
}

func (a *app) imageRefs() completer {
	return a.live(func(ctx context.Context, b backend) []string {
		list, _ := b.Images(ctx)
		var words []string
		for _, i := range list {
			if words = append(words, i.Aliases...); len(i.Aliases) == 0 {
				words = append(words, sysctl.ShortID(i.ID))
			}
		}
		return words
	})
}

func (a *app) templateNames() completer {
	return a.live(func(ctx context.Context, b backend) []string {
		list, _ := b.Templates(ctx)
		var words []string
		for _, t := range list {
			words = append(append(words, t.Name), t.Aliases...)
		}
		return words
	})
}

// templateVariables completes with the variables of the template that the command line names.
func (a *app) templateVariables() completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		words, how := a.live(func(ctx context.Context, b backend) []string {
			var words []string
			if t, _, err := b.Template(ctx, strings.Join(args, "")); err == nil {
				for name := range t.Variables {
					words = append(words, name+"=")
				}
			}
			return words
		})(cmd, args, word)
		return words, how | cobra.ShellCompDirectiveNoSpace
	}
}

// prepSteps completes a list of preparation steps to switch off behind what stands before it.
func (a *app) prepSteps(before string) completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		list, ok := strings.CutPrefix(word, before)
		if !ok {
			return nil, noFiles
		}
		done := list[:strings.LastIndexByte(list, ',')+1]
		given := strings.Split(strings.ReplaceAll(done, " ", ""), ",")
		return a.live(func(_ context.Context, b backend) []string {
			var words []string
			for _, name := range b.StepNames() {
				if !slices.Contains(given, "-"+name) {
					words = append(words, before+done+"-"+name)
				}
			}
			return words
		})(cmd, args, word)
	}
}

// pullRemotes completes with what stands before the colon of an image to pull.
func (a *app) pullRemotes() completer {
	remotes := a.live(func(_ context.Context, b backend) []string {
		words := b.PullRemotes()
		for i := range words {
			words[i] += ":"
		}
		return words
	})
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		words, how := remotes(cmd, args, word)
		return words, how | cobra.ShellCompDirectiveNoSpace
	}
}

// sources completes with what an instance can be made from.
func (a *app) sources() completer {
	templates, images := a.templateNames(), a.imageRefs()
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		t, _ := templates(cmd, args, word)
		i, _ := images(cmd, args, word)
		words := append(t, i...)
		slices.Sort(words)
		return slices.Compact(words), noFiles
	}
}

func (a *app) profileNames() completer {
	return a.live(func(ctx context.Context, b backend) []string {
		list, _ := b.Profiles(ctx)
		var words []string
		for _, p := range list {
			words = append(words, p.Name)
		}
		return words
	})
}

func (a *app) networkNames(others ...string) completer {
	return a.live(func(ctx context.Context, b backend) []string {
		list, _ := b.Networks(ctx)
		words := slices.Clone(others)
		for _, n := range list {
			words = append(words, n.Name)
		}
		return words
	})
}

// keysWanted reports whether a completion script asks for the words of a command line that will be
// handed on: it wants kernel parameters, whatever options stand before.
func keysWanted(args []string) bool {
	return len(args) > 2 && strings.HasPrefix(args[0], "__complete") && !ours(args[1:])
}

// kernelKeys completes the parameters of the other sysctl, a step of the path at a time.
func kernelKeys(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	dir, stem := "", word
	if i := strings.LastIndexByte(word, '.'); i >= 0 {
		dir, stem = word[:i+1], word[i+1:]
	}
	entries, _ := os.ReadDir(filepath.Join("/proc/sys", filepath.Clean("/"+strings.ReplaceAll(dir, ".", "/"))))
	how := noFiles
	var words []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), stem) || word == "" || strings.Contains(e.Name(), ".") {
			continue
		}
		key := dir + e.Name()
		if e.IsDir() {
			key, how = key+".", how|cobra.ShellCompDirectiveNoSpace
		}
		words = append(words, key)
	}
	return words, how
}
