package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) imagePullCmd() *cobra.Command {
	var o manager.PullOptions
	cmd := &cobra.Command{
		Use:   "pull REMOTE:ALIAS|oci:REFERENCE|docker://REFERENCE",
		Short: "get an image from an image server or a registry",
		Long: `Gets the latest build of an image for this machine's architecture from an image server (the format of LXC, LXD and
Incus), or an image from a registry. All content is checked by its digest. A pull that was interrupted goes on where it
broke off. What has not changed is not got again, and layers that several images have are got and stored once.

"images" is the public image server; more remotes are configured: see doc/templates.md. Registries know who asks
by the logins of docker login. An image without an init cannot boot and is refused: a template adds one.

Without --alias the image is called like what was pulled. An alias that another image has moves to the new one.`,
		Example: `  sysctl image pull images:debian/12
  sysctl image pull oci:registry.example/team/server:7 --alias server
  sysctl image pull images:alpine/3.22 --format json`,
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.pullRemotes()),
	}
	cmd.Flags().StringVar(&o.Alias, "alias", "", "`NAME` of the image")
	cmd.Flags().BoolVar(&o.Offline, "offline", false, "use no network: what was downloaded before")
	mustComplete(cmd, "alias", a.imageRefs())
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.Ref = args[0]
		return a.with(cmd, func(ctx context.Context, b backend) error {
			of, stop := a.progress()
			o.Progress = of(o.Ref)
			pulled, err := b.PullImage(ctx, o)
			stop()
			if err != nil {
				return err
			}
			return a.printBuild(*out, pulled, o.Ref, "pulled")
		})
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Unsupported, sysctl.NoSpace, sysctl.Unavailable}})
}
