package lxc

import (
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// evaluate runs a classic BPF program over one system call: the instructions that ours has.
func evaluate(t *testing.T, program []unix.SockFilter, arch, number uint32, arg1 uint64) uint32 {
	t.Helper()
	data := map[uint32]uint32{0: number, 4: arch, 24: uint32(arg1), 28: uint32(arg1 >> 32)}
	var a uint32
	for pc := 0; pc < len(program); pc++ {
		in := program[pc]
		taken := false
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = data[in.K]
			continue
		case unix.BPF_RET | unix.BPF_K:
			return in.K
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			taken = a == in.K
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			taken = a&in.K != 0
		default:
			t.Fatalf("instruction %d: %+v", pc, in)
		}
		if taken {
			pc += int(in.Jt)
		} else {
			pc += int(in.Jf)
		}
	}
	t.Fatal("the program does not return")
	return 0
}

// TestFilter asks about every system call of every ABI.
func TestFilter(t *testing.T) {
	type call struct{ arch, number uint32 }
	for _, goarch := range []string{"amd64", "arm64"} {
		program := filter(goarch)
		names := map[call]string{}
		for _, a := range abis(goarch) {
			for name, n := range a.numbers {
				names[call{a.arch, n}] = name
			}
		}
		if len(names) < len(abis(goarch))*len(refused) {
			t.Errorf("%s: %d numbers: two calls share one", goarch, len(names))
		}
		for _, a := range abis(goarch) {
			for n := range uint32(2400) {
				c := call{a.arch, n&3<<30 | n>>2} // with every combination of the top bits
				for _, arg := range []uint64{0, unix.MNT_FORCE, unix.MNT_FORCE | unix.MNT_DETACH, unix.MNT_DETACH, 1 << 32} {
					want := uint32(unix.SECCOMP_RET_ALLOW)
					switch name := names[c]; {
					case name == "umount2" && arg&unix.MNT_FORCE != 0:
						want = unix.SECCOMP_RET_ERRNO | uint32(unix.EACCES)
					case slices.Contains(refused[:], name):
						want = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
					}
					if got := evaluate(t, program, c.arch, c.number, arg); got != want {
						t.Errorf("%s: call %#x (%s) of %#x with %#x: %#x, want %#x", goarch, c.number, names[c], c.arch, arg, got, want)
					}
				}
			}
		}
		if got := evaluate(t, program, unix.AUDIT_ARCH_S390X, 1, 0); got != unix.SECCOMP_RET_KILL_THREAD {
			t.Errorf("%s: an architecture that is not its own: %#x", goarch, got)
		}
	}
	if filter("riscv64") != nil {
		t.Error("a program for an architecture whose numbers nobody knows")
	}
}

// TestNumbers compares the numbers of the machine's own ABI with the library's.
func TestNumbers(t *testing.T) {
	known := abis(runtime.GOARCH)
	if known == nil {
		t.Skipf("no numbers of %s", runtime.GOARCH)
	}
	for name, want := range map[string]uint32{
		"kexec_load": unix.SYS_KEXEC_LOAD, "kexec_file_load": unix.SYS_KEXEC_FILE_LOAD, "open_by_handle_at": unix.SYS_OPEN_BY_HANDLE_AT,
		"init_module": unix.SYS_INIT_MODULE, "finit_module": unix.SYS_FINIT_MODULE, "delete_module": unix.SYS_DELETE_MODULE,
		"umount2": unix.SYS_UMOUNT2,
	} {
		if got := known[0].numbers[name]; got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	for _, name := range refused { // one that an older ABI lacks may be missing there, not everywhere
		if _, ok := known[0].numbers[name]; !ok {
			t.Errorf("%s has no number: it would be allowed", name)
		}
	}
}

func TestSeccompProfile(t *testing.T) {
	const want = "2\ndenylist\nreject_force_umount\n[all]\nkexec_load errno 1\nkexec_file_load errno 1\nopen_by_handle_at errno 1\n" +
		"init_module errno 1\nfinit_module errno 1\ndelete_module errno 1\n"
	if got := seccompProfile(); got != want {
		t.Errorf("%q", got)
	}
}
