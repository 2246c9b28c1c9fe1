package main

import (
	"context"
	"io"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// backend is what the front asks of the manager.
type backend interface {
	instanceVerbs
	imageVerbs
	profileVerbs
	deviceVerbs
	fileVerbs
	networkVerbs

	Templates(ctx context.Context) ([]sysctl.Template, error)
	Template(ctx context.Context, name string) (sysctl.Template, []byte, error)
	TemplateSteps(ctx context.Context, name string) ([]sysctl.PrepStep, error)
	ValidateTemplate(ctx context.Context, path string) error
	BuildTemplate(ctx context.Context, o manager.BuildOptions) (manager.Build, error)
	TestTemplate(ctx context.Context, o manager.TestOptions) (manager.TemplateTest, error)
	TemplateSchema() []byte

	RenderNetwork(ctx context.Context, o manager.RenderOptions) (manager.Rendering, error)

	Check(ctx context.Context) ([]sysctl.Fact, error)
	CheckGuest(ctx context.Context, o manager.DetectOptions) (manager.Checked, error)
	CheckTemplates(ctx context.Context) ([]manager.Checked, error)
	Autostart(ctx context.Context, o manager.AutostartOptions) ([]manager.AutostartResult, error)
	Autostop(ctx context.Context, p sysctl.Progress) ([]manager.AutostartResult, error)
	RemoveAll(ctx context.Context, force bool, p sysctl.Progress) error
	Settle(ctx context.Context, id int64, runID, target string) error
	Wire(ctx context.Context, id int64, init int) error
	Unwire(ctx context.Context, id int64, path string) error
}

type instanceVerbs interface {
	Create(ctx context.Context, o manager.CreateOptions) (manager.Plan, error)
	Start(ctx context.Context, name string, o manager.StartOptions) error
	Stop(ctx context.Context, name string, o manager.StopOptions) error
	Restart(ctx context.Context, name string, o manager.StopOptions) error
	Freeze(ctx context.Context, name string) error
	Unfreeze(ctx context.Context, name string) error
	Delete(ctx context.Context, name string, o manager.DeleteOptions) error
	Rename(ctx context.Context, name, to string) error
	List(ctx context.Context) ([]manager.Info, error)
	Info(ctx context.Context, name string) (manager.Detail, error)
	Exec(ctx context.Context, name string, o manager.ExecOptions) (int, error)
	Console(ctx context.Context, name string, o manager.ConsoleOptions) error
	Logs(ctx context.Context, name string, o manager.LogOptions) (io.ReadCloser, error)
	Snapshot(ctx context.Context, name, snap string, o manager.SnapshotOptions) (sysctl.Snapshot, error)
	KeepSchedules(ctx context.Context, p sysctl.Progress) ([]manager.Due, error)
	Snapshots(ctx context.Context, name string) ([]sysctl.Snapshot, error)
	RenameSnapshot(ctx context.Context, name, snap, to string) error
	DeleteSnapshot(ctx context.Context, name, snap string) error
	Restore(ctx context.Context, name, snap string, o manager.StartOptions) error
	Copy(ctx context.Context, o manager.CopyOptions) ([]sysctl.Instance, error)
	Events(ctx context.Context, o manager.EventOptions, each func(sysctl.Event) error) error
	Loads(ctx context.Context) (manager.HostLoad, []manager.Load, error)
	Load(ctx context.Context, name string) (manager.Load, error)
	SnapshotCounts(ctx context.Context) (map[int64]int, error)
	Mount(ctx context.Context, name, snap, dir string) error
	Views(ctx context.Context) ([]manager.View, error)
	Unmount(ctx context.Context, ref string, detach bool) error
	Diff(ctx context.Context, name string, o manager.DiffOptions) ([]sysctl.Difference, error)
	DiffPackages(ctx context.Context, name string, o manager.DiffOptions) ([]sysctl.PackageDifference, error)
	Export(ctx context.Context, name string, w io.Writer, o manager.ExportOptions) error
	Import(ctx context.Context, r io.Reader, o manager.ImportInstanceOptions) (sysctl.Instance, error)
	SetConfig(ctx context.Context, name string, set map[string]*string) (live []string, err error)
}

type imageVerbs interface {
	Images(ctx context.Context) ([]sysctl.Image, error)
	Image(ctx context.Context, ref string) (sysctl.Image, error)
	ImageSteps(ctx context.Context, ref string) ([]sysctl.PrepStep, error)
	Detect(ctx context.Context, o manager.DetectOptions) (manager.Detection, error)
	PullImage(ctx context.Context, o manager.PullOptions) (manager.Build, error)
	PullRemotes() []string
	StepNames() []string
	ImportImage(ctx context.Context, o manager.ImportOptions) (sysctl.Image, error)
	ExportImage(ctx context.Context, ref string, w io.Writer, o manager.ImageExportOptions) error
	DeleteImage(ctx context.Context, ref string) error
}

type profileVerbs interface {
	Profiles(ctx context.Context) ([]sysctl.Profile, error)
	Profile(ctx context.Context, name string) (p sysctl.Profile, usedBy []string, err error)
	CreateProfile(ctx context.Context, p sysctl.Profile) error
	UpdateProfile(ctx context.Context, p sysctl.Profile, note func(line string)) error
	SetProfile(ctx context.Context, name string, set map[string]*string, note func(line string)) error
	AddProfileDevice(ctx context.Context, name, device string, d sysctl.Device, note func(line string)) error
	RemoveProfileDevices(ctx context.Context, name string, devices []string, note func(line string)) error
	AssignProfiles(ctx context.Context, name string, names []string) (later []string, err error)
	AddProfile(ctx context.Context, name, profile string) (later []string, err error)
	RemoveProfile(ctx context.Context, name, profile string) (later []string, err error)
	DeleteProfile(ctx context.Context, name string) error
}

type networkVerbs interface {
	Networks(ctx context.Context) ([]sysctl.Network, error)
	Network(ctx context.Context, name string) (sysctl.Network, map[string][]sysctl.NIC, error)
	CreateNetwork(ctx context.Context, n sysctl.Network, p sysctl.Progress) error
	SetNetwork(ctx context.Context, name string, set map[string]*string, p sysctl.Progress) (later []string, err error)
	UpdateNetwork(ctx context.Context, n sysctl.Network, p sysctl.Progress) (later []string, err error)
	DeleteNetwork(ctx context.Context, name string) error
	RenameNetwork(ctx context.Context, name, to string) error
	NetworkLeases(ctx context.Context, name string) ([]sysctl.Lease, error)
	RestoreNetworks(ctx context.Context) ([]string, error)
	Forwards(ctx context.Context, network string) ([]sysctl.Forward, error)
	Forward(ctx context.Context, network, listen string) (sysctl.Forward, error)
	CreateForward(ctx context.Context, network, listen, target, description string) error
	DeleteForward(ctx context.Context, network, listen string) error
	AddForwardPort(ctx context.Context, o manager.PortOptions) error
	RemoveForwardPort(ctx context.Context, network, listen, protocol, ports string) error
}

type deviceVerbs interface {
	AddDevice(ctx context.Context, name, device string, d sysctl.Device) (later bool, err error)
	OverrideDevice(ctx context.Context, name, device string, d sysctl.Device) (later bool, err error)
	RemoveDevices(ctx context.Context, name string, devices []string) (later []string, err error)
}

type fileVerbs interface {
	PushFiles(ctx context.Context, sources []string, to manager.FileRef, in io.Reader, o manager.FileOptions) error
	PullFiles(ctx context.Context, refs []manager.FileRef, dst string, out io.Writer, o manager.FileOptions) error
	PushPacked(ctx context.Context, names []string, to manager.FileRef, in io.Reader, o manager.FileOptions) error
	PullPacked(ctx context.Context, refs []manager.FileRef, out io.Writer, o manager.FileOptions) error
	DeleteFile(ctx context.Context, ref manager.FileRef, all bool) error
	MakeDir(ctx context.Context, ref manager.FileRef, o manager.FileOptions) error
	ListFiles(ctx context.Context, ref manager.FileRef) ([]sysctl.File, error)
	ReadFile(ctx context.Context, ref manager.FileRef) ([]byte, error)
	ReplaceFile(ctx context.Context, ref manager.FileRef, before, data []byte) error
}

var _ backend = (*manager.Manager)(nil)
