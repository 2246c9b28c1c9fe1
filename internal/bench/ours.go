package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ours is sysctl itself, in an environment of its own.
type ours struct {
	binary  string
	sysctl  program
	dir     string
	runDir  string
	bridge  string
	table   string
	version string
}

const baseImage = "bench"

func (o *ours) Name() string  { return "sysctl" }
func (o *ours) About() string { return o.version + ", unprivileged, overlay, with network" }
func (o *ours) Store() string { return o.dir }

func (o *ours) Prepare(ctx context.Context, e *env) error {
	binary, err := filepath.Abs(o.binary)
	if err != nil {
		return err
	}
	if _, err := os.Stat(binary); err != nil {
		return missing("%s (make build)", o.binary)
	}
	o.dir = filepath.Join(e.dir, "sysctl")
	if err := os.Mkdir(o.dir, 0o700); err != nil {
		return err
	}
	if o.runDir, err = runDirectory("sysctl-bench-"); err != nil {
		return err
	}
	// Names of our own, so that Close can remove just these.
	o.bridge, o.table = fmt.Sprintf("sbench%d", os.Getpid()), fmt.Sprintf("sysctlbench%d", os.Getpid())
	// A network and ranges of ids for 300 instances; an environment has 253 addresses and 256 ranges by itself.
	settings := fmt.Appendf(nil, "network:\n  bridge: %s\n  nat_table: %s\n  ipv4: 10.213.244.1/22\nidmap:\n  base: 4200000000\n  count: 400\n", o.bridge, o.table)
	if err := os.WriteFile(filepath.Join(o.dir, "config.yaml"), settings, 0o600); err != nil {
		return err
	}
	o.sysctl = program{path: binary, env: append(os.Environ(), "SYSCTL_DIR="+o.dir, "SYSCTL_RUN_DIR="+o.runDir)}
	out, err := o.sysctl.run(ctx, "version", "--quiet")
	if err != nil {
		return err
	}
	o.version = strings.TrimSpace(string(out))
	_, err = o.sysctl.run(ctx, "image", "import", e.tree, "--alias", baseImage)
	return err
}

func (o *ours) Create(ctx context.Context, name string) error {
	return o.verb(ctx, "create", baseImage, name)
}
func (o *ours) Launch(ctx context.Context, name string) error {
	return o.verb(ctx, "launch", baseImage, name)
}
func (o *ours) Start(ctx context.Context, name string) error { return o.verb(ctx, "start", name) }
func (o *ours) Stop(ctx context.Context, name string) error  { return o.verb(ctx, "stop", name) }
func (o *ours) Kill(ctx context.Context, name string) error {
	return o.verb(ctx, "stop", "--force", name)
}
func (o *ours) Delete(ctx context.Context, name string) error { return o.verb(ctx, "delete", name) }

func (o *ours) verb(ctx context.Context, args ...string) error {
	_, err := o.sysctl.run(ctx, args...)
	return err
}

func (o *ours) Exec(ctx context.Context, name string, argv ...string) ([]byte, error) {
	return o.sysctl.run(ctx, append([]string{"exec", name, "--"}, argv...)...)
}

func (o *ours) Init(ctx context.Context, name string) (int, error) {
	out, err := o.sysctl.run(ctx, "info", name, "--format", "json")
	if err != nil {
		return 0, err
	}
	var info struct {
		State struct {
			Init struct {
				PID int `json:"pid"`
			} `json:"init"`
		} `json:"state"`
	}
	if err := json.Unmarshal(out, &info); err != nil {
		return 0, err
	}
	if info.State.Init.PID == 0 {
		return 0, fmt.Errorf("info %s: no init pid", name)
	}
	return info.State.Init.PID, nil
}

func (o *ours) Snapshot(ctx context.Context, name, snap string) error {
	return o.verb(ctx, "snapshot", name, snap)
}
func (o *ours) Restore(ctx context.Context, name, snap string) error {
	return o.verb(ctx, "restore", name, snap)
}
func (o *ours) Copy(ctx context.Context, name, to string) error { return o.verb(ctx, "copy", name, to) }
func (o *ours) Push(ctx context.Context, name, src, dir string) error {
	if info, err := os.Stat(src); err == nil && !info.IsDir() {
		return o.verb(ctx, "file", "push", "-p", src, name+dir+"/")
	}
	return o.verb(ctx, "file", "push", "-r", "-p", src, name+dir+"/")
}
func (o *ours) Pull(ctx context.Context, name, file, dst string) error {
	return o.verb(ctx, "file", "pull", name+file, dst)
}
func (o *ours) PullTree(ctx context.Context, name, dir, dst string) error {
	return o.verb(ctx, "file", "pull", "-r", name+dir, dst)
}
func (o *ours) Devices() map[op][]string {
	return map[op][]string{
		opPlugDisk:  {"disk", "source=/usr", "path=/mnt/bench", "readonly=true"},
		opPlugNIC:   {"nic", "network=" + o.bridge},
		opPlugProxy: {"proxy", "listen=unix:@" + o.table, "connect=tcp:127.0.0.1:22"},
	}
}
func (o *ours) Plug(ctx context.Context, name, device string, args ...string) error {
	return o.verb(ctx, append([]string{"config", "device", "add", name, device}, args...)...)
}
func (o *ours) Unplug(ctx context.Context, name, device string) error {
	return o.verb(ctx, "config", "device", "remove", name, device)
}
func (o *ours) Command(ctx context.Context, name string, argv ...string) *exec.Cmd {
	return o.sysctl.command(ctx, append([]string{"exec", name, "--"}, argv...)...)
}

// Close removes the environment as a user would.
func (o *ours) Close(ctx context.Context) error {
	if o.runDir == "" {
		return nil
	}
	return errors.Join(o.verb(ctx, "environment", "remove", "--force"), removeRunDirectory(o.runDir))
}
