package vsyscall

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/arch/x86/x86asm"
)

// function is where one begins and, where that is known, ends.
type function struct{ start, end uint64 }

// follow goes where the program can go from the starts of its functions, and notes which sites it comes to.
func follow(ctx context.Context, t text, functions []function, sites []*site) error {
	slices.SortFunc(functions, func(a, b function) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end))
	})
	slices.SortFunc(sites, func(a, b *site) int { return cmp.Compare(a.addr, b.addr) })
	for i := 1; i < len(sites); i++ {
		if sites[i].addr < sites[i-1].end {
			sites[i].broken, sites[i-1].broken = true, true
		}
	}
	w := walk{text: t, functions: functions, sites: sites}
	for _, f := range functions {
		w.goTo(f.start)
	}
	for len(w.todo) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		addr := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		w.straight(addr)
	}
	return nil
}

// walk is one run of follow.
type walk struct {
	text      text
	functions []function // sorted
	sites     []*site    // sorted
	todo      []uint64
}

// goTo notes that the program's flow comes to an address by something else than the instruction before.
func (w *walk) goTo(addr uint64) {
	if s := w.site(addr); s != nil && addr != s.addr {
		s.broken = true
	}
	if p, i := w.text.at(addr); p != nil && p.seen[i/64]>>(i%64)&1 == 0 {
		w.todo = append(w.todo, addr)
	}
}

// straight follows instructions up to one that does not go on with the next, or that has been seen.
func (w *walk) straight(addr uint64) {
	p, i := w.text.at(addr)
	for i < len(p.code) && p.mark(i) {
		inst, err := x86asm.Decode(p.code[i:], 64)
		if err != nil {
			return
		}
		at := p.addr + uint64(i)
		next := at + uint64(inst.Len)
		w.note(at, next)
		if rel, ok := inst.Args[0].(x86asm.Rel); ok {
			w.goTo(next + uint64(int64(rel)))
		}
		switch inst.Op {
		case x86asm.JMP:
			if _, direct := inst.Args[0].(x86asm.Rel); !direct && w.inFunction(at, next) {
				w.goTo(next) // through a table: the cases follow
			}
			return
		case x86asm.RET, x86asm.LRET, x86asm.IRET, x86asm.IRETD, x86asm.IRETQ, x86asm.HLT, x86asm.UD1, x86asm.UD2, x86asm.INT:
			return
		}
		i += inst.Len
	}
}

// note compares an instruction with the sites: it is one of theirs, or it does not agree with what they were taken for.
func (w *walk) note(at, next uint64) {
	for _, s := range []*site{w.site(at), w.site(next - 1)} {
		switch {
		case s == nil:
		case at == s.addr:
			s.reached = true
		case !slices.Contains(s.inside, at):
			s.broken = true
		}
	}
}

// site returns the site that an address is in.
func (w *walk) site(addr uint64) *site {
	i, found := slices.BinarySearchFunc(w.sites, addr, func(s *site, addr uint64) int { return cmp.Compare(s.addr, addr) })
	if !found {
		i--
	}
	if i < 0 || addr >= w.sites[i].end {
		return nil
	}
	return w.sites[i]
}

// inFunction reports whether the code at next belongs to the function that at is in.
func (w *walk) inFunction(at, next uint64) bool {
	i, found := slices.BinarySearchFunc(w.functions, at, func(f function, at uint64) int { return cmp.Compare(f.start, at) })
	if !found {
		i--
	}
	return i >= 0 && next < w.functions[i].end
}
