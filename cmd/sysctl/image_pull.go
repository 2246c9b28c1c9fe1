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

Without --alias the image is called like what was pulled. An alias that another image has moves to the new one.

--platform gets the image for another architecture that this machine can run: linux/386 on a 64-bit PC, or what an
emulator is registered for. Without --alias it is called like what was pulled, with the architecture after it:
debian/12/i386.`,
		Example: `  sysctl image pull images:debian/12
  sysctl image pull oci:registry.example/team/server:7 --alias server
  sysctl image pull images:debian/12 --platform linux/386
  sysctl image pull images:alpine/3.22 --format json`,
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.pullRemotes()),
	}
	cmd.Flags().StringVar(&o.Alias, "alias", "", "`NAME` of the image")
	cmd.Flags().BoolVar(&o.Offline, "offline", false, "use no network: what was downloaded before")
	platformFlag(cmd, &o.Platform)
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

// platformFlag gives a command --platform.
func platformFlag(cmd *cobra.Command, platform *string) {
	cmd.Flags().StringVar(platform, "platform", "", "`PLATFORM` of the image: linux/amd64, linux/386, linux/arm64, …; this machine's when not given")
	mustComplete(cmd, "platform", fixed("linux/386", "linux/amd64", "linux/arm/v7", "linux/arm64", "linux/ppc64le", "linux/riscv64", "linux/s390x"))
}
