package sysctl

import (
	"context"
	"time"
)

// Template is a recipe for a base OS, as listed to people. How it is written and built belongs to
// the room templates.
type Template struct {
	Name        string   `json:"name"`
	Aliases     []string `json:"aliases"`
	Description string   `json:"description"`
	Family      string   `json:"family"`
	Version     string   `json:"version"`
	Arch        []string `json:"architectures"`
	EOL         string   `json:"eol"`    // YYYY-MM-DD, or ""
	Tried       bool     `json:"tried"`  // built and booted by its author, not only written
	Origin      string   `json:"origin"` // "built-in", or the path of the user's file

	Guest     Guest             `json:"guest"`     // what is known of it before it is built, for this host's architecture where there is one
	Variables map[string]string `json:"variables"` // what a build may set, with the recipe's own values
	Test      BootTest          `json:"test"`
}

// BootTest is what a template expects of its guest once that has booted, beside what is expected of every one.
type BootTest struct {
	Timeout   time.Duration `json:"timeout_ns"` // how long it may take to boot; 0: not said
	MayFail   []string      `json:"may_fail"`   // regular expressions: units, services and lines of its console that may fail
	Running   []string      `json:"running"`    // names of processes
	Listening []uint16      `json:"listening"`  // TCP ports
	Commands  []string      `json:"commands"`   // for /bin/sh, as root: each succeeds
}

// TreeLayer is a part of a tree that comes in several, each over those before it.
type TreeLayer struct {
	Key string // SHA-256 that names what it has and what is below it
	// Fill puts it into dir, which shows what is below.
	Fill func(ctx context.Context, dir string) error
}

// PrepStep is a step of preparing a guest for life in a container.
type PrepStep struct {
	Name    string    `json:"name"`
	Version int       `json:"version"` // raised when the step does something else than before
	Why     string    `json:"why"`
	Touches []string  `json:"touches"`         // paths it may change; {a,b} and * as in a shell
	State   PrepState `json:"state,omitempty"` // in a tree that was prepared; "" where there is none
}

// PrepState is what became of a step.
type PrepState string

// The states of a step in a prepared tree.
const (
	PrepDone    PrepState = "done"
	PrepSkipped PrepState = "skipped" // it was switched off
	PrepNothing PrepState = "nothing to do"
)

// Progress receives what a long piece of work is doing: a step for people and, where they are known,
// how much of how much is done (bytes or entries; 0 of 0 = unknown). It may be called often and
// must not block. A nil Progress is valid and silent: call it through Report.
type Progress func(step string, done, total int64)

// Report calls p unless it is nil.
func (p Progress) Report(step string, done, total int64) {
	if p != nil {
		p(step, done, total)
	}
}
