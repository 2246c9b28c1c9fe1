package main

import (
	"bytes"

	"github.com/spf13/cobra"
)

func (a *app) completionCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "print a script that completes our command lines",
		Long: `Prints a script for a shell that completes verbs, flags, names of instances by what they are doing, images, profiles
and config keys. It completes kernel parameters too, since it takes the place of the completion that the system
has for its own sysctl.`,
		Example: `  eval "$(sysctl completion bash)"
  sysctl completion fish > sysctl.fish`,
		Args:              takes(1, 1),
		ValidArgsFunction: first(fixed("bash", "zsh", "fish")),
		RunE: func(cmd *cobra.Command, args []string) error {
			var b bytes.Buffer
			var err error
			switch root := cmd.Root(); args[0] {
			case "bash":
				err = root.GenBashCompletionV2(&b, true)
			case "zsh":
				err = root.GenZshCompletion(&b)
			case "fish":
				err = root.GenFishCompletion(&b, true)
			default:
				err = usageError(cmd, "no such shell: %s: bash, zsh or fish", args[0])
			}
			if err != nil {
				return err
			}
			return a.write(b.Bytes())
		},
	}
	return a.verb(cmd, traits{unprivileged: true})
}
