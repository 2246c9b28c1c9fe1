package manager

import (
	"os"
	"time"

	"github.com/sysctl-os/sysctl"
)

// CreateOptions is one launch or create.
type CreateOptions struct {
	Source    string   // template name or alias, image alias or id
	Name      string   // "" : one is made up
	Profiles  []string // nil: {"default"}; empty: none
	Config    map[string]string
	Devices   map[string]sysctl.Device
	Ephemeral bool
	IPs       []string // at most one per family, for the first NIC: addresses, on an interface of the host also with a prefix length
	Network   string   // for the first NIC: "" = profile's; "none" = no NIC at all; a managed network; "lan:IF"
	Start     bool     // launch
	DryRun    bool     // plan only: nothing is changed
	Keep      bool     // leave a failed instance for inspection
	Progress  sysctl.Progress
	Note      func(line string) // told what the user should know though it is no error; nil: nobody is
}

// Plan is what a create will do or has done.
type Plan struct {
	Instance sysctl.Instance `json:"instance"`
	Image    string          `json:"image"` // id of the image, "" where it is still to be built
	Build    bool            `json:"build"` // the image has to be built first
	Steps    []string        `json:"steps"` // names of the steps, in order
}

// StartOptions says who hears of a start.
type StartOptions struct {
	Progress sysctl.Progress
	Note     func(line string) // told what the user should know though it is no error; nil: nobody is
}

// StopOptions says how an instance is stopped.
type StopOptions struct {
	Timeout  time.Duration // how long the guest may take until it is killed; 0 = DefaultStopTimeout
	Force    bool          // kill at once
	Progress sysctl.Progress
	Note     func(line string) // told by what it was ended where that was not its init's own signal, and of a restart what StartOptions has; nil: nobody is
	withHost bool              // the host shuts down: it is to run again when that is back
}

// DeleteOptions says how an instance is deleted.
type DeleteOptions struct {
	Force bool              // stop it first where it runs
	Note  func(line string) // told that snapshots went with it; nil: nobody is
}

// SnapshotOptions says how a snapshot is made.
type SnapshotOptions struct {
	Expiry   *sysctl.Expiry // how long it is kept; nil: as snapshots.expiry says
	Progress sysctl.Progress

	due bool // made by the instance's schedule, and only if it still is due
}

// ExportOptions says what goes into an archive of an instance.
type ExportOptions struct {
	Compression  string // one of ArchiveFormats; "": the first
	InstanceOnly bool   // no snapshots
	Thin         bool   // no layers of images
	WithCompat   bool   // with the changed copies of the measure vsyscall, as files like any other
	Progress     sysctl.Progress
	Note         func(line string) // told what is left out; nil: nobody is
}

// ImageExportOptions says what goes into a tarball of an image.
type ImageExportOptions struct {
	WithCompat bool // with the changed copies of the measure vsyscall in the place of the files that they are of
	Progress   sysctl.Progress
	Note       func(line string) // told what is not as asked for; nil: nobody is
}

// ImportInstanceOptions says what becomes of an archive of an instance.
type ImportInstanceOptions struct {
	Name     string // "": the one it had
	Fresh    bool   // with machine id and ssh host keys of its own, as a copy
	Progress sysctl.Progress
	Note     func(line string) // told what is not as in the archive; nil: nobody is
}

// CopyOptions is one copy of an instance, or several.
type CopyOptions struct {
	Source    string
	Snapshot  string // of the source; "": what it is
	Names     []string
	Start     bool
	Ephemeral bool
	Progress  sysctl.Progress
	Note      func(line string) // told what the user should know though it is no error; nil: nobody is
}

// Info is an instance as promised and as observed.
type Info struct {
	sysctl.Instance
	State sysctl.State `json:"state"`
}

// Detail is everything known of one instance.
type Detail struct {
	Info
	Usage    sysctl.Usage             `json:"usage"`
	Expanded map[string]string        `json:"expanded_config"`
	AllDevs  map[string]sysctl.Device `json:"expanded_devices"`
	Uptime   time.Duration            `json:"uptime_ns"`
	Measures []sysctl.Measure         `json:"measures"` // that the run was started with; where none runs, that the next start would take
	Refusals []sysctl.Remark          `json:"refusals"` // why the next start would not boot, where nothing runs
	Crashes  sysctl.Crashes           `json:"crashes"`  // of its init
}

// ExecOptions is one command in a running instance.
type ExecOptions struct {
	Argv   []string
	Env    []string // KEY=VALUE, over the instance's environment.*
	User   string   // "" = root; a name or uid, looked up in the guest's passwd
	Group  string   // "" = the user's primary group; a name or gid
	Cwd    string   // "" = the user's home
	Login  bool     // run the user's login shell; Argv is ignored
	Stdin  *os.File
	Stdout *os.File
	Stderr *os.File
	TTY    bool // give it a pty of the guest's; Stdin must be a terminal (set raw by the caller)
	// Resize delivers new terminal sizes while TTY; may be nil.
	Resize <-chan WindowSize
}

// WindowSize is a terminal's size in characters.
type WindowSize struct{ Rows, Cols uint16 }

// ConsoleOptions attaches to an instance's console.
type ConsoleOptions struct {
	In     *os.File
	Out    *os.File
	Escape byte // control character that, followed by 'q', detaches; 1 = ctrl-a
	Resize <-chan WindowSize
}

// ImportOptions is one image import.
type ImportOptions struct {
	Path      string // tarball (gz, xz, zst, bz2, plain), disk image (raw, qcow2, vmdk), or a directory
	Partition string // of a disk image: what has the root filesystem; "": the only one
	Alias     string
	MaxSize   int64  // bytes the unpacked tree may have; 0 = DefaultMaxSize
	Prep      string // preparation steps that are switched off, as the config key guest.prep has them
	Progress  sysctl.Progress
}

// AutostartOptions says what is started.
type AutostartOptions struct {
	Crashed  bool // only what has crashed, is to be started again by boot.autorestart, and is not, as nobody has noticed
	Progress sysctl.Progress
}

// AutostartResult is what became of one instance at autostart or autostop.
type AutostartResult struct {
	Name  string `json:"name"`
	Error string `json:"error,omitempty"`
}

// BuildOptions is one template's build.
type BuildOptions struct {
	Template string            // name or alias
	Set      map[string]string // values of its variables
	Mirror   string            // URL of the package archive; "": the configured one, or the recipe's
	Offline  bool              // use no network
	Platform string            // linux/386, i386, …; "": this host's
	Rebuild  bool              // build even where an image of the same inputs is there
	Progress sysctl.Progress
	Note     func(line string) // told what the user should know though it is no error; nil: nobody is
}

// Build is what became of a template's build.
type Build struct {
	Image  sysctl.Image `json:"image"`
	Cached bool         `json:"cached"` // it was there already: nothing was built
}

// PullOptions is one image pull.
type PullOptions struct {
	Ref      string // REMOTE:ALIAS, oci:REFERENCE, docker://REFERENCE
	Alias    string // "": made of the reference
	Offline  bool   // use no network: what was downloaded before
	Platform string // linux/386, i386, …; "": this host's
	Progress sysctl.Progress
}

// TestOptions is one boot test of a template.
type TestOptions struct {
	Template string        // name or alias
	Keep     bool          // leave the instance for inspection, as the test left it
	Timeout  time.Duration // how long the guest may take to halt; 0 = DefaultTestTimeout. A third of it is for the signal to init alone
	Progress sysctl.Progress
	Note     func(line string) // told what the user should know though it is no error; nil: nobody is
}
