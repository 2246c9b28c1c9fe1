package db

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
)

// BenchmarkOpen is what a short process pays: open and one query. It does not close.
func BenchmarkOpen(b *testing.B) {
	path := filled(b)
	for b.Loop() {
		d, err := Open(context.Background(), options(path))
		must(b, err)
		_, err = d.Instance(context.Background(), "web7")
		must(b, err)
		b.StopTimer()
		must(b, d.Close())
		b.StartTimer()
	}
}

// BenchmarkOpenAndInstances is what list pays.
func BenchmarkOpenAndInstances(b *testing.B) {
	path := filled(b)
	for b.Loop() {
		d, err := Open(context.Background(), options(path))
		must(b, err)
		list, err := d.Instances(context.Background())
		must(b, err)
		if len(list) != 250 {
			b.Fatal(len(list))
		}
		b.StopTimer()
		must(b, d.Close())
		b.StartTimer()
	}
}

func BenchmarkClaimAndDelete(b *testing.B) {
	d := openPath(b, filled(b))
	for b.Loop() {
		inst := mustClaim(b, d, claim("new"))
		must(b, d.DeleteInstance(context.Background(), inst.ID))
	}
}

// filled returns the path of a closed database with 250 instances.
func filled(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "sysctl.db")
	d, err := Open(context.Background(), options(path))
	must(b, err)
	fill(b, d)
	for i := range 250 {
		c := claim(fmt.Sprint("web", i))
		c.Instance.Config = map[string]string{"limits.memory": "1GiB", "limits.cpu": "2", "boot.autostart": "true"}
		mustClaim(b, d, c)
	}
	must(b, d.Close())
	return path
}

// BenchmarkRunStarted is what a start pays for being told of.
func BenchmarkRunStarted(b *testing.B) {
	d := openPath(b, filled(b))
	inst := mustClaim(b, d, claim("new"))
	for i := 0; b.Loop(); i++ {
		must(b, d.RunStarted(context.Background(), inst.ID, fmt.Sprint(i)))
	}
}
