package templates

import (
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

// What a recipe says of its guest is what detection finds in the tree of its release, and all of it that decides
// about booting: a systemd and a glibc of unknown age could be of any.
func TestRecipesKnowTheirGuests(t *testing.T) {
	c, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	for _, tm := range c.List() {
		t.Run(tm.Name, func(t *testing.T) {
			g := tm.Guest
			var found []string
			for name, e := range eras() {
				if !sameRelease(name, e.want, g) {
					continue
				}
				if why := disagreement(g, e.want); why != "" {
					t.Errorf("the tree %s: %s", name, why)
				}
				found = append(found, name)
			}
			if len(found) == 0 {
				t.Errorf("no tree of %s %s", g.ID, g.Version)
			}
			if g.Init == "" || g.Libc == "" || g.Init == "systemd" && g.InitVersion == "" {
				t.Errorf("%+v", g)
			}
			if g.Libc == "glibc" && g.LibcVersion == "" && g.ID != "void" { // whose has none in its name
				t.Errorf("a glibc of unknown age")
			}
		})
	}
}

// sameRelease reports whether a tree is of a recipe's release, as its distribution makes it.
func sameRelease(name string, tree, recipe sysctl.Guest) bool {
	if strings.HasPrefix(name, "debian12-") { // the same with another init
		return false
	}
	same := tree.Version == recipe.Version || strings.HasPrefix(tree.Version, recipe.Version+".") || recipe.Version == "rolling" || recipe.Version == "tumbleweed"
	return tree.Family == recipe.Family && tree.ID == recipe.ID && same
}

// disagreement says what a recipe has otherwise than the tree; what it leaves out is none.
func disagreement(recipe, tree sysctl.Guest) string {
	var out []string
	for _, f := range [][3]string{
		{"init", recipe.Init, tree.Init}, {"init_version", recipe.InitVersion, tree.InitVersion}, {"libc", recipe.Libc, tree.Libc},
		{"libc_version", recipe.LibcVersion, tree.LibcVersion}, {"packages", recipe.Packages, tree.Packages},
	} {
		if f[1] != "" && f[1] != f[2] {
			out = append(out, f[0]+" is "+f[2]+", the recipe says "+f[1])
		}
	}
	return strings.Join(out, "; ")
}

func TestGuestOfARecipe(t *testing.T) {
	r := recipe{Name: "x", Description: "X", OS: recipeOS{Family: "rhel", ID: "centos", Version: "7", Arch: []string{"i386", hostArch()}}, Guest: recipeGuest{"systemd", "219", "glibc", "2.17"}}
	g := r.guest()
	if g.Arch != hostArch() || g.InitVersion != "219" || g.LibcVersion != "2.17" || g.Packages != "rpm" || len(g.Evidence) != 1 {
		t.Errorf("%+v", g)
	}
	r.OS.Arch = []string{"i387", "i386"}
	if g := r.guest(); g.Arch != "i387" {
		t.Errorf("none for this host: %+v", g)
	}
	r.OS.Arch = []string{"i386"}
	if g := r.guest(); g.Bits != 32 {
		t.Errorf("%+v", g)
	}
}
