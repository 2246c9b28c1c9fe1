package templates

import (
	"strconv"
	"strings"
)

// before reports whether version a is older than b, number by number; what stands behind the numbers does not count.
func before(a, b string) bool {
	as, bs := strings.Split(upstreamVersion(a), "."), strings.Split(upstreamVersion(b), ".")
	for i := range max(len(as), len(bs)) {
		x, y := 0, 0
		if i < len(as) {
			x, _ = strconv.Atoi(as[i])
		}
		if i < len(bs) {
			y, _ = strconv.Atoi(bs[i])
		}
		if x != y {
			return x < y
		}
	}
	return false
}
