package vsyscall

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl/internal/needs"
)

// source has the calls as glibc's assembler (time.S) and a compiler make them, and the same bytes as data.
const source = `
#include <stdio.h>
#include <sys/time.h>
#include <time.h>

asm(".text\n.globl old_time\n.type old_time,@function\nold_time:\n"
    "sub $8,%rsp\nmovq $0xffffffffff600400,%rax\ncallq *%rax\nadd $8,%rsp\nret\n.size old_time,.-old_time\n");
asm(".globl old_gettimeofday\n.type old_gettimeofday,@function\nold_gettimeofday:\n"
    "sub $8,%rsp\nmovq $0xffffffffff600000,%rax\ncallq *%rax\nadd $8,%rsp\nret\n.size old_gettimeofday,.-old_gettimeofday\n");
asm("lookalike:\n.byte 0x48,0xc7,0xc0,0x00,0x04,0x60,0xff,0xff,0xd0,0xc3\n");
extern long old_time(long *);
extern int old_gettimeofday(struct timeval *, void *);

__attribute__((noinline)) long by_compiler(long *t) { return ((long (*)(long *))0xffffffffff600400)(t) + 1; }
__attribute__((noinline)) long last(long *t) { return ((long (*)(long *))0xffffffffff600400)(t); }
const unsigned char data[] = {0x48,0xc7,0xc0,0x00,0x04,0x60,0xff,0xff,0xd0};

int main(int argc, char **argv) {
	struct timeval tv;
	long t = 0, now = time(0);
	old_gettimeofday(&tv, 0);
	if (old_time(&t) < now || t < now || tv.tv_sec < now || by_compiler(0) <= now || last(0) < now) return 1;
	printf("%ld %d\n", t, data[argc % 9]);
	return 0;
}
`

// What a compiler and glibc's assembler make of the calls is found, with and without symbols, and the program still tells
// the time.
func TestFindInPrograms(t *testing.T) {
	gcc := needs.Program(t, "gcc")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.c"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, flags := range []string{"-O2 -static", "-O2 -static -s", "-O0 -static -s", "-Os -no-pie", "-O2 -s", "-O2 -fPIC -shared -s", "-O2 -static -s --strip-sections"} {
		t.Run(flags, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "p")
			sections := strings.TrimSuffix(flags, " --strip-sections")
			cmd := exec.Command(gcc, append(strings.Fields(sections), "-o", out, "p.c")...)
			cmd.Dir = dir
			if said, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			file, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if sections != flags {
				le.PutUint64(file[40:], 0)
				le.PutUint16(file[60:], 0)
			}
			patched, n, unsure := find(t, file)
			if n < 4 || !unsure { // the bytes behind a function are doubtful
				t.Errorf("%d patches, unsure %v", n, unsure)
			}
			if before, after := bytes.Count(file, lookalike), bytes.Count(patched, lookalike); after != 2 {
				t.Errorf("%d of %d sequences are left, want the 2 that are data", after, before)
			}
			if strings.Contains(flags, "-shared") {
				return
			}
			if err := os.WriteFile(out, patched, 0o755); err != nil {
				t.Fatal(err)
			}
			if said, err := exec.Command(out).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, said)
			}
		})
	}
}

var lookalike = []byte{0x48, 0xc7, 0xc0, 0x00, 0x04, 0x60, 0xff, 0xff, 0xd0}
