// Package host opens this machine: it finds the environment's paths and names, opens every hand and
// plugs them into a Manager. It is the one room that knows all rooms, and decides nothing.
package host

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/db"
	"github.com/sysctl-os/sysctl/manager"
	"github.com/sysctl-os/sysctl/manager/lxc"
	"github.com/sysctl-os/sysctl/netconfig"
	"github.com/sysctl-os/sysctl/storage"
)

// Open opens an environment of this machine, making its directories and database the first time. A
// caller that will start instances says so: what that needs in any case is then begun at once. The caller calls close.
func Open(ctx context.Context, e Environment, starts bool) (m *manager.Manager, close func(), err error) {
	for _, dir := range []string{e.Dir, e.RunDir} {
		if !filepath.IsAbs(dir) {
			return nil, nil, sysctl.E(sysctl.Invalid, "SYSCTL_DIR and SYSCTL_RUN_DIR must be absolute paths, not %q", dir)
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, nil, err
		}
	}
	number, err := e.number()
	if err != nil {
		return nil, nil, sysctl.Wrap(err, "environment %s", e.Dir)
	}
	settings, err := readSettings(configDir, e.Dir)
	if err != nil {
		return nil, nil, err
	}
	n := namesOf(number)
	network, ids, err := settings.apply(n)
	if err != nil {
		return nil, nil, sysctl.Wrap(err, "%s", filepath.Join(e.Dir, "config.yaml"))
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	rt, err := lxc.Open(lxc.Options{Paths: lxc.Paths{Run: e.RunDir, Cgroup: n.cgroup}, Keeper: libexec(self, "sysctl-keeper"), Boot: libexec(self, "sysctl-boot"), Forwarder: libexec(self, "sysctl-forward"),
		GiveBack: netconfig.GiveBack, Unwire: unwire(network.Table), BootLimit: settings.BootLimit})
	if err != nil {
		return nil, nil, err
	}
	if starts {
		rt.Warm()
	}
	d, err := db.Open(ctx, db.Options{Path: filepath.Join(e.Dir, "sysctl.db"), Now: time.Now, DefaultNetwork: network.Name})
	if err != nil {
		rt.Close()
		return nil, nil, err
	}
	store := storage.New(e.Dir).Shifting(storage.Shift(settings.Storage.Shift))
	erase := func() error {
		if err := store.WaitQgroups(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		return e.Remove()
	}
	m = manager.New(manager.Config{
		DB: d, Runtime: rt, Storage: storageOf{store}, Net: netOf{env: strconv.Itoa(number), table: network.Table},
		Guests: guests{}, Catalogue: settings.catalogue(e.Dir),
		BuiltDir: filepath.Join(e.Dir, "built"), LockDir: filepath.Join(e.RunDir, "lock"), DefaultNetwork: network, Bridge: bridgeName(number), IDs: ids,
		Hook: hook(self, e, "settle"), WireHook: hook(self, e, "wire"), Link: linkName(number),
		CPUs: onlineCPUs, Memory: totalMemory, Now: time.Now, NewRun: rand8, Erase: erase,
	})
	// The database is not closed: that would wait for the disk twice, and the end of the process does as well.
	return m, rt.Close, nil
}

// unwire takes away what the network hand has made of a wiring and does not go with the instance's links.
func unwire(table string) func(ctx context.Context, id int64, w sysctl.Wiring) error {
	return func(ctx context.Context, id int64, w sysctl.Wiring) error {
		if len(w.Ports) > 0 {
			if err := netconfig.Publish(ctx, table, id, nil); err != nil {
				return err
			}
		}
		var links []string
		for _, l := range w.Links {
			links = append(links, l.Name)
		}
		return netconfig.RemoveLinkRules(table, links)
	}
}

// libexec finds a binary of ours: where make install puts it, or beside this one (a build tree).
func libexec(self, name string) string {
	dir := filepath.Dir(self)
	installed := filepath.Join(dir, "..", "libexec", "sysctl", name)
	beside := filepath.Join(dir, name)
	if _, err := os.Stat(beside); err == nil {
		return beside
	}
	return installed
}

// hook is the command of a hidden verb on an instance, in this environment.
func hook(self string, e Environment, verb string) func(int64) []string {
	return func(id int64) []string {
		return []string{"env", "SYSCTL_DIR=" + e.Dir, "SYSCTL_RUN_DIR=" + e.RunDir, self, verb, strconv.FormatInt(id, 10)}
	}
}

// bridgeName names the bridges of networks, which two environments may call the same.
func bridgeName(number int) func(string) string {
	return func(network string) string {
		if number == 0 {
			return network
		}
		return network + "-" + strconv.Itoa(number)
	}
}

// linkName names host ends of veth pairs: unique over environments and runs, and at most 15 characters. A
// link of the last run may still be there for a moment when the next one starts.
func linkName(number int) func(int64, int, string) string {
	return func(id int64, nic int, runID string) string {
		return "sy" + strconv.Itoa(number) + "-" + strconv.FormatInt(id, 36) + "." + strconv.Itoa(nic) + runID[:3]
	}
}

func rand8() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Catalogue is a Manager that knows templates only, for a caller without root. It opens nothing.
func Catalogue() *manager.Manager {
	return manager.New(manager.Config{Catalogue: catalogue{dirs: []string{templateDir}}})
}
