package main

import (
	"context"
	"slices"
	"sync"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

// atOnce is on how many instances a verb works at a time. It bounds memory and open files; most of the
// work is waiting for guests.
const atOnce = 8

// forEach does something to each name, in parallel, and goes on after a failure. Names given twice are done
// once. It returns nil, the one error, or failures in the order of names.
func forEach(names []string, do func(name string) error) error {
	names = unique(names)
	errs := make([]error, len(names))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, name := range names {
		slots <- struct{}{}
		wg.Go(func() {
			errs[i] = do(name)
			<-slots
		})
	}
	wg.Wait()
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return failures(errs)
}

func unique(names []string) []string {
	var once []string
	for _, name := range names {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once
}

// onInstances runs a verb on the instances named, with progress.
func (a *app) onInstances(cmd *cobra.Command, names []string,
	do func(ctx context.Context, b backend, name string, p sysctl.Progress) error) error {
	return a.with(cmd, func(ctx context.Context, b backend) error {
		of, stop := a.progress()
		defer stop()
		return forEach(names, func(name string) error {
			return do(ctx, b, name, of(name))
		})
	})
}
