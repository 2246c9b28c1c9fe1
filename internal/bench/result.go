package main

import (
	"slices"
	"sync"
	"time"
)

// op is one thing that is measured; its text is the row's title.
type op string

// The measures, in the order of the table.
const (
	opLaunch  op = "launch of a cached image, command returns"
	opReady   op = "launch until `exec true` answers"
	opStart   op = "start"
	opStop    op = "clean stop"
	opHalt    op = "clean stop: until the guest's init has ended"
	opAfter   op = "clean stop: after that"
	opKill    op = "forced stop"
	opDelete  op = "delete"
	opRemove  op = "removing an upper with `rm`"
	opBurst   op = "20 launches by 4 clients at once"
	opExec    op = "`exec true`"
	opMemory  op = "host memory of a running instance, PSS"
	opDisk    op = "disk of a new instance before its first start"
	opList    op = "`list` of all instances, process time"
	opInfo    op = "`info` of one of them, process time"
	opVersion op = "command start-up (`sysctl version`)"
	opReal    op = "`sysctl -n kernel.hostname`, the system's own"
	opHandOn  op = "`sysctl -n kernel.hostname`, handed on by ours"

	opSnapshot        op = "snapshot of a stopped instance"
	opSnapshotDisk    op = "disk of that snapshot"
	opRestore         op = "restore of a stopped instance"
	opCopy            op = "copy of a stopped instance"
	opSnapshotRunning op = "snapshot of a running instance that wrote 1 GiB"
	opPushSmall       op = "push of 2,000 small files"
	opPush            op = "push of a file of 100 MB"
	opPull            op = "pull of a file of 100 MB"
	opTarSmall        op = "2,000 small files by `tar` on the host"
	opPullSmall       op = "pull of 2,000 small files"
	opCopySmall       op = "2,000 small files by `cp -a` on the host"
	opPushGiB         op = "push of a file of 1 GiB"
	opPullGiB         op = "pull of a file of 1 GiB"
	opCopyGiB         op = "1 GiB by `cp -a` on the host"
	opStream          op = "output of `exec`"
	opPlugDisk        op = "hot-plug of a disk"
	opPlugNIC         op = "hot-plug of a NIC"
	opPlugProxy       op = "hot-plug of a proxy"
)

var ops = [...]op{opLaunch, opReady, opStart, opStop, opHalt, opAfter, opKill, opDelete, opRemove, opBurst, opExec,
	opMemory, opDisk, opSnapshot, opSnapshotDisk, opRestore, opCopy, opSnapshotRunning, opPushSmall, opTarSmall, opPullSmall, opCopySmall,
	opPush, opPull, opPushGiB, opPullGiB, opCopyGiB, opStream,
	opPlugDisk, opPlugNIC, opPlugProxy,
	opList, opInfo, opVersion, opReal, opHandOn}

// unit is how an op's numbers are written.
func (o op) unit() string {
	switch o {
	case opMemory, opDisk, opSnapshotDisk:
		return "KiB"
	case opPush, opPull, opPushGiB, opPullGiB, opCopyGiB, opStream:
		return "MB/s"
	}
	return "ms"
}

// results holds every sample, in milliseconds, KiB or MB/s. Safe for concurrent use.
type results struct {
	mu      sync.Mutex
	samples map[op]map[string][]float64
}

func newResults() *results { return &results{samples: map[op]map[string][]float64{}} }

func (r *results) add(o op, peer string, value float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.samples[o] == nil {
		r.samples[o] = map[string][]float64{}
	}
	r.samples[o][peer] = append(r.samples[o][peer], value)
}

func (r *results) time(o op, peer string, d time.Duration) {
	r.add(o, peer, float64(d)/float64(time.Millisecond))
}

func (r *results) size(o op, peer string, bytes int64) { r.add(o, peer, float64(bytes)/1024) }

// median returns a measure's middle sample, or false where there is none.
func (r *results) median(o op, peer string) (float64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return median(r.samples[o][peer])
}

func median(samples []float64) (float64, bool) {
	if len(samples) == 0 {
		return 0, false
	}
	s := slices.Sorted(slices.Values(samples))
	mid := len(s) / 2
	if len(s)%2 == 0 {
		return (s[mid-1] + s[mid]) / 2, true
	}
	return s[mid], true
}
