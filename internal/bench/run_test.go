package main

import (
	"context"
	"errors"
	"slices"
	"testing"
)

type namedPeer struct {
	peer
	name string
}

func (n *namedPeer) Name() string { return n.name }

func TestInterleaveRotatesAndLeavesOutWhatFails(t *testing.T) {
	ours, lxc, bad := &namedPeer{name: oursName}, &namedPeer{name: lxcName}, &namedPeer{name: "bad"}
	b := &bench{rounds: 3, peers: []peer{ours, lxc, bad}, failed: map[peer]error{}}
	var calls []string
	err := b.interleave(t.Context(), "test", func(_ context.Context, p peer) error {
		calls = append(calls, p.Name())
		if p == peer(bad) {
			return errors.New("broken")
		}
		return nil
	})
	want := []string{oursName, lxcName, "bad", lxcName, oursName, oursName, lxcName}
	if err != nil || !slices.Equal(calls, want) {
		t.Errorf("calls %v, %v; want %v", calls, err, want)
	}
	if b.failed[bad] == nil || len(b.failed) != 1 {
		t.Errorf("failed: %v", b.failed)
	}
	broken := errors.New("broken")
	for _, p := range []peer{ours, lxc} {
		b := &bench{rounds: 1, peers: []peer{p}, failed: map[peer]error{}}
		if err := b.interleave(t.Context(), "test", func(context.Context, peer) error { return broken }); !errors.Is(err, broken) {
			t.Errorf("%s failed and the run went on: %v", p.Name(), err)
		}
	}
}
