// Command bench measures sysctl against plain LXC, and against systemd-nspawn, podman, LXD and Incus
// where they are installed: the same Debian 12 tree, interleaved in one run, medians. It prints a
// table and writes it into doc/performance.md; it asserts nothing. It works in an environment of its
// own and leaves nothing behind, also when interrupted. It needs root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	rounds           int
	peers            string
	tree, dir, out   string
	binary           string
	stopped, running int
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	var o options
	flag.IntVar(&o.rounds, "n", 10, "rounds: samples per measure")
	flag.StringVar(&o.peers, "peers", "", "only these, separated by commas (default: all that are installed)")
	flag.StringVar(&o.tree, "tree", "", "Debian 12 tree with systemd to use (default: bootstrap one)")
	flag.StringVar(&o.dir, "dir", "/var/tmp", "directory on the disk to measure")
	flag.StringVar(&o.out, "o", "doc/performance.md", "document to write the table into, \"\" for none")
	flag.StringVar(&o.binary, "sysctl", "bin/sysctl", "our binary")
	flag.IntVar(&o.stopped, "stopped", 250, "stopped instances for list and info")
	flag.IntVar(&o.running, "running", 50, "running instances for list and info")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, o options) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("needs root")
	}
	if o.rounds < 1 || flag.NArg() > 0 {
		return errors.New("usage: bench [-n ROUNDS] [-peers NAME,…] …: see -h")
	}
	e, err := newEnv(ctx, o)
	if e != nil {
		defer func() { err = errors.Join(err, os.RemoveAll(e.dir)) }()
	}
	if err != nil {
		return err
	}
	b := &bench{env: e, res: newResults(), rounds: o.rounds, failed: map[peer]error{}, alive: map[peer]map[string]bool{}, held: map[peer]string{}}
	self := &ours{binary: o.binary}
	all := []peer{self, &plainLXC{}, &nspawn{}, &podman{}, newIncus(), newLXD()}
	defer func() { err = errors.Join(err, b.close()) }()
	absent, err := b.prepare(ctx, all, o.peers)
	if err != nil {
		return err
	}
	if err := b.measure(ctx, self, o); err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		return err
	}
	text := b.report(time.Now(), absent)
	fmt.Print(text)
	if o.out == "" {
		return nil
	}
	return write(o.out, text)
}

// newEnv makes the working directory with the tree in both forms. The env it returns is to be removed
// even after an error.
func newEnv(ctx context.Context, o options) (*env, error) {
	dir, err := os.MkdirTemp(o.dir, "sysctl-bench-")
	if err != nil {
		return nil, err
	}
	e := &env{dir: dir, tree: o.tree, shifted: filepath.Join(lxcPath(dir), lxcBase, "rootfs")}
	if err := os.Chmod(dir, 0o755); err != nil { // guests' root must be able to pass
		return e, err
	}
	if err := os.MkdirAll(filepath.Dir(e.shifted), 0o755); err != nil {
		return e, err
	}
	if e.tree == "" {
		e.tree = filepath.Join(dir, "tree")
		log.Print("bootstrapping Debian 12")
		if err := makeTree(ctx, e.tree); err != nil {
			return e, err
		}
	}
	if err := copyTree(ctx, e.tree, e.shifted); err != nil {
		return e, err
	}
	return e, shift(e.shifted, idBase)
}

// prepare readies the peers that are here and wanted, and returns what is not, with the reason.
func (b *bench) prepare(ctx context.Context, all []peer, wanted string) (absent []string, err error) {
	for _, p := range all {
		if wanted != "" && !slices.Contains(strings.Split(wanted, ","), p.Name()) {
			continue
		}
		log.Printf("preparing %s", p.Name())
		b.peers = append(b.peers, p)
		err := p.Prepare(ctx, b.env)
		if errors.Is(err, errMissing) {
			b.peers = b.peers[:len(b.peers)-1]
			absent = append(absent, fmt.Sprintf("%s: %v", p.Name(), err))
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("prepare %s: %w", p.Name(), err)
		}
	}
	if len(b.peers) == 0 {
		return nil, errors.New("nothing to measure: " + strings.Join(absent, "; "))
	}
	return absent, nil
}

func (b *bench) measure(ctx context.Context, self *ours, o options) error {
	if err := b.interleave(ctx, "life", b.life); err != nil {
		return err
	}
	if err := b.interleave(ctx, "burst", b.burst); err != nil {
		return err
	}
	if err := b.interleave(ctx, "disk", b.disk); err != nil {
		return err
	}
	if err := b.interleave(ctx, "data", b.data); err != nil {
		return err
	}
	for _, p := range b.peers {
		if b.failed[p] == nil {
			log.Printf("running snapshot: %s", p.Name())
			if err := b.runningSnapshot(ctx, p); err != nil {
				return err
			}
		}
	}
	if slices.Contains(b.peers, peer(self)) {
		log.Printf("list: %d stopped, %d running", o.stopped, o.running)
		return b.commands(ctx, self, o.stopped, o.running)
	}
	return nil
}

// close removes every instance and what the peers made. It runs on a context of its own: the run may
// have been interrupted.
func (b *bench) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	err := b.removeAll(ctx)
	for _, p := range b.peers {
		err = errors.Join(err, p.Close(ctx))
	}
	return err
}
