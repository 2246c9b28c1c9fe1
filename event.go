package sysctl

import "time"

// Event is something that has happened, with LXD's names of lifecycle events.
type Event struct {
	ID      int64             `json:"id"` // grows, with gaps; never used again
	Time    time.Time         `json:"time"`
	Action  string            `json:"action"`  // "instance-started", "network-created", …
	Name    string            `json:"name"`    // of the instance, image alias, network or profile; of an image its id
	Context map[string]string `json:"context"` // what else is told: snapshot, old_name, template, …
}

// Actions of events that no table tells.
const (
	InstanceStarted  = "instance-started"
	InstanceStopped  = "instance-stopped"  // by a verb
	InstanceShutdown = "instance-shutdown" // by itself
	InstancePaused   = "instance-paused"
	InstanceResumed  = "instance-resumed"
	InstanceUpdated  = "instance-updated"
)

// EventTypes are what actions can begin with.
func EventTypes() []string { return []string{"instance", "image", "network", "profile"} }
