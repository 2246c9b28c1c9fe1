package templates

import (
	"context"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// install puts the recipe's packages and services into the tree that the source s gave. It returns what has to be said
// about the result.
func (b *build) install(ctx context.Context, s recipeSource) (note string, err error) {
	script := b.recipe.script(s)
	init, err := hasInit(b.dir)
	if err != nil {
		return "", err
	}
	switch {
	case script == "" && !init && b.bootable(s):
		return "", sysctl.E(sysctl.Unsupported, "there is no init in it, and nothing says which packages bring one").
			WithHint("a template does: sysctl template show debian12 --recipe")
	case script == "":
		return "", nil
	case b.Run == nil && !init:
		return "", sysctl.E(sysctl.Unsupported, "there is no init in it, and packages cannot be installed here")
	case b.Run == nil:
		b.say("%s: packages and services of the template are left out", b.recipe.Name)
		return ", as it is", nil
	}
	if err := writeFiles(ctx, b.dir, b.recipe.Packages.Files); err != nil {
		return "", err
	}
	b.Progress.Report("install packages", 0, 0)
	if err := b.Run(ctx, b.dir, script); err != nil {
		return "", sysctl.Wrap(err, "install packages")
	}
	if init, err = hasInit(b.dir); err == nil && !init && b.bootable(s) {
		err = sysctl.E(sysctl.Unsupported, "there is no init in it after its packages were installed")
	}
	return ", finished in an instance", err
}

// bootable reports whether what the source gives must have an init. Bootstrap tools make what they were told to.
func (b *build) bootable(s recipeSource) bool { return s.Type != "bootstrap" }

// script is what has to run in the tree that the source s gave, or "".
func (r recipe) script(s recipeSource) string {
	var lines []string
	if s.Type != "bootstrap" && !s.Complete && len(r.Packages.Install) > 0 {
		lines = append(lines, installLines(r.Packages)...)
	}
	for _, name := range r.Services.Enable {
		lines = append(lines, serviceLine(name, true))
	}
	for _, name := range r.Services.Disable {
		lines = append(lines, serviceLine(name, false))
	}
	if len(lines) == 0 {
		return ""
	}
	return "set -e\nexport SOURCE_DATE_EPOCH=" + strconv.Itoa(sourceDate) + "\n" + strings.Join(lines, "\n") + "\n"
}

// installLines are the commands by which a package manager installs packages and forgets what it needed for that. The
// checker let nothing through that means something to a shell.
func installLines(p recipePackages) []string {
	names := strings.Join(p.Install, " ")
	switch p.Manager {
	case "apt":
		apt := "apt-get -q -y"
		if p.Unsigned {
			apt += " --allow-unauthenticated -o Acquire::Check-Valid-Until=false -o Acquire::AllowInsecureRepositories=true"
		}
		return []string{
			"export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true LC_ALL=C",
			apt + " update", apt + " --no-install-recommends install " + names, "apt-get clean",
		}
	case "yum", "dnf":
		yum := p.Manager + " -y"
		if p.Unsigned {
			yum += " --nogpgcheck"
		}
		return []string{yum + " install " + names, p.Manager + " clean all"}
	case "apk":
		return []string{"apk update", "apk add " + names, "rm -rf /var/cache/apk/*"}
	case "zypper":
		zypper := "zypper --non-interactive"
		if p.Unsigned {
			zypper += " --no-gpg-checks"
		}
		return []string{zypper + " install --no-recommends " + names, "zypper clean --all"}
	case "pacman":
		return []string{"pacman -Sy --noconfirm --needed " + names, "rm -rf /var/cache/pacman/pkg/*"}
	case "xbps":
		return []string{"xbps-install -Sy " + names, "rm -rf /var/cache/xbps/*"}
	}
	return nil
}

// serviceLine switches a service by whatever the guest switches services with.
func serviceLine(name string, on bool) string {
	ways := []string{"systemctl disable NAME", "chkconfig NAME off", "rc-update del NAME", "update-rc.d -f NAME remove"}
	if on {
		ways = []string{"systemctl enable NAME", "chkconfig NAME on", "rc-update add NAME default", "update-rc.d NAME defaults"}
	}
	var line strings.Builder
	for _, way := range ways {
		program, _, _ := strings.Cut(way, " ")
		line.WriteString("if command -v " + program + " >/dev/null 2>&1; then " + strings.ReplaceAll(way, "NAME", name) + "; el")
	}
	return line.String() + "se exit 1; fi"
}
