package sysctl

import "time"

// Resources is what an instance or the host uses and may use. Negative numbers are unknown; a limit of 0 is none.
type Resources struct {
	CPU       time.Duration `json:"cpu_ns"`     // CPU time used so far
	CPUs      string        `json:"cpus"`       // it may run on, in kernel list format
	CPULimit  float64       `json:"cpu_limit"`  // CPUs' worth of time it may use
	Memory    int64         `json:"memory"`     // bytes
	MemoryMax int64         `json:"memory_max"` // bytes; of the host what it has
	Cache     int64         `json:"cache"`      // of memory, bytes of files, which can be had back
	Swap      int64         `json:"swap"`       // bytes
	Processes int64         `json:"processes"`
	ProcsMax  int64         `json:"processes_max"`
	Read      int64         `json:"read"` // bytes from disks so far
	Written   int64         `json:"written"`
	Networks  []Traffic     `json:"networks"`
	Pressure  []Pressure    `json:"pressure"` // empty where the kernel does not say
}

// Traffic is what has gone through an interface so far.
type Traffic struct {
	Name            string `json:"name"`
	Received        int64  `json:"received"` // bytes
	Sent            int64  `json:"sent"`
	PacketsReceived int64  `json:"packets_received"`
	PacketsSent     int64  `json:"packets_sent"`
	Errors          int64  `json:"errors"` // both ways
	Dropped         int64  `json:"dropped"`
}

// Pressure is how long tasks have waited for something, as the kernel has it (PSI): percent of the last 10 and 60 seconds.
type Pressure struct {
	Of     string  `json:"of"`     // cpu, memory, io
	Some10 float64 `json:"some10"` // at least one task waited
	Some60 float64 `json:"some60"`
	Full10 float64 `json:"full10"` // all did
	Full60 float64 `json:"full60"`
}

// Throughput is all bytes that went through an instance's interfaces, in both directions; -1 where unknown.
func (r Resources) Throughput() int64 {
	if r.Networks == nil {
		return -1
	}
	var n int64
	for _, t := range r.Networks {
		n += t.Received + t.Sent
	}
	return n
}
