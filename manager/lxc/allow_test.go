package lxc

import (
	"os"
	"testing"

	"github.com/sysctl-os/sysctl"
)

// judged is what a device program says, by the kernel's rules for its instructions.
func judged(t *testing.T, program []instruction, kind byte, major, minor uint32, access uint8) bool {
	t.Helper()
	letter := map[byte]uint32{'b': 1, 'c': 2}[kind]
	context := []uint32{uint32(access)<<16 | letter, major, minor}
	var r [6]uint32
	for pc := 0; pc < len(program); pc++ {
		i := program[pc]
		to := &r[i.regs&15]
		jump := false
		switch i.op {
		case 0x61: // load a word
			*to = context[i.off/4]
		case 0x54: // and
			*to &= uint32(i.imm)
		case 0x74: // shift right
			*to >>= uint32(i.imm)
		case 0xb4: // move
			*to = uint32(i.imm)
		case 0x55: // not equal
			jump = *to != uint32(i.imm)
		case 0x45: // some bit
			jump = *to&uint32(i.imm) != 0
		case 0x05:
			jump = true
		case 0x95:
			return r[0] == 1
		default:
			t.Fatalf("instruction %d: %#x", pc, i.op)
		}
		if jump {
			pc += int(i.off)
		}
	}
	t.Fatal("the program has no end")
	return false
}

func TestDeviceProgram(t *testing.T) {
	rules := func(texts ...string) (all []deviceRule) {
		for _, s := range texts {
			r, ok := parseRule(s[1:], s[0] == '+')
			if !ok {
				t.Fatalf("%q is no rule", s)
			}
			all = append(all, r)
		}
		return all
	}
	usual := rules("+c *:* m", "+b *:* m", "+c 1:3 rwm", "+c 136:* rw", "+b 7:2 rw")
	for _, c := range []struct {
		rules        []deviceRule
		kind         byte
		major, minor uint32
		access       uint8
		want         bool
	}{
		{usual, 'c', 9, 9, mayMake, true},
		{usual, 'c', 9, 9, mayRead, false},
		{usual, 'c', 9, 9, mayMake | mayRead, false},
		{usual, 'c', 1, 3, mayMake | mayRead | mayWrite, true},
		{usual, 'b', 1, 3, mayRead, false},
		{usual, 'c', 1, 4, mayRead, false},
		{usual, 'c', 2, 3, mayRead, false},
		{usual, 'c', 136, 1000, mayRead | mayWrite, true},
		{usual, 'b', 7, 2, mayRead, true},
		{usual, 'b', 7, 3, mayRead, false},
		{rules("+a"), 'c', 9, 9, mayRead, true},
		{rules("+a", "-c 9:9 w"), 'c', 9, 9, mayRead, true},
		{rules("+a", "-c 9:9 w"), 'c', 9, 9, mayRead | mayWrite, false},
		{rules("+a", "-c 9:9 w"), 'c', 9, 8, mayWrite, true},
		{rules("-a", "+b *:1 r"), 'b', 5, 1, mayRead, true},
		{rules("-a", "+b *:1 r"), 'b', 5, 2, mayRead, false},
		{nil, 'c', 1, 3, mayRead, false},
	} {
		if got := judged(t, deviceProgram(c.rules), c.kind, c.major, c.minor, c.access); got != c.want {
			t.Errorf("%+v: %c %d:%d %b is %v", c.rules, c.kind, c.major, c.minor, c.access, got)
		}
	}
	if os.Geteuid() == 0 { // and the kernel takes each
		for _, r := range [][]deviceRule{usual, rules("+a"), rules("+a", "-c 9:9 w"), nil} {
			fd, err := loadFilter(deviceProgram(r))
			if err != nil {
				t.Errorf("%+v: %v", r, err)
				continue
			}
			os.NewFile(uintptr(fd), "program").Close()
		}
	}
}

func TestDeviceRules(t *testing.T) {
	for _, s := range []string{"", "x 1:3 rwm", "c", "c 1:3", "c 1 rwm", "c 1:x rwm", "c 1:3 x", "cc 1:3 r", "c -1:3 r"} {
		if r, ok := parseRule(s, true); ok {
			t.Errorf("%q is a rule: %+v", s, r)
		}
	}
	rt := &Runtime{paths: Paths{Run: t.TempDir()}}
	if err := os.MkdirAll(rt.paths.Dir(1), 0o700); err != nil {
		t.Fatal(err)
	}
	allows := func(n sysctl.Node) bool {
		rules, err := rt.rules(1)
		if err != nil {
			t.Fatal(err)
		}
		return judged(t, deviceProgram(rules), n.Kind()[0], n.Major, n.Minor, mayRead)
	}
	null, other := sysctl.Node{Major: 1, Minor: 3}, sysctl.Node{Block: true, Major: 7}
	if !allows(null) || allows(other) {
		t.Error("a usual guest may not open /dev/null, or may open a loop device")
	}
	raw := func(items ...string) (b sysctl.Boot) {
		b.Instance = 1
		for i := 0; i < len(items); i += 2 {
			b.Kernel.Raw = append(b.Kernel.Raw, sysctl.RawItem{Key: items[i], Value: items[i+1]})
		}
		return b
	}
	if err := rt.saveRules(raw("lxc.cgroup2.devices.allow", "b 7:0 rwm", "lxc.proc.oom_score_adj", "5")); err != nil {
		t.Fatal(err)
	}
	if !allows(null) || !allows(other) {
		t.Error("what raw.lxc allows beside is not allowed, or nothing else")
	}
	if err := rt.saveRules(raw("lxc.cgroup2.devices.deny", "a", "lxc.cgroup2.devices.allow", "b 7:0 rwm")); err != nil {
		t.Fatal(err)
	}
	if allows(null) || !allows(other) {
		t.Error("what raw.lxc says anew is not all that is allowed")
	}
}
