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

// podman runs the tree as a rootful container in a user namespace, with a store of its own.
type podman struct {
	program
	version string
	store   string
	runDir  string
}

func (p *podman) Name() string  { return "podman" }
func (p *podman) About() string { return p.version + ", user namespace, --systemd=always, no network" }
func (p *podman) Store() string { return p.store }

func (p *podman) Prepare(ctx context.Context, e *env) error {
	found, err := lookup("podman")
	if err != nil {
		return err
	}
	out, err := found.run(ctx, "--version")
	if err != nil {
		return err
	}
	p.version = strings.TrimSpace(string(out))
	p.store = filepath.Join(e.dir, "podman")
	if p.runDir, err = runDirectory("sysctl-bench-podman-"); err != nil {
		return err
	}
	p.program = found
	p.pre = []string{"--root", p.store, "--runroot", p.runDir, "--cgroup-manager", "cgroupfs", "--events-backend", "none"}
	tarball := filepath.Join(e.dir, "podman.tar")
	defer os.Remove(tarball)
	if err := makeTar(ctx, e.tree, tarball); err != nil {
		return err
	}
	_, err = p.run(ctx, "import", "--quiet", tarball, "localhost/"+baseImage)
	return err
}

// makeTar packs a tree, numeric owners, no compression.
func makeTar(ctx context.Context, tree, path string) error {
	_, err := program{path: "tar"}.run(ctx, "--numeric-owner", "-C", tree, "-cf", path, ".")
	return err
}

func (p *podman) flags(name string) []string {
	ids := "0:" + strconv.Itoa(idBase) + ":" + strconv.Itoa(idSize)
	return []string{"--name", name, "--network", "none", "--systemd", "always", "--uidmap", ids, "--gidmap", ids,
		"localhost/" + baseImage, "/sbin/init"}
}

func (p *podman) do(ctx context.Context, args ...string) error {
	_, err := p.run(ctx, args...)
	return err
}

func (p *podman) Create(ctx context.Context, name string) error {
	return p.do(ctx, append([]string{"create"}, p.flags(name)...)...)
}

func (p *podman) Launch(ctx context.Context, name string) error {
	return p.do(ctx, append([]string{"run", "--detach"}, p.flags(name)...)...)
}

func (p *podman) Start(ctx context.Context, name string) error { return p.do(ctx, "start", name) }
func (p *podman) Stop(ctx context.Context, name string) error {
	return p.do(ctx, "stop", "-t", "60", name)
}
func (p *podman) Kill(ctx context.Context, name string) error {
	return p.do(ctx, "stop", "-t", "0", name)
}
func (p *podman) Delete(ctx context.Context, name string) error { return p.do(ctx, "rm", name) }

func (p *podman) Exec(ctx context.Context, name string, argv ...string) ([]byte, error) {
	return p.run(ctx, append([]string{"exec", name}, argv...)...)
}

func (p *podman) Init(ctx context.Context, name string) (int, error) {
	out, err := p.run(ctx, "inspect", "--format", "{{.State.Pid}}", name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(out)))
}

// Close resets the store: a layer that was shifted for the id range is its own mount.
func (p *podman) Close(ctx context.Context) error {
	if p.runDir == "" {
		return nil
	}
	err := p.do(ctx, "system", "reset", "--force")
	if errors.Is(err, exec.ErrNotFound) {
		err = nil
	}
	return errors.Join(err, removeRunDirectory(p.runDir))
}
