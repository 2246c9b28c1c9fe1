package main

import (
	"context"
	"os"

	"github.com/sysctl-os/sysctl/manager/host"
)

// openHost opens this machine for one verb. It is the only function of the front that knows the room
// host. Without root there is only the catalogue of templates.
func openHost(ctx context.Context, starts bool) (backend, func(), error) {
	if os.Geteuid() != 0 {
		return host.Catalogue(), func() {}, nil
	}
	m, done, err := host.Open(ctx, host.FromEnviron(), starts)
	if err != nil {
		return nil, nil, err
	}
	return m, done, nil
}
