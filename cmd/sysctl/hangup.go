package main

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// pollFD is a struct pollfd, and what may come back in it (poll(2)).
type pollFD struct {
	fd              int32
	events, revents int16
}

const pollErr, pollHup = 0x8, 0x10

// hangup tells of the end of the connection that a verb was called over, as a terminal would, by SIGHUP: ssh without a terminal only
// lets go of the streams. The one that stays open until then is standard error.
func (a *app) hangup(caught chan<- os.Signal, done <-chan struct{}) {
	if _, ok := a.env(fromKey); !ok || isTerminal(a.stderr) {
		return
	}
	const look = 200 * time.Millisecond // poll(2) does not end when done does
	for {
		p, limit := pollFD{fd: int32(a.stderr.Fd())}, syscall.NsecToTimespec(int64(look))
		syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
		select {
		case <-done:
			return
		default:
		}
		if p.revents&(pollErr|pollHup) != 0 {
			caught <- syscall.SIGHUP
			return
		}
	}
}
