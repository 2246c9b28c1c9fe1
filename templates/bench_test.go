package templates

import (
	"archive/tar"
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl/internal/needs"
)

// BenchmarkUnpack compares Unpack with tar on the same archive, taking turns. x-tar is the median of how many times as fast as
// tar we are, x-tar-cpu the same of the processor time of all that takes part: on a busy machine two processes get
// more of it than one does. The archive is of the size and shape of a small Debian or, where SYSCTL_BENCH_ARCHIVE names one, that.
func BenchmarkUnpack(b *testing.B) {
	needs.Root(b)
	program := needs.Program(b, "tar")
	for name, file := range benchArchives(b) {
		b.Run(name, func(b *testing.B) {
			var ratios, cpu []float64
			for b.Loop() {
				cmd := exec.Command(program, "-x", "-p", "--numeric-owner", "-f", file)
				theirs := timed(b, func(dir string) error {
					cmd.Dir = dir
					return cmd.Run()
				})
				before := used(b)
				ours := timed(b, func(dir string) error {
					f, err := os.Open(file)
					if err != nil {
						return err
					}
					defer f.Close()
					_, err = Unpack(b.Context(), f, dir, UnpackOptions{})
					return err
				})
				ratios = append(ratios, theirs.Seconds()/ours.Seconds())
				tar := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
				cpu = append(cpu, tar.Seconds()/(used(b)-before).Seconds())
			}
			slices.Sort(ratios)
			slices.Sort(cpu)
			b.ReportMetric(ratios[len(ratios)/2], "x-tar")
			b.ReportMetric(cpu[len(cpu)/2], "x-tar-cpu")
		})
	}
}

// timed is how long do takes in an empty directory: by default in memory, since the disk is nobody's merit.
func timed(b *testing.B, do func(dir string) error) time.Duration {
	b.Helper()
	dir, err := os.MkdirTemp(cmp.Or(os.Getenv("SYSCTL_BENCH_DIR"), "/dev/shm"), "sysctl-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	begin := time.Now()
	err = do(dir)
	took := time.Since(begin)
	if err != nil {
		b.Fatal(err)
	}
	return took
}

// used is the processor time that this process has used, and the programs that it waited for.
func used(b *testing.B) (sum time.Duration) {
	b.Helper()
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if err := unix.Getrusage(who, &u); err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}

// benchArchives returns the paths of archives by what they are.
func benchArchives(b *testing.B) map[string]string {
	b.Helper()
	if file := os.Getenv("SYSCTL_BENCH_ARCHIVE"); file != "" {
		return map[string]string{filepath.Base(file): file}
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	add := func(h *tar.Header, data []byte) {
		h.Size, h.ModTime = int64(len(data)), time.Unix(1e9, 0)
		if err := w.WriteHeader(h); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			b.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	words := noise(1 << 20)
	for i := range words {
		words[i] &= 0x3f // as compressible as programs are
	}
	for _, dir := range []string{"etc", "usr"} {
		add(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}, nil)
	}
	for d := range 900 {
		dir := fmt.Sprintf("usr/share/d%d/", d)
		add(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}, nil)
		for f := range 9 {
			size := r.IntN(8 << 10)
			if r.IntN(40) == 0 {
				size = r.IntN(1 << 20)
			}
			add(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("%sf%d", dir, f), Mode: 0o644}, words[:size])
		}
		add(&tar.Header{Typeflag: tar.TypeSymlink, Name: dir + "l", Linkname: "f0", Mode: 0o777}, nil)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	all := map[string]string{}
	for name, data := range map[string][]byte{"plain.tar": buf.Bytes(), "gzip.tar.gz": gz(b, bytes.NewReader(buf.Bytes())), "zstd.tar.zst": zst(b, buf.Bytes())} {
		all[name] = filepath.Join(b.TempDir(), name)
		if err := os.WriteFile(all[name], data, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return all
}
