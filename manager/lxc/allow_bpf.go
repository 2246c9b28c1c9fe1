package lxc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"unsafe"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// On cgroup v2 the filter is a program (BPF_PROG_TYPE_CGROUP_DEVICE). All programs of a cgroup and of those above it have to agree, so
// that liblxc's cannot be added to: another one takes its place.

// instruction is the kernel's struct bpf_insn (linux/bpf.h).
type instruction struct {
	op   uint8
	regs uint8 // source in the upper half, destination in the lower
	off  int16
	imm  int32
}

// deviceProgram is what rules say as a program. Its context is struct bpf_cgroup_dev_ctx: access<<16 | kind, major, minor. What a
// rule denies is denied whatever another allows; what none is about is denied, or allowed where the first rule is one of "a" that allows.
func deviceProgram(rules []deviceRule) []instruction {
	const context, major, minor, kind, access, answer = 1, 2, 3, 4, 5, 0
	load := func(to uint8, off int16) instruction {
		return instruction{op: unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W, regs: context<<4 | to, off: off}
	}
	alu := func(op, to uint8, imm int32) instruction {
		return instruction{op: unix.BPF_ALU | op | unix.BPF_K, regs: to, imm: imm}
	}
	const bpfMov = 0xb0
	exit := func(yes int32) []instruction {
		return []instruction{alu(bpfMov, answer, yes), {op: unix.BPF_JMP | 0x90}} // BPF_EXIT
	}
	program := []instruction{load(kind, 0), load(access, 0), load(major, 4), load(minor, 8),
		alu(unix.BPF_AND, kind, 0xffff), alu(unix.BPF_RSH, access, 16)}
	add := func(r deviceRule) {
		const jne, jset = 0x50, 0x40 // BPF_JNE, BPF_JSET
		var tests []instruction
		if r.kind != 'a' {
			tests = append(tests, instruction{op: unix.BPF_JMP | jne, regs: kind, imm: map[byte]int32{'b': 1, 'c': 2}[r.kind]})
		}
		if rest := int32(^r.access & 7); rest != 0 && r.allow { // it allows nothing else
			tests = append(tests, instruction{op: unix.BPF_JMP | jset, regs: access, imm: rest})
		}
		if r.major >= 0 {
			tests = append(tests, instruction{op: unix.BPF_JMP | jne, regs: major, imm: int32(r.major)})
		}
		if r.minor >= 0 {
			tests = append(tests, instruction{op: unix.BPF_JMP | jne, regs: minor, imm: int32(r.minor)})
		}
		if !r.allow { // any of what it denies
			tests = append(tests, instruction{op: unix.BPF_JMP | jset, regs: access, off: 1, imm: int32(r.access)}, instruction{op: unix.BPF_JMP})
		}
		end := exit(map[bool]int32{true: 1}[r.allow])
		for i := range tests {
			if tests[i].off == 0 {
				tests[i].off = int16(len(tests) - 1 - i + len(end))
			}
		}
		program = append(append(program, tests...), end...)
	}
	rest := int32(0)
	for _, allow := range []bool{false, true} {
		for _, r := range rules {
			switch {
			case r.kind == 'a' && r.allow:
				rest = 1
			case r.kind != 'a' && r.allow == allow:
				add(r)
			}
		}
	}
	return append(program, exit(rest)...)
}

// replaceFilter makes rules the only filter that a cgroup itself has. While both are there both have to agree, so at no moment more
// is allowed than by one of them. One of a kernel that has no such filters is left without, as liblxc leaves it.
func replaceFilter(dir string, rules []deviceRule) error {
	cgroup, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer cgroup.Close()
	old, err := filtersOf(cgroup)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || err == nil && len(old) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	program, err := loadFilter(deviceProgram(rules))
	if err != nil {
		return err
	}
	defer unix.Close(program)
	attach := attachAttr{target: uint32(cgroup.Fd()), program: uint32(program), kind: cgroupDevice, flags: 2} // BPF_F_ALLOW_MULTI
	if _, err := bpf(8, unsafe.Pointer(&attach), unsafe.Sizeof(attach)); err != nil {
		return sysctl.Wrap(err, "attach")
	}
	for _, id := range old {
		get := struct{ id, next, flags uint32 }{id: id}
		fd, err := bpf(13, unsafe.Pointer(&get), unsafe.Sizeof(get))
		if errors.Is(err, unix.ENOENT) {
			continue // gone meanwhile
		}
		if err != nil {
			return sysctl.Wrap(err, "open the former one")
		}
		detach := attachAttr{target: uint32(cgroup.Fd()), program: uint32(fd), kind: cgroupDevice}
		_, err = bpf(9, unsafe.Pointer(&detach), unsafe.Sizeof(detach))
		unix.Close(fd)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return sysctl.Wrap(err, "detach the former one")
		}
	}
	return nil
}

// cgroupDevice is BPF_CGROUP_DEVICE, and attachAttr what bpf(2) takes to attach and detach.
const cgroupDevice = 6

type attachAttr struct{ target, program, kind, flags, replace uint32 }

// filtersOf returns the ids of a cgroup's own device programs.
func filtersOf(cgroup *os.File) ([]uint32, error) {
	ids := make([]uint32, 64)
	query := struct {
		target, kind, query, attached uint32
		ids                           uint64
		count, pad                    uint32
	}{target: uint32(cgroup.Fd()), kind: cgroupDevice, ids: address(unsafe.Pointer(&ids[0])), count: uint32(len(ids))}
	_, err := bpf(16, unsafe.Pointer(&query), unsafe.Sizeof(query))
	runtime.KeepAlive(ids)
	return ids[:min(int(query.count), len(ids))], sysctl.Wrap(err, "ask for the one that is there")
}

// loadFilter gives a program to the kernel.
func loadFilter(program []instruction) (int, error) {
	var code bytes.Buffer
	if err := binary.Write(&code, binary.NativeEndian, program); err != nil {
		return -1, err
	}
	text, license, log := code.Bytes(), []byte("Apache-2.0\x00"), make([]byte, 4096)
	attr := struct {
		kind, count      uint32
		code, license    uint64
		logLevel, logLen uint32
		log              uint64
		version, flags   uint32
	}{kind: 15, count: uint32(len(program)), // BPF_PROG_TYPE_CGROUP_DEVICE
		code: address(unsafe.Pointer(&text[0])), license: address(unsafe.Pointer(&license[0]))}
	fd, err := bpf(5, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil { // once more, to hear why
		attr.logLevel, attr.logLen, attr.log = 1, uint32(len(log)), address(unsafe.Pointer(&log[0]))
		if fd, err = bpf(5, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
			said, _, _ := bytes.Cut(log, []byte{0})
			err = sysctl.Wrap(err, "load (%s)", lastLine(string(said), "the kernel does not say why"))
		}
	}
	runtime.KeepAlive(text)
	runtime.KeepAlive(license)
	runtime.KeepAlive(log)
	return fd, err
}

func address(p unsafe.Pointer) uint64 { return uint64(uintptr(p)) }

// bpf is bpf(2).
func bpf(command int, attr unsafe.Pointer, size uintptr) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(attr), size)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}
