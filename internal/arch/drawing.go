package arch

// module is the import path of the repository's root.
const module = "github.com/sysctl-os/sysctl"

// drawing is printed when an import does not obey it.
const drawing = `
   cmd/sysctl      cmd/sysctld (LXD API)     scheduler plugin        FRONTS   translate only
        └───────────────┼─────────────────────────┘
                        ▼
                  manager/host                                       WIRING   the one room that knows all rooms
                        ▼
                     manager            manager/compat               VERBS    plan → lock → steps → undo
      ┌─────────┬───────┴────┬────────────┬─────────────┐
      ▼         ▼            ▽            ▽             ▽
  profiles      db      manager/lxc    storage      netconfig   templates      HANDS   one library each
      └─────────┴────────────┴────────────┴─────────────┴──────────┘
                                 ▼
                      sysctl (module root)                           NOUNS    stdlib only, no I/O
   ▼ imports     ▽ declared by manager as a small interface, implemented by the hand, plugged in by host
   An import may only point down.`

// Third-party libraries, each by the import paths it consists of.
const (
	cobra      = "github.com/spf13/cobra"
	pflag      = "github.com/spf13/pflag"
	golxc      = "github.com/lxc/go-lxc"
	sqlite     = "github.com/mattn/go-sqlite3"
	netlink    = "github.com/vishvananda/netlink"
	netns      = "github.com/vishvananda/netns"
	nftables   = "github.com/google/nftables"
	yaml       = "go.yaml.in/yaml/v3"
	compress   = "github.com/klauspost/compress"
	xz         = "github.com/ulikunitz/xz"
	registry   = "github.com/google/go-containerregistry"
	xsys       = "golang.org/x/sys"
	xterm      = "golang.org/x/term"
	xarch      = "golang.org/x/arch"
	goInternal = "github.com/rogpeppe/go-internal"
)

// room is what one directory's code may import besides the standard library. Directories are relative
// to the module's root; libraries are named by a prefix of their import paths.
type room struct {
	rooms     []string // "" is the module's root
	libraries []string
	tests     []string // rooms that its tests may import besides

	testLibraries []string // libraries that its tests may import besides
}

const anyRoom = "*"

// rooms is the whole house. A directory with Go code that is missing here fails the test: a new room
// gets its place in the drawing first.
var rooms = map[string]room{
	"": {},

	"profiles":           {rooms: []string{""}, libraries: []string{yaml}},
	"db":                 {rooms: []string{""}, libraries: []string{sqlite, xsys}}, // locks and blocks of its files
	"storage":            {rooms: []string{""}, libraries: []string{xsys}},
	"netconfig":          {rooms: []string{"", "netconfig/guest"}, libraries: []string{netlink, netns, nftables, xsys}},
	"netconfig/guest":    {rooms: []string{""}, testLibraries: []string{yaml}}, // netplan's files, read back
	"templates/packages": {rooms: []string{""}},
	"templates/vsyscall": {rooms: []string{""}, libraries: []string{xarch}},
	"templates":          {rooms: []string{""}, libraries: []string{yaml, compress, xz, registry, xsys}},
	"manager/lxc":        {rooms: []string{""}, libraries: []string{xsys}},
	"manager/compat":     {rooms: []string{""}},
	// The manager's own locks are flock(2), and terminals need poll(2): system calls, no library's business.
	"manager":            {rooms: []string{"", "profiles", "db", "manager/compat"}, libraries: []string{xsys}, testLibraries: []string{sqlite}},
	"cmd/sysctl-forward": {},
	"cmd/sysctl-keeper":  {libraries: []string{golxc, xsys}},
	"manager/host": {
		rooms: []string{"", "manager", "manager/compat", "manager/lxc", "profiles", "db", "storage",
			"netconfig", "netconfig/guest", "templates", "templates/packages", "templates/vsyscall"},
		libraries: []string{yaml, xsys},
	},
	"cmd/sysctl": {
		rooms:     []string{"", "manager", "manager/host", "profiles"},
		libraries: []string{cobra, pflag, xterm},
		tests:     []string{anyRoom},
	},

	"internal/bench":    {libraries: []string{xsys}}, // pidfds
	"internal/arch":     {},
	"internal/needs":    {},
	"internal/treetest": {rooms: []string{""}},
	// What the compat table says, over the catalogue's guests, for tests that write it down.
	"internal/compattest": {rooms: []string{"", "manager/compat", "templates"}},
	"internal/roottest":   {libraries: []string{xsys}, tests: []string{anyRoom}},
}

// Every test may import these besides what its room may.
var (
	testRooms     = []string{"internal/needs", "internal/treetest", "internal/compattest"}
	testLibraries = []string{goInternal}
)
