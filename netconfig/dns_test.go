package netconfig

import (
	"fmt"
	"testing"
)

func TestParseResolvConf(t *testing.T) {
	for _, c := range []struct{ in, servers, search string }{
		{"nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch a.example b.example\n", "[192.0.2.53 2001:db8::53]", "[a.example b.example]"},
		{"nameserver 127.0.0.53\noptions edns0\nsearch .\n", "[]", "[]"},
		{"nameserver ::1\nnameserver 192.0.2.53\nnameserver 192.0.2.53 # twice", "[192.0.2.53]", "[]"},
		{"nameserver fe80::1%eth0\nnameserver 0.0.0.0\nnameserver nonsense\nnameserver", "[]", "[]"},
		{"domain one.example\nsearch two.example\n# search three.example\nnameserver ::ffff:192.0.2.1", "[192.0.2.1]", "[two.example]"},
		{"", "[]", "[]"},
	} {
		servers, search := parseResolvConf(c.in)
		if fmt.Sprint(servers) != c.servers || fmt.Sprint(search) != c.search {
			t.Errorf("%q: %v %v, want %s %s", c.in, servers, search, c.servers, c.search)
		}
	}
}
