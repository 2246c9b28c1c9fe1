// Package manager owns the verbs: plan, lock, steps, undo. It keeps no state of its own; it talks to
// the hands through the small interfaces it declares and never prints.
package manager

import (
	"context"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/db"
)

// Config wires a Manager. Everything is required unless it says otherwise.
type Config struct {
	DB        *db.DB
	Runtime   Runtime
	Storage   Storage
	Net       Net
	Guests    Guests
	Catalogue Templates

	LockDir        string                                       // holds the flock files
	BuiltDir       string                                       // remembers which image was built from what; may be emptied at any time
	DefaultNetwork sysctl.Network                               // made when first needed; subnets that are not valid are chosen then
	Bridge         func(network string) string                  // name of the bridge of a network other than the default one; nil: the network's
	IDs            db.IDBlock                                   // id ranges of unprivileged instances
	Hook           func(id int64) []string                      // command of the post-stop hook, to which the run id is added; nil: no hook
	WireHook       func(id int64) []string                      // command of the start-host hook; nil: no hook
	Link           func(id int64, nic int, runID string) string // host end of an instance's n-th NIC in one run
	CPUs           func() ([]int, error)                        // CPUs the host has online
	Memory         func() (int64, error)                        // bytes of memory the host has
	Now            func() time.Time
	NewRun         func() string                                    // a new run id
	Sleep          func(ctx context.Context, d time.Duration) error // waits so long; nil: by the clock
	Erase          func() error                                     // removes the environment's own files, when nothing is in it any more
}

// Manager runs verbs. It is safe for use by several goroutines; across processes the locks of
// doc/locking.md order them.
type Manager struct {
	Config
	lockDir string
}

// New returns a Manager over c.
func New(c Config) *Manager { return &Manager{Config: c, lockDir: c.LockDir} }

// lockInstance takes an instance's lock, reads its row (before the lock nothing read is true) and finishes what an
// interrupted seal or restore has promised. The caller unlocks, also where the row is not there (NotFound).
func (m *Manager) lockInstance(ctx context.Context, name string, p sysctl.Progress) (sysctl.Instance, func(), error) {
	inst, unlock, err := m.lockRow(ctx, name, p)
	if err != nil || !inst.Ready {
		return inst, unlock, err
	}
	layer, pending, err := m.DB.Pending(ctx, inst.ID)
	if err == nil && pending {
		err = sysctl.Wrap(m.moveUpper(ctx, inst.ID, layer), "finish what an interrupted command began")
	}
	if err == nil {
		err = sysctl.Wrap(m.Runtime.Release(context.WithoutCancel(ctx), inst.ID), "let it go on after an interrupted command")
	}
	return inst, unlock, err
}

// lockRow is lockInstance for who needs nothing of the instance's files.
func (m *Manager) lockRow(ctx context.Context, name string, p sysctl.Progress) (sysctl.Instance, func(), error) {
	if err := sysctl.CheckName(name); err != nil {
		return sysctl.Instance{}, func() {}, err
	}
	// A name that does not exist gets no lock file: typos would leave one each.
	if _, err := m.DB.Instance(ctx, name); err != nil {
		return sysctl.Instance{}, func() {}, err
	}
	unlock, err := m.lock(ctx, "instance", name, p)
	if err != nil {
		return sysctl.Instance{}, func() {}, err
	}
	inst, err := m.DB.Instance(ctx, name)
	return inst, unlock, err
}

// halfMade is the error of a verb on an instance whose making or deleting was interrupted.
func halfMade(name string) error {
	return sysctl.E(sysctl.Conflict, "it was left half-made by an interrupted command").WithHint("sysctl delete %s", name)
}

// running fails with Conflict unless the instance runs.
func (m *Manager) running(inst sysctl.Instance) (sysctl.State, error) {
	s := m.Runtime.State(inst.ID)
	switch s.Status {
	case sysctl.Running:
		return s, nil
	case sysctl.Frozen:
		return s, sysctl.E(sysctl.Conflict, "it is frozen").WithHint("sysctl unfreeze %s", inst.Name)
	}
	return s, sysctl.E(sysctl.Conflict, "it is not running").WithHint("sysctl start %s", inst.Name)
}
