package manager

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/db"
	"github.com/sysctl-os/sysctl/manager/compat"
	"golang.org/x/sys/unix"
)

// buildPrefix begins the names of instances that templates are finished in. Users cannot take one.
const buildPrefix = "sysctl-build-"

// checkNewName reports why nobody may call an instance so.
func checkNewName(name string) error {
	if err := sysctl.CheckName(name); err != nil {
		return err
	}
	if strings.HasPrefix(strings.ToLower(name), buildPrefix) {
		return sysctl.E(sysctl.Invalid, "instance name %q: names that begin with %q are for building templates", name, buildPrefix)
	}
	return nil
}

// buildName is the name of the instance that a template is finished in: a host name label out of it.
func buildName(template string) string {
	label := strings.Map(func(r rune) rune {
		if r < 128 && (r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z') {
			return r
		}
		return -1
	}, template)
	return buildPrefix + label[:min(len(label), sysctl.MaxName-len(buildPrefix))]
}

// runInTree runs a script, as root with a network (unless o.Offline), in an unprivileged instance whose root is the tree
// under construction itself: what it writes is in the tree. The instance has no upper, runs no init of the tree's, and
// ends with the script, or with this process however that ends. What an interrupted one has left is removed first.
func (m *Manager) runInTree(ctx context.Context, template string, s Staging, script string, o BuildOptions) error {
	name := buildName(template)
	unlock, err := m.lock(ctx, "instance", name, o.Progress)
	if err != nil {
		return err
	}
	defer unlock()
	if err := m.clearHalfMade(ctx, name); err != nil {
		return err
	}
	r := &treeRun{m: m, s: s, alone: o.Offline}
	defer func() {
		if r.alive != nil {
			r.alive.Close()
		}
	}()
	return runSteps(ctx, []step{
		{name: "claim an instance to build in", claim: true,
			do:   func(ctx context.Context) error { return r.claim(ctx, name) },
			undo: func(ctx context.Context) error { return m.DB.DeleteInstance(ctx, r.inst.ID) }},
		{name: "boot it",
			do: func(ctx context.Context) error { return r.boot(ctx, o.Progress) },
			undo: func(ctx context.Context) error {
				return errors.Join(m.Runtime.Clear(ctx, r.inst.ID), m.Runtime.RemoveLogs(r.inst.ID))
			}},
		{name: "in an instance", do: func(ctx context.Context) error { return r.run(ctx, script, o.Progress) }},
		{name: "remove the instance", do: func(ctx context.Context) error { return r.end(ctx) }},
	}, false, o.Progress)
}

// treeRun is one instance over a tree under construction.
type treeRun struct {
	m     *Manager
	s     Staging
	inst  sysctl.Instance
	spec  sysctl.Spec
	alone bool     // it has no network
	alive *os.File // the pipe that its init waits on: it is closed when this process ends
	put   []putBack
	undo  func() error // of what was changed in its programs; nil: nothing was
}

// putBack is a file of the tree that has another content while the instance runs.
type putBack struct {
	path string
	ours []byte // what we wrote: what is something else was written by a package, and stays
	data []byte
	link string
	perm fs.FileMode
	none bool // there was nothing
}

const (
	holdName = ".sysctl-build" // in the tree's root while the instance runs
	initPath = "/sbin/init"
)

// holder is init while packages are installed: a shell that waits until nobody has the pipe open for writing any more.
// With the first process of an instance end all others.
const holder = "#!/bin/sh\nread -r _ < /" + holdName + "\n"

// openPipe opens a pipe in a directory for writing, and for reading too so that nobody has to be there yet.
func openPipe(dir *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// claim makes the row: it is not ready and never will be, and is ephemeral, so that whoever finds it without its maker
// removes it.
func (r *treeRun) claim(ctx context.Context, name string) error {
	if !r.alone {
		r.spec.NICs = []sysctl.NICSpec{{Device: "eth0", Network: r.m.DefaultNetwork.Name, Name: "eth0"}}
	}
	nics, err := r.m.claimNICs(ctx, r.spec, sysctl.Instance{})
	if err != nil {
		return err
	}
	inst, err := r.m.DB.ClaimInstance(ctx, db.Claim{
		Instance: sysctl.Instance{Name: name, Ephemeral: true}, IDs: &r.m.IDs, NICs: nics, MAC: r.m.Net.MAC,
	})
	if err == nil {
		r.inst = inst
	}
	return err
}

// boot starts the instance on the tree, with what it needs and no more: the holder as init, and how to find names.
func (r *treeRun) boot(ctx context.Context, p sysctl.Progress) error {
	if err := r.m.networksOf(ctx, r.inst, func(n sysctl.Network) error { return r.m.Net.EnsureBridge(ctx, n) }); err != nil {
		return err
	}
	guest, c, err := r.measures(ctx, p) // it looks at what init is
	if err != nil {
		return err
	}
	if err := r.replace(initPath, []byte(holder), 0o755); err != nil {
		return err
	}
	if err := r.replace("/etc/resolv.conf", resolver(r.m.Net.HostDNS(ctx)), 0o644); err != nil {
		return err
	}
	if err := unix.Mkfifo(filepath.Join(r.s.Dir(), holdName), 0o600); err != nil {
		return sysctl.Wrap(err, "pipe")
	}
	b, err := r.m.bootOf(ctx, r.inst, r.spec)
	if err != nil {
		return err
	}
	b.Arch, b.Compat = guest.Arch, c
	root, err := r.s.OpenRoot(ctx, r.inst.IDMap)
	if err != nil {
		return err
	}
	defer root.Close()
	// In the mount that the instance has: in an overlay each mount has a pipe of its own.
	if r.alive, err = openPipe(root, holdName); err != nil {
		return sysctl.Wrap(err, "pipe")
	}
	_, err = r.m.Runtime.Start(ctx, b, root, nil, nil)
	return err
}

// measures has the tree's programs run on this host while the instance runs, as a start does for other instances, and returns
// what is in the tree and what the boot does for it. What a package brings meanwhile is not changed. No init of the tree's
// runs: nobody needs cgroups of another kind, and no tables of the host's kernel.
func (r *treeRun) measures(ctx context.Context, p sysctl.Progress) (sysctl.Guest, sysctl.Compat, error) {
	host, err := r.m.Runtime.Host(ctx)
	if err != nil {
		return sysctl.Guest{}, sysctl.Compat{}, err
	}
	guest, err := r.m.Guests.Detect(r.s.Tree())
	if err != nil {
		return guest, sysctl.Compat{}, sysctl.Wrap(err, "detect the guest")
	}
	c := compat.Judge(host, guest, r.spec).Effect
	if c.Vsyscall {
		find, _ := r.m.Guests.Vsyscalls()
		r.undo, err = r.s.Patch(ctx, find, p)
	}
	c.Cgroups, c.LegacyTables = sysctl.CgroupsOfHost, false
	return guest, c, err
}

// resolver is a resolv.conf(5).
func resolver(servers []netip.Addr, search []string) []byte {
	var b bytes.Buffer
	if len(search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(search, " "))
	}
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	return b.Bytes()
}

// replace writes a file and remembers what was there.
func (r *treeRun) replace(path string, data []byte, perm fs.FileMode) error {
	t, old := r.s.Tree(), putBack{path: path, ours: data}
	info, err := t.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		old.none, err = true, nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		old.link, err = t.Readlink(path)
	default:
		old.perm = info.Mode().Perm()
		old.data, err = t.ReadFile(path)
	}
	if err != nil {
		return err
	}
	r.put = append(r.put, old)
	return t.WriteFile(path, data, perm)
}

// restore undoes replace, but for what somebody else has written meanwhile.
func (r *treeRun) restore() error {
	var changes []sysctl.Change
	t := r.s.Tree()
	for _, old := range r.put {
		info, err := t.Lstat(old.path)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if now, err := t.ReadFile(old.path); err != nil || !bytes.Equal(now, old.ours) {
			continue
		}
		changes = append(changes, sysctl.Change{Path: old.path, Data: old.data, Perm: old.perm, Link: old.link, Remove: old.none})
	}
	return sysctl.Apply(t, changes)
}

// run runs the script to its end. Its output is not shown: its last lines are in the error.
func (r *treeRun) run(ctx context.Context, script string, p sysctl.Progress) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	out, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	last := make(chan []string, 1)
	go func() { last <- lastLines(out, p) }()
	status, err := r.m.Runtime.Exec(ctx, r.inst.ID, sysctl.Command{
		Argv: []string{"/bin/sh", "-c", script}, Cwd: "/",
		Env:   []string{defaultPath, "HOME=/root", "USER=root", "LC_ALL=C"},
		Stdin: null, Stdout: w, Stderr: w,
	})
	w.Close()
	// A service that a package started holds the pipe open: it ends with the instance.
	cleared := r.m.Runtime.Clear(context.WithoutCancel(ctx), r.inst.ID)
	if cleared != nil {
		out.Close()
	}
	said := <-last
	switch err = errors.Join(err, cleared); {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case status != 0:
		return sysctl.E(sysctl.Unavailable, "exit status %d: %s", status, strings.Join(said, "; "))
	}
	return nil
}

// saidLines is how many lines of the script's output an error shows.
const saidLines = 6

// lastLines reads to the end and returns the last lines. Each is a step of the progress.
func lastLines(r io.Reader, p sysctl.Progress) []string {
	var last []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		p.Report("install packages: "+line, 0, 0)
		if last = append(last, line); len(last) > saidLines {
			last = last[1:]
		}
	}
	_, _ = io.Copy(io.Discard, r) // a line too long for the scanner must not stop the script
	return last
}

// end ends the instance and takes out of the tree what was for it.
func (r *treeRun) end(ctx context.Context) error {
	if err := r.m.Runtime.Clear(ctx, r.inst.ID); err != nil {
		return err
	}
	if err := r.m.Runtime.RemoveLogs(r.inst.ID); err != nil {
		return err
	}
	r.alive.Close() // it is in the instance's mount
	if err := r.s.Reopen(ctx); err != nil {
		return err
	}
	if err := r.restore(); err != nil {
		return err
	}
	if r.undo != nil {
		if err := r.undo(); err != nil {
			return err
		}
	}
	if err := unix.Unlink(filepath.Join(r.s.Dir(), holdName)); err != nil {
		return sysctl.Wrap(err, "remove the pipe")
	}
	return r.m.DB.DeleteInstance(ctx, r.inst.ID)
}
