package lxc

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// Two programs of a few instructions, to try what a kernel does with them. They are made here, byte by byte: no compiler
// and no file is needed where they are run.

// vsyscallProgram calls time(NULL) at its fixed address and exits 0. A kernel with vsyscall=none kills it with SIGSEGV.
func vsyscallProgram() []byte {
	return executable(elf.ELFCLASS64, elf.EM_X86_64, []byte{
		0x31, 0xff, //                               xor edi, edi
		0x48, 0xc7, 0xc0, 0x00, 0x04, 0x60, 0xff, // mov rax, 0xffffffffff600400
		0xff, 0xd0, //                               call rax
		0x31, 0xff, //                               xor edi, edi
		0xb8, 60, 0, 0, 0, //                        mov eax, SYS_exit
		0x0f, 0x05, //                               syscall
	})
}

// ia32Program exits 0 where programs for i386 run; elsewhere execve(2) fails with ENOEXEC.
func ia32Program() []byte {
	return executable(elf.ELFCLASS32, elf.EM_386, []byte{
		0x31, 0xdb, //         xor ebx, ebx
		0xb8, 1, 0, 0, 0, //   mov eax, SYS_exit
		0xcd, 0x80, //         int 0x80
	})
}

// executable is a static program with one segment that holds headers and code (elf(5)).
func executable(class elf.Class, machine elf.Machine, code []byte) []byte {
	const base, page = 0x400000, 0x1000
	ident := [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(class), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}
	var b bytes.Buffer
	add := func(v any) { binary.Write(&b, binary.LittleEndian, v) } // a Buffer takes all
	if class == elf.ELFCLASS64 {
		const headers = 64 + 56
		size := uint64(headers + len(code))
		add(elf.Header64{Ident: ident, Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
			Entry: base + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1})
		add(elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: page})
	} else {
		const headers = 52 + 32
		size := uint32(headers + len(code))
		add(elf.Header32{Ident: ident, Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
			Entry: base + headers, Phoff: 52, Ehsize: 52, Phentsize: 32, Phnum: 1})
		add(elf.Prog32{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: page})
	}
	b.Write(code)
	return b.Bytes()
}
