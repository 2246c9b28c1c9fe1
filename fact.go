package sysctl

// Fact is one thing `sysctl check` found out about this host.
type Fact struct {
	Name   string `json:"name"`   // "kernel", "cgroup layout", "overlay on idmapped layers", …
	Value  string `json:"value"`  // what was found
	Level  Level  `json:"level"`  // how bad it is
	Cost   string `json:"cost"`   // what a user loses, "" when Level is OK
	Repair string `json:"repair"` // the command that repairs it, "" when there is none
}

// Level is how bad a fact is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warning Level = "warning" // something is slower, smaller or missing
	Fatal   Level = "fatal"   // instances cannot run
)
