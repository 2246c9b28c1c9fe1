package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// How long a guest may take to boot or to shut down before the benchmark gives up.
const bootLimit = time.Minute

// Guest paths: what runs inside is named absolutely, so that no peer's PATH matters.
const (
	guestTrue      = "/bin/true"
	guestSystemctl = "/usr/bin/systemctl"
)

// bench is one run: peers that are on this machine, and every instance that lives.
type bench struct {
	env    *env
	peers  []peer
	res    *results
	rounds int
	failed map[peer]error  // left out since
	held   map[peer]string // the instance whose files are measured

	mu    sync.Mutex
	alive map[peer]map[string]bool // instance → running
	count int
}

// newName returns a name no other instance of this run has.
func (b *bench) newName() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	return fmt.Sprintf("bench-%d-%d", os.Getpid(), b.count)
}

func (b *bench) note(p peer, name string, running bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.alive[p] == nil {
		b.alive[p] = map[string]bool{}
	}
	b.alive[p][name] = running
}

func (b *bench) forget(p peer, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.alive[p], name)
}

func (b *bench) launch(ctx context.Context, p peer, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.note(p, name, true)
	return p.Launch(ctx, name)
}

// remove kills and deletes an instance.
func (b *bench) remove(ctx context.Context, p peer, name string) error {
	if err := p.Kill(ctx, name); err != nil {
		return err
	}
	if err := p.Delete(ctx, name); err != nil {
		return err
	}
	b.forget(p, name)
	return nil
}

// removeAll removes what still lives, after a failure too; it tries everything.
func (b *bench) removeAll(ctx context.Context) error {
	var errs []error
	for p, names := range b.alive {
		for name, running := range names {
			var killErr error // only of interest where it cannot be deleted: it may not have started
			if running {
				killErr = p.Kill(ctx, name)
			}
			if err := p.Delete(ctx, name); err != nil {
				errs = append(errs, fmt.Errorf("could not remove %s of %s: %w", name, p.Name(), errors.Join(killErr, err)))
			}
		}
	}
	return errors.Join(errs...)
}

// settled waits until the machine is as quiet as before a command that a person types: what the last
// operation left to the kernel to do later must not help or hinder the next. Above all, for some tens of
// milliseconds after a process has changed cgroups the next one does so without waiting for an RCU
// grace period, so a peer would profit from its own stop just before.
func settled(ctx context.Context) {
	select {
	case <-time.After(250 * time.Millisecond):
	case <-ctx.Done():
	}
}

// timed runs f on a settled machine and records how long it took.
func (b *bench) timed(ctx context.Context, o op, p peer, f func() error) error {
	settled(ctx)
	begin := time.Now()
	if err := f(); err != nil {
		return err
	}
	b.res.time(o, p.Name(), time.Since(begin))
	return nil
}

// interleave calls f for every peer in turn, rounds times; each round begins with another peer. A peer
// that fails is left out from then on and named in the report; we and plain LXC must not fail.
func (b *bench) interleave(ctx context.Context, what string, f func(ctx context.Context, p peer) error) error {
	for i := range b.rounds {
		log.Printf("%s: round %d of %d", what, i+1, b.rounds)
		for j := range b.peers {
			p := b.peers[(i+j)%len(b.peers)]
			if b.failed[p] != nil {
				continue
			}
			err := f(ctx, p)
			if err == nil {
				continue
			}
			err = fmt.Errorf("%s: %s: %w", what, p.Name(), err)
			if ctx.Err() != nil || p.Name() == oursName || p.Name() == lxcName {
				return err
			}
			log.Print(err)
			b.failed[p] = err
		}
	}
	return nil
}

// answers waits until `exec true` works in the instance.
func answers(ctx context.Context, p peer, name string) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	for {
		_, err := p.Exec(ctx, name, guestTrue)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s never answered: %w", name, err)
		}
	}
}

// booted waits until systemd in the instance has started everything.
func booted(ctx context.Context, p peer, name string) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	for {
		out, err := p.Exec(ctx, name, guestSystemctl, "is-system-running")
		switch string(out) {
		case "running\n", "degraded\n":
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s never finished booting: %q: %w", name, out, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// life measures one instance from launch to delete.
func (b *bench) life(ctx context.Context, p peer) error {
	name := b.newName()
	settled(ctx)
	begin := time.Now()
	if err := b.launch(ctx, p, name); err != nil {
		return err
	}
	returned := time.Since(begin)
	if err := answers(ctx, p, name); err != nil {
		return err
	}
	b.res.time(opReady, p.Name(), time.Since(begin))
	b.res.time(opLaunch, p.Name(), returned)

	if err := booted(ctx, p, name); err != nil {
		return err
	}
	for range 3 {
		err := b.timed(ctx, opExec, p, func() error { _, err := p.Exec(ctx, name, guestTrue); return err })
		if err != nil {
			return err
		}
	}
	if err := b.memory(ctx, p, name); err != nil {
		return err
	}
	if err := b.stop(ctx, p, name); err != nil {
		return err
	}
	if err := b.timed(ctx, opStart, p, func() error { return p.Start(ctx, name) }); err != nil {
		return err
	}
	if err := booted(ctx, p, name); err != nil {
		return err
	}
	if err := b.timed(ctx, opKill, p, func() error { return p.Kill(ctx, name) }); err != nil {
		return err
	}
	if err := b.upperRemoval(ctx, p, name); err != nil {
		return err
	}
	if err := b.timed(ctx, opDelete, p, func() error { return p.Delete(ctx, name) }); err != nil {
		return err
	}
	b.forget(p, name)
	return nil
}

// stop measures a clean stop, and apart from each other the guest's own shutdown and what comes after it.
func (b *bench) stop(ctx context.Context, p peer, name string) error {
	pid, err := p.Init(ctx, name)
	if err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("init of %s: %w", name, err)
	}
	defer unix.Close(fd)
	ended := make(chan time.Time, 1)
	go func() {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			if n, err := unix.Poll(poll, int(bootLimit.Milliseconds())); n == 1 || err != nil && err != unix.EINTR {
				break
			}
		}
		ended <- time.Now()
	}()
	settled(ctx)
	begin := time.Now()
	if err := p.Stop(ctx, name); err != nil {
		return err
	}
	end, halted := time.Now(), <-ended
	b.res.time(opStop, p.Name(), end.Sub(begin))
	b.res.time(opHalt, p.Name(), halted.Sub(begin))
	b.res.time(opAfter, p.Name(), max(0, end.Sub(halted)))
	return nil
}

// upperRemoval measures the least a delete can cost: removing a copy of what the guest wrote.
func (b *bench) upperRemoval(ctx context.Context, p peer, name string) error {
	u, ok := p.(interface{ Upper(name string) string })
	if !ok {
		return nil
	}
	twin := filepath.Join(b.env.dir, "upper")
	if err := copyTree(ctx, u.Upper(name), twin); err != nil {
		return err
	}
	return b.timed(ctx, opRemove, p, func() error { return os.RemoveAll(twin) })
}

// burst measures many launches by several clients at once, then removes the instances.
func (b *bench) burst(ctx context.Context, p peer) error {
	const launches, clients = 20, 4
	names := make([]string, launches)
	for i := range names {
		names[i] = b.newName()
	}
	err := b.timed(ctx, opBurst, p, func() error {
		return each(names, clients, func(name string) error { return b.launch(ctx, p, name) })
	})
	if err != nil {
		return err
	}
	return each(names, clients, func(name string) error { return b.remove(ctx, p, name) })
}

// disk measures what an instance takes on disk before its first start.
func (b *bench) disk(ctx context.Context, p peer) error {
	if p.Store() == "" {
		return nil
	}
	name := b.newName()
	before, err := allocated(p.Store())
	if err != nil {
		return err
	}
	b.note(p, name, false)
	if err := p.Create(ctx, name); err != nil {
		return err
	}
	after, err := allocated(p.Store())
	if err != nil {
		return err
	}
	b.res.size(opDisk, p.Name(), after-before)
	if err := p.Delete(ctx, name); err != nil {
		return err
	}
	b.forget(p, name)
	return nil
}

// memory measures what the host keeps for an instance; the caller runs no other of the same peer.
func (b *bench) memory(ctx context.Context, p peer, name string) error {
	pid, err := p.Init(ctx, name)
	if err != nil {
		return err
	}
	n, err := hostMemory(name, pid, daemons(p))
	if err != nil {
		return err
	}
	b.res.size(opMemory, p.Name(), n)
	return nil
}

// daemons are the names of a peer's processes that serve all its instances.
func daemons(p peer) []string {
	if d, ok := p.(interface{ Daemons() []string }); ok {
		return d.Daemons()
	}
	return nil
}

// each calls f for every name from several clients at once and returns all errors.
func each(names []string, clients int, f func(name string) error) error {
	work := make(chan string)
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for name := range work {
				errs[i] = errors.Join(errs[i], f(name))
			}
		})
	}
	for _, name := range names {
		work <- name
	}
	close(work)
	wg.Wait()
	return errors.Join(errs...)
}
