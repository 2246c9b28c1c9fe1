package lxc

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Options opens a Runtime.
type Options struct {
	Paths  Paths
	Keeper string // path of the sysctl-keeper binary
	Boot   string // path of the sysctl-boot binary
	// Forwarder is the path of the sysctl-forward binary.
	Forwarder string
	// GiveBack makes interfaces the host's again, from the network namespace of an instance that has ended, or nil.
	GiveBack func(ctx context.Context, guest *os.File, cards []sysctl.Card) error
	// Unwire takes the rules about packets away that an instance was wired with, or nil.
	Unwire func(ctx context.Context, id int64, w sysctl.Wiring) error
	// BootLimit is how long an init may take to begin; 0 is DefaultBootLimit.
	BootLimit time.Duration
}

// Runtime starts, observes and ends instances of one environment. It keeps nothing in memory that
// another process could change; callers hold the instance's lock for every method that changes
// something (Start, Clear, Signal, Freeze, Unfreeze).
type Runtime struct {
	paths       Paths
	keeper      string
	bootProgram string
	giveBack    func(ctx context.Context, guest *os.File, cards []sysctl.Card) error
	cgroups     hierarchies

	bootLimit time.Duration
	forwarder string
	unwired   func(ctx context.Context, id int64, w sysctl.Wiring) error

	ahead chan (<-chan started) // at most one keeper, started ahead of its work
}

// started is a keeper that was started ahead, or why it could not be.
type started struct {
	keeper *keeper
	err    error
}

// Open looks at the host's cgroups. It makes nothing.
func Open(o Options) (*Runtime, error) {
	h, err := probeCgroups()
	if err != nil {
		return nil, err
	}
	return &Runtime{paths: o.Paths, keeper: o.Keeper, bootProgram: o.Boot, forwarder: o.Forwarder, unwired: o.Unwire, giveBack: o.GiveBack, cgroups: h, bootLimit: cmp.Or(o.BootLimit, DefaultBootLimit), ahead: make(chan (<-chan started), 1)}, nil
}

// host is what rendering wants to know.
func (rt *Runtime) host() Host {
	return Host{Cgroup2: rt.cgroups.pure(), AppArmor: appArmor()}
}

// appArmor looks at the LSM.
func appArmor() AppArmor {
	b, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	if err != nil || !strings.HasPrefix(string(b), "Y") {
		return absent
	}
	if _, err := exec.LookPath("apparmor_parser"); err != nil {
		return unconfined
	}
	return confined
}

// prepare makes the run directory and the files a start needs. It is idempotent.
func (rt *Runtime) prepare(id int64) error {
	for _, dir := range []string{rt.paths.Dir(id), filepath.Join(rt.paths.Run, "log")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	for _, dir := range []string{rootDir, mountDir, filesDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if b, err := os.ReadFile(rt.paths.Seccomp()); err != nil || string(b) != seccompProfile() {
		tmp, err := os.CreateTemp(rt.paths.Run, ".seccomp-*")
		if err != nil {
			return err
		}
		_, err = tmp.WriteString(seccompProfile())
		if err := errors.Join(err, tmp.Close(), os.Rename(tmp.Name(), rt.paths.Seccomp())); err != nil {
			return err
		}
	}
	if err := os.Remove(rt.paths.Log(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(rt.paths.Marker(id), nil, 0o600)
}

// Signal sends a signal to the instance's init.
func (rt *Runtime) Signal(id int64, sig unix.Signal) error {
	init := rt.State(id).Init
	if init.PID == 0 {
		return nil
	}
	return signal(init, sig)
}

// LogPath and ConsoleLogPath name the logs; they may be absent.
func (rt *Runtime) LogPath(id int64) string        { return rt.paths.Log(id) }
func (rt *Runtime) ConsoleLogPath(id int64) string { return rt.paths.ConsoleLog(id) }
