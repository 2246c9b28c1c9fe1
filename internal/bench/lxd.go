package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// lxd is LXD or Incus, which share a command line, through the daemon that runs on this machine with its
// default profile and storage pool. Instances live in a project of their own.
type lxd struct {
	program
	name    string // of the peer
	command string
	daemons []string
	version string
	project bool // made by us
	image   bool // imported by us
}

func newLXD() *lxd { return &lxd{name: "lxd", command: "lxc", daemons: []string{"lxd"}} }
func newIncus() *lxd {
	return &lxd{name: "incus", command: "incus", daemons: []string{"incusd"}}
}

const lxdProject = "sysctl-bench"

func (l *lxd) Name() string      { return l.name }
func (l *lxd) About() string     { return l.version + ", its default profile" }
func (l *lxd) Store() string     { return "" }
func (l *lxd) Daemons() []string { return l.daemons }

func (l *lxd) Prepare(ctx context.Context, e *env) error {
	var err error
	if l.program, err = lookup(l.command); err != nil {
		return err
	}
	pools, err := l.run(ctx, "storage", "list", "--format", "csv")
	if err != nil {
		return missing("its daemon does not answer")
	}
	if len(pools) == 0 {
		return missing("its daemon has no storage pool")
	}
	version, err := l.run(ctx, "version")
	if err != nil {
		return err
	}
	l.version = l.name + " " + strings.Join(strings.Fields(string(version)), " ")
	// The project keeps its own images and instances and shares the default project's profiles.
	if _, err := l.run(ctx, "project", "create", lxdProject, "-c", "features.profiles=false"); err != nil {
		return err
	}
	l.project = true
	l.pre = []string{"--project", lxdProject}
	return l.importImage(ctx, e)
}

func (l *lxd) importImage(ctx context.Context, e *env) error {
	dir := filepath.Join(e.dir, l.name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	const metadata = "architecture: x86_64\ncreation_date: 1\nproperties:\n  os: debian\n  release: bookworm\n"
	if err := os.WriteFile(filepath.Join(dir, "metadata.yaml"), []byte(metadata), 0o600); err != nil {
		return err
	}
	meta, rootfs := filepath.Join(e.dir, l.name+"-meta.tar"), filepath.Join(e.dir, l.name+"-rootfs.tar")
	defer os.Remove(rootfs)
	if err := makeTar(ctx, dir, meta); err != nil {
		return err
	}
	if err := makeTar(ctx, e.tree, rootfs); err != nil {
		return err
	}
	_, err := l.run(ctx, "image", "import", meta, rootfs, "--alias", baseImage)
	l.image = err == nil
	return err
}

func (l *lxd) do(ctx context.Context, args ...string) error {
	_, err := l.run(ctx, args...)
	return err
}

func (l *lxd) Create(ctx context.Context, name string) error {
	return l.do(ctx, "init", baseImage, name)
}
func (l *lxd) Launch(ctx context.Context, name string) error {
	return l.do(ctx, "launch", baseImage, name)
}
func (l *lxd) Start(ctx context.Context, name string) error  { return l.do(ctx, "start", name) }
func (l *lxd) Stop(ctx context.Context, name string) error   { return l.do(ctx, "stop", name) }
func (l *lxd) Kill(ctx context.Context, name string) error   { return l.do(ctx, "stop", "--force", name) }
func (l *lxd) Delete(ctx context.Context, name string) error { return l.do(ctx, "delete", name) }

func (l *lxd) Exec(ctx context.Context, name string, argv ...string) ([]byte, error) {
	return l.run(ctx, append([]string{"exec", name, "--"}, argv...)...)
}

func (l *lxd) Snapshot(ctx context.Context, name, snap string) error {
	if l.name == "incus" {
		return l.do(ctx, "snapshot", "create", name, snap)
	}
	return l.do(ctx, "snapshot", name, snap)
}
func (l *lxd) Restore(ctx context.Context, name, snap string) error {
	if l.name == "incus" {
		return l.do(ctx, "snapshot", "restore", name, snap)
	}
	return l.do(ctx, "restore", name, snap)
}
func (l *lxd) Copy(ctx context.Context, name, to string) error {
	return l.do(ctx, "copy", "--instance-only", name, to)
}
func (l *lxd) Push(ctx context.Context, name, src, dir string) error {
	return l.do(ctx, "file", "push", "-r", "-p", src, name+dir+"/")
}
func (l *lxd) Pull(ctx context.Context, name, file, dst string) error {
	return l.do(ctx, "file", "pull", name+file, dst)
}
func (l *lxd) PullTree(ctx context.Context, name, dir, dst string) error {
	return l.do(ctx, "file", "pull", "-r", name+dir, dst)
}

// Devices are disks alone: which bridge its NICs would be on is its administrator's affair.
func (l *lxd) Devices() map[op][]string {
	return map[op][]string{opPlugDisk: {"disk", "source=/usr", "path=/mnt/bench", "readonly=true"}}
}
func (l *lxd) Plug(ctx context.Context, name, device string, args ...string) error {
	return l.do(ctx, append([]string{"config", "device", "add", name, device}, args...)...)
}
func (l *lxd) Unplug(ctx context.Context, name, device string) error {
	return l.do(ctx, "config", "device", "remove", name, device)
}
func (l *lxd) Command(ctx context.Context, name string, argv ...string) *exec.Cmd {
	return l.program.command(ctx, append([]string{"exec", name, "--"}, argv...)...)
}

func (l *lxd) Init(ctx context.Context, name string) (int, error) {
	out, err := l.run(ctx, "info", name)
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(string(out), "\n") {
		if pid, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(line)), "pid: "); ok {
			return strconv.Atoi(pid)
		}
	}
	return 0, errors.New("info " + name + ": no pid")
}

func (l *lxd) Close(ctx context.Context) error {
	var err error
	if l.image {
		err = l.do(ctx, "image", "delete", baseImage)
	}
	if l.project {
		l.pre = nil
		err = errors.Join(err, l.do(ctx, "project", "delete", lxdProject))
	}
	return err
}
