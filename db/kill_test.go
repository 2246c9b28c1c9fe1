package db

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestKill kills a process that claims and deletes without pause: what it has seen succeed is there, and
// nothing is there in part.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sysctl.db")
	d := openPath(t, path)
	fill(t, d)
	must(t, d.Close()) // the child is alone, so the next Open has a write-ahead log to recover
	ctx := context.Background()
	for round := range 8 {
		c := exec.Command(os.Args[0], path, fmt.Sprint(round))
		c.Env = append(os.Environ(), childRole+"=kill")
		c.Stderr = os.Stderr
		out, err := c.StdoutPipe()
		must(t, err)
		must(t, c.Start())
		lines := bufio.NewScanner(out)
		var seen []string
		for lines.Scan() {
			if seen = append(seen, lines.Text()); len(seen) == 3+5*round {
				must(t, c.Process.Kill())
			}
		}
		if err := c.Wait(); err == nil || len(seen) < 3+5*round {
			t.Fatalf("the child ended by itself after %d claims: %v", len(seen), err)
		}

		again, err := Open(ctx, options(path))
		must(t, err)
		for _, name := range seen {
			if _, err := again.Instance(ctx, name); err != nil {
				t.Error(err)
			}
		}
		list, err := again.Instances(ctx)
		must(t, err)
		for _, inst := range list {
			want := claim(inst.Name).Instance
			wantEqual(t, []any{inst.Layers, inst.Profiles, inst.Config, inst.Devices, len(inst.NICs)},
				[]any{want.Layers, want.Profiles, want.Config, want.Devices, 1})
		}
		for query, want := range map[string][]string{
			"PRAGMA integrity_check": {"ok"}, `SELECT "table" FROM pragma_foreign_key_check`: {},
		} {
			got, err := texts(ctx, again.sql, query)
			must(t, err)
			wantEqual(t, got, want)
		}
		must(t, again.Close())
	}
}

// killChild claims an instance to keep, says so, and claims and deletes another, until it is killed.
func killChild() error {
	ctx := context.Background()
	d, err := Open(ctx, options(os.Args[1]))
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		name := fmt.Sprintf("kept%s-%d", os.Args[2], i)
		if _, err := d.ClaimInstance(ctx, claim(name)); err != nil {
			return err
		}
		fmt.Println(name)
		inst, err := d.ClaimInstance(ctx, claim("gone"+os.Args[2]))
		if err != nil {
			return err
		}
		if err := d.DeleteInstance(ctx, inst.ID); err != nil {
			return err
		}
	}
}
