package manager

import (
	"cmp"
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
	// beside, where it is not nil, is done at the same time as do. It has no undo.
	beside *step
	// claim marks a step whose failure has changed nothing: what it would undo is somebody else's.
	claim bool
}

// runSteps does steps in order. When one fails, it and everything before it are undone in reverse, on
// a context that a Ctrl-C does not reach, and the failure is returned. Unwinding stops at the first
// undo that fails; the error then says so too. keep leaves everything as it is.
func runSteps(ctx context.Context, steps []step, keep bool, p sysctl.Progress) error {
	for i, s := range steps {
		err := s.run(ctx, p)
		if err == nil {
			continue
		}
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

// run does a step and what is to be done beside it. When it returns both have; of two failures its own is told.
func (s step) run(ctx context.Context, p sysctl.Progress) error {
	if err := ctx.Err(); err != nil {
		return sysctl.Wrap(err, "%s", s.name)
	}
	other := make(chan error, 1)
	if s.beside == nil {
		other <- nil
	} else {
		p.Report(s.beside.name, 0, 0)
		go func() { other <- sysctl.Wrap(s.beside.do(ctx), "%s", s.beside.name) }()
	}
	p.Report(s.name, 0, 0)
	err := sysctl.Wrap(s.do(ctx), "%s", s.name)
	return cmp.Or(err, <-other)
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
