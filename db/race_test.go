package db

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sysctl-os/sysctl"
)

const (
	racers = 6 // goroutines or processes
	rounds = 5 // claims of each, per kind of name
)

// outcome is what a racer saw.
type outcome struct {
	Claimed  []sysctl.Instance
	Taken    int // claims that failed with Exists
	Networks []sysctl.Network
}

// race is one racer: it claims names that all claim, and names of its own, and deletes and claims again.
func race(d *DB, racer int) (o outcome, err error) {
	ctx := context.Background()
	n := testNetwork
	n.Name, n.Config = "raced", map[string]string{"user.racer": fmt.Sprint(racer)}
	if n, err = d.EnsureNetwork(ctx, n); err != nil {
		return o, err
	}
	o.Networks = append(o.Networks, n)
	for round := range rounds {
		inst, err := d.ClaimInstance(ctx, claim(fmt.Sprint("all", round)))
		switch {
		case err == nil:
			o.Claimed = append(o.Claimed, inst)
		case sysctl.KindOf(err) == sysctl.Exists:
			o.Taken++
		default:
			return o, err
		}
		for again := range 2 {
			inst, err := d.ClaimInstance(ctx, claim(fmt.Sprintf("own%d-%d", racer, round)))
			if err != nil {
				return o, err
			}
			if again == 1 {
				o.Claimed = append(o.Claimed, inst)
			} else if err := d.DeleteInstance(ctx, inst.ID); err != nil {
				return o, err
			}
		}
	}
	return o, nil
}

// judge checks what all racers saw against each other and against the database.
func judge(t *testing.T, d *DB, outcomes []outcome) {
	t.Helper()
	stored, err := d.Instances(context.Background())
	must(t, err)
	byName := map[string]sysctl.Instance{}
	seen := map[any]string{}
	unique := func(what any, owner string) {
		if other, ok := seen[what]; ok {
			t.Errorf("%v is both %s's and %s's", what, other, owner)
		}
		seen[what] = owner
	}
	for _, inst := range stored {
		byName[inst.Name] = inst
		unique(inst.IDMap, inst.Name)
		unique(inst.NICs[0].IPv4, inst.Name)
		unique(inst.NICs[0].IPv6, inst.Name)
		unique(inst.NICs[0].MAC, inst.Name)
	}
	claimed, taken := 0, 0
	for _, o := range outcomes {
		taken += o.Taken
		wantEqual(t, o.Networks, outcomes[0].Networks)
		for _, inst := range o.Claimed {
			claimed++
			wantEqual(t, inst, byName[inst.Name])
		}
	}
	if want := rounds + racers*rounds; claimed != want || len(stored) != want {
		t.Errorf("%d claims succeeded and %d instances are there, want %d", claimed, len(stored), want)
	}
	if want := rounds * (racers - 1); taken != want {
		t.Errorf("%d claims found their name taken, want %d", taken, want)
	}
}

func TestGoroutinesRace(t *testing.T) {
	d := newDB(t)
	outcomes, errs := make([]outcome, racers), make([]error, racers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			<-start
			outcomes[i], errs[i] = race(d, i)
		})
	}
	close(start)
	wg.Wait()
	for _, err := range errs {
		must(t, err)
	}
	judge(t, d, outcomes)
}

// TestProcessesRace has the racers make the database, too.
func TestProcessesRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sysctl.db")
	var outs [racers]bytes.Buffer
	var children [racers]*exec.Cmd
	gate, start, err := os.Pipe() // children wait for its end, which they all see at once
	must(t, err)
	defer start.Close()
	for i := range racers {
		ready, write := io.Pipe()
		c := exec.Command(os.Args[0], path, fmt.Sprint(i))
		c.Env = append(os.Environ(), childRole+"=race")
		c.Stdin, c.Stdout, c.Stderr = gate, io.MultiWriter(write, &outs[i]), os.Stderr
		must(t, c.Start())
		if _, err := bufio.NewReader(ready).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		go io.Copy(io.Discard, ready)
		children[i] = c
	}
	gate.Close()
	start.Close()
	outcomes := make([]outcome, racers)
	for i, c := range children {
		if err := c.Wait(); err != nil {
			t.Errorf("racer %d: %v", i, err)
			continue
		}
		_, report, _ := bytes.Cut(outs[i].Bytes(), []byte("\n"))
		must(t, json.Unmarshal(report, &outcomes[i]))
	}
	if !t.Failed() {
		judge(t, openPath(t, path), outcomes)
	}
}

// raceChild is a racer that is a process of its own: it says that it is there, waits for the end of its input,
// opens the database, races, and prints its outcome.
func raceChild() error {
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	ctx := context.Background()
	var racer int
	if _, err := fmt.Sscan(os.Args[2], &racer); err != nil {
		return err
	}
	d, err := Open(ctx, options(os.Args[1]))
	if err != nil {
		return err
	}
	if _, err := d.EnsureNetwork(ctx, testNetwork); err != nil {
		return err
	}
	err = d.CreateProfile(ctx, sysctl.Profile{Name: "web"})
	if err != nil && sysctl.KindOf(err) != sysctl.Exists {
		return err
	}
	i := sysctl.Image{ID: "img", Layers: []string{"l1", "l2"}}
	if err := d.AddImage(ctx, i, []sysctl.Layer{{ID: "l1"}, {ID: "l2"}}); err != nil {
		return err
	}
	o, err := race(d, racer)
	if err != nil {
		return err
	}
	if err := d.Close(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(o)
}
