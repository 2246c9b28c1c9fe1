package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manPages is a page of section 1 for the command and for each verb, by file name. The system's own sysctl has
// its page in section 8.
func (a *app) manPages(root *cobra.Command) map[string]string {
	var b strings.Builder
	manHead(&b, "sysctl", root.Short, "VERB [flags]")
	manText(&b, root.Long+"\n\n"+handedOn)
	b.WriteString(".SH VERBS\n")
	pages := map[string]string{}
	for _, g := range root.Groups() {
		fmt.Fprintf(&b, ".SS %s\n", roff(g.Title))
		for _, cmd := range inGroup(root, g.ID) {
			fmt.Fprintf(&b, ".TP\n.BR sysctl\\-%s (1)\n%s\n", roff(cmd.Name()), roff(cmd.Short))
			pages["sysctl-"+cmd.Name()+".1"] = a.manPage(cmd)
		}
	}
	manFlags(&b, root)
	manExits(&b, exitCodes())
	b.WriteString(".SH SEE ALSO\n.BR sysctl (8)\n")
	pages["sysctl.1"] = b.String()
	return pages
}

// manPage is the page of a verb, with a section for each verb below it.
func (a *app) manPage(cmd *cobra.Command) string {
	var b strings.Builder
	manHead(&b, "sysctl-"+cmd.Name(), cmd.Short, usage(cmd))
	manText(&b, cmd.Long)
	for _, sub := range visible(cmd) {
		fmt.Fprintf(&b, ".SH SYSCTL %s\n.B sysctl\n%s\n.PP\n", roff(strings.ToUpper(verbPath(sub))), roff(usage(sub)))
		manText(&b, sub.Long)
		eachFlag(sub.NonInheritedFlags(), manFlag(&b))
		manExample(&b, sub.Example)
		b.WriteString(".PP\nExit status:\n")
		manCodes(&b, a.exitsOf(sub))
	}
	manFlags(&b, cmd)
	b.WriteString(".SH EXAMPLES\n")
	manExample(&b, cmd.Example)
	manExits(&b, a.exitsOf(cmd))
	b.WriteString(".SH SEE ALSO\n.BR sysctl (1)\n")
	return b.String()
}

func manHead(b *strings.Builder, name, short, usage string) {
	fmt.Fprintf(b, ".TH %s 1 \"\" sysctl \"sysctl manual\"\n", roff(strings.ToUpper(name)))
	fmt.Fprintf(b, ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n.B sysctl\n%s\n.SH DESCRIPTION\n", roff(name), roff(short), roff(usage))
}

// manText writes paragraphs.
func manText(b *strings.Builder, text string) {
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		for line := range strings.SplitSeq(paragraph, "\n") {
			b.WriteString(roff(line) + "\n")
		}
		b.WriteString(".PP\n")
	}
}

// manFlags writes the flags of a command and those it inherits.
func manFlags(b *strings.Builder, cmd *cobra.Command) {
	b.WriteString(".SH OPTIONS\n")
	cmd.InitDefaultHelpFlag()
	eachFlag(allFlags(cmd), manFlag(b))
}

func manFlag(b *strings.Builder) func(*pflag.Flag) {
	return func(f *pflag.Flag) {
		value, text := pflag.UnquoteUsage(f)
		name := `\fB` + roff("--"+f.Name) + `\fR`
		if f.Shorthand != "" {
			name = `\fB` + roff("-"+f.Shorthand) + `\fR, ` + name
		}
		if value != "" {
			name += ` \fI` + roff(value) + `\fR`
		}
		fmt.Fprintf(b, ".TP\n%s\n%s\n", name, roff(text))
	}
}

func manExample(b *strings.Builder, example string) {
	b.WriteString(".PP\n.nf\n.RS 4\n")
	for line := range strings.SplitSeq(example, "\n") {
		b.WriteString(roff(strings.TrimPrefix(line, "  ")) + "\n")
	}
	b.WriteString(".RE\n.fi\n")
}

func manExits(b *strings.Builder, codes []exitCode) {
	b.WriteString(".SH EXIT STATUS\n")
	manCodes(b, codes)
}

func manCodes(b *strings.Builder, codes []exitCode) {
	for _, c := range codes {
		fmt.Fprintf(b, ".TP\n.B %d\n%s\n", c.code, roff(c.meaning))
	}
}

// roff escapes a line of text: backslashes, the dashes of flags, and a first character that would make
// it a request.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `…`, `...`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
