package sysctl

import "time"

// Limits are what an instance may use of the host, as the kernel is told. The zero value limits nothing and has
// everybody's share.
type Limits struct {
	Memory     int64 // bytes
	MemorySoft bool  // Memory holds only where the host runs short of it
	Swap       Swap
	SwapYield  int    // 0…10: how much sooner than others it is swapped out
	CPUs       string // kernel list format
	CPU        CPUTime
	Processes  int64
	DiskShare  int              // -5…5: its weight among those that wait for a disk
	HugePages  map[string]int64 // bytes, by the page size as the kernel names it: "2MB"
}

// Swap is limits.memory.swap. The zero value is as much as there is.
type Swap struct {
	Off   bool
	Bytes int64
}

// CPUTime is limits.cpu.allowance and limits.cpu.priority.
type CPUTime struct {
	Share int           // percent of the usual share, where others want the CPUs too; 0: 100
	Quota time.Duration // at most so much in every Period; 0: no limit
	// Period is set where Quota is.
	Period time.Duration
	Yield  int // 0…10: how far below the highest priority it is
}
