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

// What a run has of the host's interfaces is written down before it gets them. They are given back by a hook when a guest
// ends by itself or reboots; who kills the monitor does it instead (Clear).

// SetCards notes the interfaces that a run takes. The note is replaced whole; a run that has none has no file.
func (rt *Runtime) SetCards(id int64, cards []sysctl.Card) error {
	path := rt.paths.Cards(id)
	if len(cards) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.Marshal(cards)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// cardsOf are the interfaces that a boot takes.
func cardsOf(b sysctl.Boot) (cards []sysctl.Card) {
	for _, n := range b.Wiring.Plugged {
		if n.Type == "phys" {
			cards = append(cards, n.Card)
		}
	}
	return cards
}

// Cards are the interfaces that a run took.
func (rt *Runtime) Cards(id int64) ([]sysctl.Card, error) {
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

// GiveBack makes the interfaces that a run took the host's again, from the network namespace of its guest, which has ended. With that
// namespace virtual ones would go.
func (rt *Runtime) GiveBack(ctx context.Context, id int64, guest *os.File) error {
	cards, err := rt.Cards(id)
	if err != nil || len(cards) == 0 {
		return err
	}
	return rt.giveBack(ctx, guest, cards)
}

// endAndGiveBack ends every process of an instance and gives the host's interfaces back. The network namespace is held
// meanwhile: with its last process it would go, and virtual interfaces with it.
func (rt *Runtime) endAndGiveBack(ctx context.Context, id int64) error {
	cards, err := rt.Cards(id)
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
