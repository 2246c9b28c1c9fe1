package lxc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Start boots an instance on root, a detached mount, with disks, detached mounts in the order of b.Disks, and returns once its init runs. On failure the
// error names the probable cause; what is left over is removed by Clear, which the caller calls.
// A cancelled ctx ends the keeper. Holds the environment's cgroup lock shared.
//
// meanwhile, where it is not nil, is called while liblxc prepares, and has returned when Start does. The init runs only after
// it has succeeded and the run is written down, so a caller who is killed leaves either no guest or one that runs; its failure is Start's. An init that does not run within Options.BootLimit of that is given up, with
// Unavailable: liblxc itself waits for ever for a child that cannot answer.
func (rt *Runtime) Start(ctx context.Context, b sysctl.Boot, root *os.File, disks []*os.File, meanwhile func() error) (sysctl.State, error) {
	if err := rt.prepare(b.Instance); err != nil {
		return sysctl.State{}, sysctl.Wrap(err, "run directory")
	}
	if err := errors.Join(checkRlimits(b.Kernel), rt.makePolicy(b)); err != nil {
		return sysctl.State{}, err
	}
	if err := loadModules(ctx, b.Kernel.Modules); err != nil {
		return sysctl.State{}, err
	}
	if err := rt.lateLimits(b.Instance, b); err != nil {
		return sysctl.State{}, err
	}
	if err := rt.SetCards(b.Instance, cardsOf(b)); err != nil {
		return sysctl.State{}, sysctl.Wrap(err, "note the host's interfaces")
	}
	if err := rt.SetWiring(b.Instance, b.Wiring); err != nil {
		return sysctl.State{}, sysctl.Wrap(err, "note the wiring")
	}
	if err := rt.SetDevices(b.Instance, b.Devices); err != nil {
		return sysctl.State{}, sysctl.Wrap(err, "note the devices")
	}
	if err := rt.saveRules(b); err != nil {
		return sysctl.State{}, sysctl.Wrap(err, "note the device rules")
	}
	if b.Compat.LegacyTables {
		if err := loadTables(ctx); err != nil {
			return sysctl.State{}, err
		}
	}
	unlock, err := rt.lockCgroups(unix.LOCK_SH)
	if err != nil {
		return sysctl.State{}, err
	}
	defer unlock()
	r := runFile{RunID: b.RunID, Started: time.Now(), Measures: b.Measures, Rlimits: b.Kernel.Rlimits, RawIDs: b.IDMap.Raw, Links: hostEnds(b.NICs)}
	pid, err := rt.bootAfter(ctx, func() error {
		if meanwhile != nil {
			if err := meanwhile(); err != nil {
				return err
			}
		}
		return sysctl.Wrap(r.save(rt.paths.RunFile(b.Instance)), "run file")
	}, b, root, disks)
	if err != nil {
		return sysctl.State{}, err
	}
	init, monitor, ok := identify(pid)
	if !ok {
		return sysctl.State{}, rt.cause(b, "init ended at once")
	}
	mon, _, ok := identify(monitor)
	if !ok {
		return sysctl.State{}, rt.cause(b, "monitor ended at once")
	}
	r.Init, r.Monitor, r.Started = init, mon, time.Now()
	if err := r.save(rt.paths.RunFile(b.Instance)); err != nil {
		return sysctl.State{}, sysctl.Wrap(err, "run file")
	}
	return sysctl.State{Status: sysctl.Running, Init: init, Monitor: mon, RunID: b.RunID, Started: r.Started}, nil
}

// DefaultBootLimit is how long the init may take to begin where nobody says otherwise. It takes tens of milliseconds; where the
// host is emulated, and busy, minutes: apparmor_parser alone.
const DefaultBootLimit = 10 * time.Minute

// bootAfter boots, and holds the init back until meanwhile has succeeded.
func (rt *Runtime) bootAfter(ctx context.Context, meanwhile func() error, b sysctl.Boot, root *os.File, disks []*os.File) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	g, err := rt.shutGate(b.Instance)
	if err != nil {
		return 0, sysctl.Wrap(err, "gate")
	}
	defer g.Close()
	late := time.AfterFunc(rt.bootLimit, func() { cancel(rt.late(b)) })
	defer late.Stop()
	late.Stop() // writing may take what time it takes
	done := make(chan error, 1)
	go func() {
		err := meanwhile()
		if err == nil {
			late.Reset(rt.bootLimit)
			err = g.open()
		}
		if err != nil {
			cancel(nil)
		}
		done <- err
	}()
	pid, err := rt.boot(ctx, b, root, disks)
	if failed := <-done; failed != nil {
		return 0, failed // why it was cancelled
	}
	return pid, err
}

// late is why a boot was given up.
func (rt *Runtime) late(b sysctl.Boot) error {
	log, _ := os.ReadFile(rt.paths.Log(b.Instance)) // absent: liblxc had nothing to say
	why := "liblxc says nothing"
	if line := probable(string(log)); line != "" {
		why = "liblxc: " + line
	}
	err := sysctl.E(sysctl.Unavailable, "its init has not begun to run within %v: %s", rt.bootLimit, why)
	if !b.Kernel.Calls.Usual() {
		return err.WithHint("sysctl config show %s --expanded: security.syscalls.* or raw.seccomp may take away a system call without which no start can go on", b.Name)
	}
	return err.WithHint("on a host that is so slow: boot_limit in config.yaml (doc/layout.md)")
}

// boot hands everything to a keeper and returns the init's pid.
func (rt *Runtime) boot(ctx context.Context, b sysctl.Boot, root *os.File, disks []*os.File) (int, error) {
	joins, err := rt.joins(ctx, b)
	if err != nil {
		return 0, err
	}
	defer closeAll(joins)
	request, err := rt.request(b, len(joins))
	if err != nil {
		return 0, err
	}
	defer request.Close()
	k, err := rt.readyKeeper()
	if err != nil {
		return 0, err
	}
	defer k.close()
	answer, _, err := k.ask(ctx, slices.Concat([]*os.File{request, root}, joins, disks)...)
	if err != nil {
		return 0, err
	}
	if why, refused := strings.CutPrefix(answer, "!"); refused {
		return 0, rt.cause(b, why)
	}
	pid, err := strconv.Atoi(answer)
	if err != nil || pid <= 0 {
		return 0, rt.cause(b, "init ended at once")
	}
	return pid, nil
}

// readyKeeper takes the keeper that Warm has started, or starts one.
func (rt *Runtime) readyKeeper() (*keeper, error) {
	select {
	case coming := <-rt.ahead:
		if w := <-coming; w.err == nil {
			return w.keeper, nil
		}
	default:
	}
	return runKeeper(rt.bootProgram)
}

// request renders a boot into the keeper's input (cmd/sysctl-boot), in an anonymous file.
func (rt *Runtime) request(b sysctl.Boot, joins int) (*os.File, error) {
	h := rt.host()
	var err error
	if h.measured, err = rt.measured(b.Compat); err != nil {
		return nil, err
	}
	f, err := memfile("boot")
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	fmt.Fprintf(&buf, "%s\x00%s\x00%s\x00%s\x00%d\x00", rt.paths.lxcName(b.Instance), lxcPath, rootDir, rt.joinFile(b.Instance), joins)
	for _, d := range b.Disks {
		if d.InDev { // put aside until there is a /dev (bindDisks)
			buf.WriteString("=" + filesDir)
		}
		fmt.Fprintf(&buf, "%s\x00", d.Path)
	}
	for _, it := range Render(b, h, rt.paths) {
		fmt.Fprintf(&buf, "%s\x00%s\x00", it.Key, it.Value)
	}
	if _, err := f.WriteAt(buf.Bytes(), 0); err != nil {
		f.Close()
		return nil, sysctl.Wrap(err, "boot request")
	}
	return f, nil
}

// joinFile is the cgroup.procs through which a keeper enters its instance's cgroup before it starts anything, so
// that whoever clears up finds it and its children there.
func (rt *Runtime) joinFile(id int64) string {
	root := rt.cgroups.v2
	if root == "" {
		root = rt.cgroups.all[0]
	}
	return filepath.Join(root, rt.paths.KeeperCgroup(id), "cgroup.procs")
}

// joins are the open cgroup.procs of what a keeper enters besides.
func (rt *Runtime) joins(ctx context.Context, b sysctl.Boot) ([]*os.File, error) {
	if b.Compat.Cgroups != sysctl.CgroupsNamed || !rt.cgroups.pure() {
		return nil, nil
	}
	procs, err := rt.makeNamed(ctx, b)
	if err != nil {
		return nil, err
	}
	return []*os.File{procs}, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// lockCgroups guards the environment's own directory in the cgroup hierarchies: starts hold it shared,
// whoever removes the directory holds it alone.
func (rt *Runtime) lockCgroups(how int) (unlock func(), err error) { return rt.lock("cgroups", how) }

func (rt *Runtime) lock(name string, how int) (unlock func(), err error) {
	dir := filepath.Join(rt.paths.Run, "lock")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := sysctl.Flock(f, how); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// hostEnds are the names of interfaces that stay on the host, by device.
func hostEnds(nics []sysctl.BootNIC) map[string]string {
	names := map[string]string{}
	for _, n := range nics {
		if n.HostName != "" {
			names[n.Device] = n.HostName
		}
	}
	return names
}
