package profiles

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func resolveProxy(options ...string) (sysctl.Spec, error) {
	d := sysctl.Device{"type": "proxy"}
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		d[name] = value
	}
	return Resolve(nil, map[string]sysctl.Device{"p": d})
}

func TestProxy(t *testing.T) {
	spec, err := resolveProxy("listen=tcp:[::]:80-81,443", "connect=tcp:127.0.0.1:8080-8081,8443", "bind=instance", "security.uid=33")
	if err != nil {
		t.Fatal(err)
	}
	var pairs []sysctl.ProxyPair
	for _, p := range [][2]uint16{{80, 8080}, {81, 8081}, {443, 8443}} {
		pairs = append(pairs, sysctl.ProxyPair{
			Listen:  sysctl.Endpoint{Proto: "tcp", Addr: netip.IPv6Unspecified(), Port: p[0]},
			Connect: sysctl.Endpoint{Proto: "tcp", Addr: netip.MustParseAddr("127.0.0.1"), Port: p[1]},
		})
	}
	want := []sysctl.Proxy{{Device: "p", Instance: true, Pairs: pairs, Mode: 0o644, AsUID: 33}}
	if !reflect.DeepEqual(spec.Proxies, want) {
		t.Errorf("%+v, want %+v", spec.Proxies, want)
	}
	spec, err = resolveProxy("listen=unix:/run//a.sock", "connect=tcp:10.0.0.1:22", "mode=0600", "uid=5", "proxy_protocol=true")
	if p := spec.Proxies; err != nil || p[0].Pairs[0].Listen.Path != "/run/a.sock" || p[0].Mode != 0o600 || p[0].UID != 5 || !p[0].Protocol {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestBadProxy(t *testing.T) {
	for options, want := range map[string]string{
		"listen=tcp:0.0.0.0:80":                                                 "devices.p.connect: is missing",
		"connect=tcp:0.0.0.0:80":                                                "devices.p.listen: is missing",
		"listen=http:1.2.3.4:80 connect=tcp:0.0.0.0:80":                         "devices.p.listen: \"http:1.2.3.4:80\" names no protocol",
		"listen=tcp:1.2.3.4 connect=tcp:0.0.0.0:80":                             "has no port",
		"listen=tcp:web:80 connect=tcp:0.0.0.0:80":                              `"web" is not an address`,
		"listen=tcp:::1:80 connect=tcp:0.0.0.0:80":                              `"tcp:[::1]:80"`,
		"listen=tcp:0.0.0.0:0 connect=tcp:0.0.0.0:80":                           `"0" is not a port`,
		"listen=tcp:0.0.0.0:90-80 connect=tcp:0.0.0.0:80":                       `"90-80" is not a port`,
		"listen=tcp:0.0.0.0:80,80 connect=tcp:0.0.0.0:80":                       "port 80 twice",
		"listen=tcp:0.0.0.0:1-65535 connect=tcp:0.0.0.0:80":                     "more than 4096 ports",
		"listen=tcp:0.0.0.0:1-3 connect=tcp:0.0.0.0:1-2":                        "devices.p.connect: has 2 ports for the 3 of listen",
		"listen=udp:0.0.0.0:53 connect=tcp:127.0.0.1:53":                        "udp goes to udp only",
		"listen=unix:@ connect=tcp:127.0.0.1:53":                                "is no name",
		"listen=unix:run/x connect=tcp:127.0.0.1:53":                            "not an absolute path",
		"listen=unix:/run/ connect=tcp:127.0.0.1:53":                            "is a directory",
		"listen=unix:/run/../x connect=tcp:127.0.0.1:53":                        `contains ".."`,
		"listen=tcp:0.0.0.0:80 connect=tcp:127.0.0.1:80 mode=0600":              "devices.p.mode: is of a unix socket with a path",
		"listen=unix:@x connect=tcp:127.0.0.1:80 uid=1":                         "devices.p.uid: is of a unix socket with a path",
		"listen=unix:/x connect=tcp:127.0.0.1:80 uid=-1":                        `"-1" is not an id`,
		"listen=unix:/x connect=tcp:127.0.0.1:80 mode=999":                      `"999" is not a mode`,
		"listen=tcp:0.0.0.0:80 connect=tcp:127.0.0.1:80 bind=guest":             `"guest" is not a side`,
		"listen=udp:0.0.0.0:80 connect=udp:127.0.0.1:80 proxy_protocol=1":       "devices.p.proxy_protocol",
		"listen=tcp:0.0.0.0:80 connect=tcp:127.0.0.1:80 nat=1":                  "loopback",
		"listen=tcp:127.0.0.1:80 connect=tcp:0.0.0.0:80 nat=1":                  "does not reach loopback",
		"listen=tcp:[::]:80 connect=tcp:0.0.0.0:80 nat=1":                       "one family",
		"listen=unix:/x connect=tcp:0.0.0.0:80 nat=1":                           "tcp to tcp",
		"listen=tcp:0.0.0.0:80 connect=tcp:0.0.0.0:80 nat=1 bind=instance":      "needs bind=host",
		"listen=tcp:0.0.0.0:80 connect=tcp:0.0.0.0:80 nat=1 security.uid=5":     "nobody connects",
		"listen=tcp:0.0.0.0:80 connect=tcp:0.0.0.0:80 nat=1 proxy_protocol=yes": "cannot stand beside proxy_protocol",
	} {
		_, err := resolveProxy(strings.Fields(options)...)
		var fields sysctl.FieldErrors
		if !errors.As(err, &fields) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", options, err, want)
		}
	}
	d := func(listen string) sysctl.Device {
		return sysctl.Device{"type": "proxy", "listen": listen, "connect": "tcp:127.0.0.1:1"}
	}
	_, err := Resolve(nil, map[string]sysctl.Device{"a": d("tcp:0.0.0.0:80-90"), "b": d("tcp:0.0.0.0:85")})
	if err == nil || !strings.Contains(err.Error(), "devices.b.listen: the device a listens there already (tcp:0.0.0.0:85)") {
		t.Errorf("twice: %v", err)
	}
}
