package vsyscall

import (
	"encoding/binary"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/arch/x86/x86asm"
)

// site is a mov of an address of the page and the call or jump through the register, with straight code from the one to
// the other.
type site struct {
	addr, end uint64   // from the mov to behind the call
	inside    []uint64 // where the instructions between the two and the call begin
	call      uint64
	jump      bool
	number    uint32 // of the system call

	reached bool // the program's flow comes to the mov
	broken  bool // it also comes in between
}

// maxBetween is how many instructions may stand between mov and call.
const maxBetween = 16

// numbers are the system calls in the place of the page's functions, by the address's second byte.
var numbers = map[uint64]uint32{0xffffffffff600000: 96, 0xffffffffff600400: 201, 0xffffffffff600800: 309}

// classify looks at the code from a mov on. It returns nil where the address is not called there: it is compared or put
// aside; doubt says that it is called, but not in a way that can be replaced.
func classify(t text, addr uint64) (s *site, doubt bool) {
	p, i := t.at(addr)
	if p == nil {
		return nil, false
	}
	mov, err := x86asm.Decode(p.code[i:], 64)
	if err != nil || mov.Op != x86asm.MOV {
		return nil, false
	}
	reg, _ := mov.Args[0].(x86asm.Reg)
	value, _ := mov.Args[1].(x86asm.Imm)
	number, ok := numbers[uint64(value)]
	if !ok || reg < x86asm.RAX || reg > x86asm.R15 {
		return nil, false
	}
	s = &site{addr: addr, number: number}
	elsewhere := false // the address is not only called
	for at := i + mov.Len; len(s.inside) <= maxBetween && at < len(p.code); {
		inst, err := x86asm.Decode(p.code[at:], 64)
		if err != nil {
			return nil, false
		}
		s.inside = append(s.inside, p.addr+uint64(at))
		if through(inst, reg) {
			s.call, s.end, s.jump = p.addr+uint64(at), p.addr+uint64(at+inst.Len), inst.Op == x86asm.JMP
			adjacent := len(s.inside) == 1
			if elsewhere || !free(reg) || !adjacent && (reg != x86asm.RAX || s.jump) {
				return nil, true
			}
			return s, false
		}
		if !plain(inst) || writes(inst, reg) {
			return nil, false
		}
		elsewhere = elsewhere || uses(inst, reg)
		at += inst.Len
	}
	return nil, false
}

// through reports whether an instruction calls or jumps to where reg points.
func through(inst x86asm.Inst, reg x86asm.Reg) bool {
	to, ok := inst.Args[0].(x86asm.Reg)
	return ok && to == reg && (inst.Op == x86asm.CALL || inst.Op == x86asm.JMP)
}

// free reports whether nobody expects a register to have its value still after a call.
func free(reg x86asm.Reg) bool {
	switch reg {
	case x86asm.RBX, x86asm.RBP, x86asm.RSP, x86asm.R12, x86asm.R13, x86asm.R14, x86asm.R15:
		return false
	}
	return true
}

// plain reports whether an instruction does nothing but to what its operands name, and goes on with the next one.
func plain(inst x86asm.Inst) bool {
	switch inst.Op {
	case x86asm.MOV, x86asm.MOVZX, x86asm.MOVSX, x86asm.MOVSXD, x86asm.LEA, x86asm.XOR, x86asm.SUB, x86asm.ADD,
		x86asm.AND, x86asm.OR, x86asm.PUSH, x86asm.NOP, x86asm.TEST, x86asm.CMP:
		return true
	}
	return false
}

// writes reports whether a plain instruction changes a register.
func writes(inst x86asm.Inst, reg x86asm.Reg) bool {
	switch inst.Op {
	case x86asm.PUSH, x86asm.NOP, x86asm.TEST, x86asm.CMP:
		return false
	}
	to, ok := inst.Args[0].(x86asm.Reg)
	return ok && whole(to) == reg
}

// uses reports whether any operand names a register or a part of it.
func uses(inst x86asm.Inst, reg x86asm.Reg) bool {
	for _, a := range inst.Args {
		switch a := a.(type) {
		case x86asm.Reg:
			if whole(a) == reg {
				return true
			}
		case x86asm.Mem:
			if whole(a.Base) == reg || whole(a.Index) == reg {
				return true
			}
		}
	}
	return false
}

// whole returns the 64-bit register that a register is a part of.
func whole(r x86asm.Reg) x86asm.Reg {
	switch {
	case r >= x86asm.AL && r <= x86asm.BL:
		return r - x86asm.AL + x86asm.RAX
	case r >= x86asm.AH && r <= x86asm.BH:
		return r - x86asm.AH + x86asm.RAX
	case r >= x86asm.SPB && r <= x86asm.R15B:
		return r - x86asm.SPB + x86asm.RSP
	case r >= x86asm.AX && r <= x86asm.R15W:
		return r - x86asm.AX + x86asm.RAX
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return r - x86asm.EAX + x86asm.RAX
	}
	return r
}

// patches are the bytes that make a system call of it.
func (s *site) patches(t text) []sysctl.Patch {
	p, i := t.at(s.addr)
	load := binary.LittleEndian.AppendUint32([]byte{0xb8}, s.number) // mov $number,%eax
	enter := []byte{0x0f, 0x05}                                      // syscall
	if s.jump {
		enter = append(enter, 0xc3) // ret
	}
	replace := func(from, to uint64, code []byte) sysctl.Patch {
		old := p.code[i+int(from-s.addr) : i+int(to-s.addr)]
		for len(code) < len(old) {
			code = append(code, 0x90) // nop
		}
		return sysctl.Patch{Offset: p.offset + int64(i) + int64(from-s.addr), Old: old, New: code}
	}
	if len(s.inside) == 1 {
		return []sysctl.Patch{replace(s.addr, s.end, append(load, enter...))}
	}
	return []sysctl.Patch{replace(s.addr, s.inside[0], load), replace(s.call, s.end, enter)}
}
