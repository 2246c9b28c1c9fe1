package lxc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// rules are those of a policy, the usual ones first. An allow list has no others.
func rules(s sysctl.Syscalls) []sysctl.Rule {
	var all []sysctl.Rule
	if !s.Only && !s.Bare {
		for _, name := range refused {
			all = append(all, sysctl.Rule{Call: name, Action: sysctl.Action{What: "errno", Errno: int(unix.EPERM)}})
		}
	}
	for _, r := range s.Rules { // of two for the same call the later one counts
		all = slices.DeleteFunc(all, func(old sysctl.Rule) bool { return old.Call == r.Call })
		all = append(all, r)
	}
	return all
}

func usualAction(s sysctl.Syscalls) sysctl.Action {
	switch {
	case !s.Only:
		return sysctl.Action{What: "allow"}
	case s.Default.What == "":
		return sysctl.Action{What: "errno", Errno: int(unix.EPERM)}
	}
	return s.Default
}

// noForcedUmount reports whether umount2 with MNT_FORCE is refused.
func noForcedUmount(s sysctl.Syscalls) bool { return s.Forced || !s.Only && !s.Bare }

// policyText is a policy in liblxc's language, for what a guest's init starts.
func policyText(s sysctl.Syscalls) string {
	var b strings.Builder
	if b.WriteString("2\ndenylist\n"); s.Only {
		b.Reset()
		fmt.Fprintf(&b, "2\nallowlist %s\n", actionText(usualAction(s)))
	}
	if noForcedUmount(s) {
		b.WriteString("reject_force_umount\n")
	}
	b.WriteString("[all]\n")
	for _, r := range rules(s) {
		if r.Action != usualAction(s) {
			fmt.Fprintf(&b, "%s %s\n", r.Call, actionText(r.Action))
		}
	}
	return b.String()
}

func actionText(a sysctl.Action) string {
	if a.What == "errno" {
		return fmt.Sprintf("errno %d", a.Errno)
	}
	return a.What
}

// actionCode is what a filter returns (linux/seccomp.h).
func actionCode(a sysctl.Action) uint32 {
	switch a.What {
	case "kill":
		return unix.SECCOMP_RET_KILL_THREAD
	case "trap":
		return unix.SECCOMP_RET_TRAP
	case "errno":
		return unix.SECCOMP_RET_ERRNO | uint32(a.Errno)
	}
	return unix.SECCOMP_RET_ALLOW
}

// CheckSyscalls reports why there can be no such policy on this host: Invalid for a system call that is none.
func (rt *Runtime) CheckSyscalls(s sysctl.Syscalls) error {
	if s.Usual() {
		return nil
	}
	_, err := rt.compile(s)
	return err
}

// compile makes the kernel's program of a policy. The keeper does, which has libseccomp with liblxc.
func (rt *Runtime) compile(s sysctl.Syscalls) ([]byte, error) {
	forced := "0"
	if noForcedUmount(s) {
		forced = "1"
	}
	cmd := exec.Command(rt.keeper, "policy", strconv.FormatUint(uint64(actionCode(usualAction(s))), 10), forced)
	var list, said, program bytes.Buffer
	for _, r := range rules(s) {
		fmt.Fprintf(&list, "%s %d\n", r.Call, actionCode(r.Action))
	}
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = "/", []string{}, &list, &program, &said
	err := cmd.Run()
	switch what := strings.TrimSpace(said.String()); cmd.ProcessState.ExitCode() {
	case 0:
		return program.Bytes(), err
	case 3:
		return nil, sysctl.E(sysctl.Invalid, "there is no system call %q (man syscalls)", what)
	case 4:
		return nil, sysctl.E(sysctl.Unsupported, "a system call policy needs libseccomp: %s is missing", what).WithHint("apt install libseccomp2")
	default:
		if errors.Is(err, fs.ErrNotExist) {
			return nil, sysctl.E(sysctl.Unsupported, "%s is not installed", rt.keeper).WithHint("make install")
		}
		return nil, sysctl.E(sysctl.Internal, "system call policy: %w: %s", err, what)
	}
}

// makePolicy writes the policy of a run that has one of its own: for liblxc, and for what joins the guest later.
func (rt *Runtime) makePolicy(b sysctl.Boot) error {
	if b.Kernel.Calls.Usual() {
		err := os.Remove(rt.paths.Filter(b.Instance))
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	}
	program, err := rt.compile(b.Kernel.Calls)
	if err != nil {
		return err
	}
	if err := os.WriteFile(rt.paths.Policy(b.Instance), []byte(policyText(b.Kernel.Calls)), 0o600); err != nil {
		return err
	}
	return os.WriteFile(rt.paths.Filter(b.Instance), program, 0o600)
}

// policyOf is the filter of a run as the kernel takes it: everybody's, or its own.
func (rt *Runtime) policyOf(id int64, goarch string) ([]unix.SockFilter, error) {
	program, err := os.ReadFile(rt.paths.Filter(id))
	if errors.Is(err, fs.ErrNotExist) {
		usual := filter(goarch)
		if usual == nil {
			return nil, sysctl.E(sysctl.Unsupported, "no system call filter is known for %s", goarch)
		}
		return usual, nil
	}
	if err != nil {
		return nil, err
	}
	const size = int(unsafe.Sizeof(unix.SockFilter{}))
	if len(program) == 0 || len(program)%size != 0 {
		return nil, sysctl.E(sysctl.Internal, "%s: not a filter", rt.paths.Filter(id))
	}
	return slices.Clone(unsafe.Slice((*unix.SockFilter)(unsafe.Pointer(&program[0])), len(program)/size)), nil
}
