package lxc

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// What a run has of the host's interfaces is written down before it gets them. liblxc's monitor gives them back when a guest
// ends by itself; who kills the monitor does it instead (Clear).

// saveCards notes the interfaces that a boot takes.
func (rt *Runtime) saveCards(b sysctl.Boot) error {
	var cards []sysctl.Card
	for _, n := range b.NICs {
		if n.Type == "phys" {
			cards = append(cards, n.Card)
		}
	}
	if len(cards) == 0 {
		return nil
	}
	text, err := json.Marshal(cards)
	if err != nil {
		return err
	}
	return os.WriteFile(rt.paths.Cards(b.Instance), text, 0o600)
}

// cards are the interfaces that a run took.
func (rt *Runtime) cards(id int64) ([]sysctl.Card, error) {
	text, err := os.ReadFile(rt.paths.Cards(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var cards []sysctl.Card
	if err := json.Unmarshal(text, &cards); err != nil {
		return nil, sysctl.E(sysctl.Internal, "%s: not a list of interfaces: %w", rt.paths.Cards(id), err)
	}
	return cards, nil
}

// endAndGiveBack ends every process of an instance and gives the host's interfaces back. The network namespace is held
// meanwhile: with its last process it would go, and virtual interfaces with it.
func (rt *Runtime) endAndGiveBack(ctx context.Context, id int64) error {
	cards, err := rt.cards(id)
	if err != nil {
		return err
	}
	if len(cards) == 0 {
		return rt.end(ctx, id)
	}
	ns := rt.network(id)
	if ns != nil {
		defer ns.Close()
	}
	if err := rt.end(ctx, id); err != nil {
		return err
	}
	return rt.giveBack(ctx, ns, cards)
}

// network opens the network namespace of an instance: its init's or, where that has ended, the one that liblxc's monitor
// holds open. It is nil where both are gone.
func (rt *Runtime) network(id int64) *os.File {
	s := rt.State(id)
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return nil
	}
	var paths []string
	if s.Init.PID != 0 {
		paths = []string{filepath.Join("/proc", strconv.Itoa(s.Init.PID), "ns/net")}
	}
	if s.Monitor.PID != 0 {
		held, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(s.Monitor.PID), "fd/*"))
		paths = append(paths, held...)
	}
	for _, path := range paths {
		if is, err := os.Readlink(path); err != nil || is == own || !strings.HasPrefix(is, "net:[") {
			continue
		}
		if f, err := os.Open(path); err == nil {
			return f
		}
	}
	return nil
}
