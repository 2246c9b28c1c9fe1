package main

import (
	"context"
	"os"
	"os/exec"

	"github.com/sysctl-os/sysctl"
)

// editor lets the user change text in $VISUAL, $EDITOR or vi. The file the editor sees has a name that ends in suffix, which tells
// it what is in there.
func (a *app) editor(ctx context.Context, suffix string, text []byte) ([]byte, error) {
	f, err := os.CreateTemp("", "sysctl-*"+suffix)
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, err
	}
	program := "vi"
	for _, key := range []string{"EDITOR", "VISUAL"} {
		if v, ok := a.env(key); ok && v != "" {
			program = v
		}
	}
	// The variable holds a shell command ("code --wait"), as every program that reads it has it.
	cmd := exec.CommandContext(ctx, "sh", "-c", program+` "$1"`, "sh", f.Name())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.stdin, a.stdout, a.stderr
	if err := cmd.Run(); err != nil {
		return nil, sysctl.E(sysctl.Invalid, "editor %q: %w", program, err).WithHint("export EDITOR=vi")
	}
	return os.ReadFile(f.Name())
}
