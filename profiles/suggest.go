package profiles

import (
	"fmt"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// unknown says that there is no such key, and which one was meant; where none comes close, it lists them.
func unknown(noun, name string, known []Key) string {
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = k.Name
	}
	return unknownWord(noun, name, names)
}

// unknownWord is unknown for words that are no keys.
func unknownWord(noun, name string, names []string) string {
	if s := suggest(name, names); s != "" {
		return fmt.Sprintf("unknown %s: did you mean %s?", noun, s)
	}
	return fmt.Sprintf("unknown %s: there are %s", noun, list(names))
}

// noDevice says that there is no such device, and which there are.
func noDevice(name string, names []string) string {
	if near := suggest(name, names); near != "" {
		return fmt.Sprintf("there is no device %q: did you mean %s?", name, near)
	}
	if len(names) == 0 {
		return fmt.Sprintf("there is no device %q, nor any other", name)
	}
	return fmt.Sprintf("there is no device %q: there are %s", name, list(names))
}

// suggest returns the known name that was probably meant, or "": the nearest by edits, within a
// quarter of what was typed; else the first one that has it as a part ("memory" in "limits.memory").
func suggest(name string, known []string) string {
	if len(name) > 64 {
		return "" // nobody mistypes that, and edits are quadratic
	}
	candidates := make([]string, len(known))
	for i, k := range known {
		candidates[i] = spellOut(k, name)
	}
	best, least := "", 2+len(name)/4
	for _, c := range candidates {
		if d := sysctl.Typos(name, c); d < least {
			best, least = c, d
		}
	}
	if best != "" {
		return best
	}
	for _, c := range candidates {
		if len(name) >= 3 && strings.Contains(c, strings.ToLower(name)) {
			return c
		}
	}
	return ""
}

// spellOut replaces the star of a wildcard by what name has after its first dot.
func spellOut(key, name string) string {
	prefix, ok := strings.CutSuffix(key, "*")
	if !ok {
		return key
	}
	_, rest, _ := strings.Cut(name, ".")
	if rest == "" {
		rest = "NAME"
	}
	return prefix + rest
}

// list joins names for a sentence: "a, b and c".
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
