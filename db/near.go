package db

import (
	"context"

	"github.com/sysctl-os/sysctl"
)

// notFound is the error for a name that a query for all names does not have. It suggests the nearest name
// where one is so near that it was probably meant. hint is a command that lists the names.
func notFound(ctx context.Context, q querier, noun, name, names, hint string) error {
	all, err := texts(ctx, q, names)
	if err != nil {
		return err
	}
	suggestion := ""
	if near := sysctl.Nearest(name, all); near != "" {
		suggestion = ": did you mean " + near + "?"
	}
	return sysctl.E(sysctl.NotFound, "%s %q not found%s", noun, name, suggestion).WithHint("%s", hint)
}
