package manager

import (
	"context"
	"errors"
	"fmt"

	"github.com/sysctl-os/sysctl"
)

// step is a do and an undo, both idempotent. A step without undo leaves nothing that the undo of an
// earlier step does not remove.
type step struct {
	name string
	do   func(ctx context.Context) error
	undo func(ctx context.Context) error
	// claim marks a step whose failure has changed nothing: what it would undo is somebody else's.
	claim bool
}

// runSteps does steps in order. When one fails, it and everything before it are undone in reverse, on
// a context that a Ctrl-C does not reach, and the failure is returned. Unwinding stops at the first
// undo that fails; the error then says so too. keep leaves everything as it is.
func runSteps(ctx context.Context, steps []step, keep bool, p sysctl.Progress) error {
	for i, s := range steps {
		p.Report(s.name, 0, 0)
		err := ctx.Err()
		if err == nil {
			err = s.do(ctx)
		}
		if err == nil {
			continue
		}
		err = sysctl.Wrap(err, "%s", s.name)
		if keep {
			return err
		}
		done := steps[:i+1]
		if s.claim {
			done = steps[:i]
		}
		return errors.Join(err, unwind(context.WithoutCancel(ctx), done))
	}
	return nil
}

// unwind undoes steps in reverse and stops at the first undo that fails.
func unwind(ctx context.Context, steps []step) error {
	for i := len(steps) - 1; i >= 0; i-- {
		s := steps[i]
		if s.undo == nil {
			continue
		}
		if err := s.undo(ctx); err != nil {
			return fmt.Errorf("undo %s: %w", s.name, err)
		}
	}
	return nil
}

func stepNames(steps []step) []string {
	names := make([]string, len(steps))
	for i, s := range steps {
		names[i] = s.name
	}
	return names
}
