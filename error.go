package sysctl

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// Kind says what sort of failure an error is. Fronts translate kinds to exit
// codes or HTTP statuses (doc/errors.md); nothing else looks at error text.
type Kind string

// The kinds. Internal is what an error has that nobody classified.
const (
	Internal    Kind = "internal"    // a bug, or a system call nobody expected to fail
	Invalid     Kind = "invalid"     // the request itself is wrong: name, key, value, file format
	NotFound    Kind = "not-found"   // the thing named does not exist
	Exists      Kind = "exists"      // the name or address is taken
	Conflict    Kind = "conflict"    // the thing is in a state that forbids the verb
	Busy        Kind = "busy"        // another process holds it right now; trying again may work
	Permission  Kind = "permission"  // the caller may not do this
	Unsupported Kind = "unsupported" // this host or this guest cannot do it
	NoSpace     Kind = "no-space"    // a disk, quota or id range is full
	Unavailable Kind = "unavailable" // something outside did not answer: mirror, registry, guest
	Canceled    Kind = "canceled"    // Ctrl-C, or the caller's context ended
)

// Error is a classified error. Msg is one clause without a final period; Hint,
// where there is one, is a command to type (or one short clause) that is the way out.
type Error struct {
	Kind Kind
	Msg  string
	Hint string
	Err  error // the cause, or nil
}

// E makes a classified error. A %w verb in format keeps the cause reachable.
func E(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Msg: err.Error(), Err: errors.Unwrap(err)}
}

// WithHint returns e with its hint set. The hint is the way out, normally a command to type.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

func (e *Error) Error() string { return e.Msg }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Wrap prefixes err with what was being done, keeping kind and hint reachable.
// It returns nil for a nil err.
func Wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}

// KindOf returns the kind of the outermost classified error in err's chain. Where
// there is none, context and errno errors are classified; anything else is Internal.
// It returns "" for nil.
func KindOf(err error) Kind {
	var e *Error
	var fe FieldErrors
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Kind
	case errors.As(err, &fe):
		return Invalid
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Canceled
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return NoSpace
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return Permission
	}
	return Internal
}

// HintOf returns the first hint in err's chain, or "".
func HintOf(err error) string {
	var e *Error
	for errors.As(err, &e) {
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}

// FieldError is one bad field of a request.
type FieldError struct {
	Field string // as the user wrote it: "limits.memory", "devices.eth0.ipv4.address", "name"
	Msg   string // what is wrong and what would be right
}

// FieldErrors is every bad field of a request at once. Its kind is Invalid.
type FieldErrors []FieldError

func (fe FieldErrors) Error() string {
	lines := make([]string, len(fe))
	for i, f := range fe {
		lines[i] = f.Field + ": " + f.Msg
	}
	return strings.Join(lines, "; ")
}

// Add appends one bad field.
func (fe *FieldErrors) Add(field, format string, args ...any) {
	*fe = append(*fe, FieldError{Field: field, Msg: fmt.Sprintf(format, args...)})
}

// Err returns fe as an error, or nil where no field is bad.
func (fe FieldErrors) Err() error {
	if len(fe) == 0 {
		return nil
	}
	return fe
}
