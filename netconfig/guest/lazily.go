package guest

import (
	"regexp"
	"sync"
)

// lazily compiles a pattern when it is first needed: every verb would pay for it otherwise, and few need any.
func lazily(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}
