package main

// #include <stdlib.h>
// #include "policy.h"
import "C"

import (
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// policy writes the kernel's program of a system call policy to standard output. Its first argument is what happens to a call that no
// rule names, as the kernel has it, the second is 1 where a forced umount2 is refused. Standard input has the rules: a name and what happens, in each
// line. It ends with 3 where a name is none, with 4 where there is no libseccomp, and says which.
func policy(usual, forced string) int {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return complain(err.Error(), 1)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	calls := unsafe.Slice((*C.struct_call)(C.calloc(C.size_t(len(lines)), C.size_t(unsafe.Sizeof(C.struct_call{})))), len(lines))
	n := 0
	for _, line := range lines {
		if name, action, ok := strings.Cut(line, " "); ok {
			calls[n] = C.struct_call{name: C.CString(name), action: number(action)}
			n++
		}
	}
	noForced := C.int(0)
	if forced == "1" {
		noForced = 1
	}
	var step *C.char
	errno := syscall.Errno(-C.sysctl_policy(number(usual), &calls[0], C.size_t(n), noForced, 1, &step))
	switch what := C.GoString(step); errno {
	case 0:
		return 0
	case syscall.ENOENT:
		return complain(what, 3)
	case syscall.ENOSYS:
		return complain(what, 4)
	default:
		return complain(what+": "+errno.Error(), 1)
	}
}

func number(s string) C.uint32_t {
	n, _ := strconv.ParseUint(s, 10, 32)
	return C.uint32_t(n)
}

func complain(what string, status int) int {
	os.Stderr.WriteString(what + "\n")
	return status
}
