package profiles

import (
	"net/netip"
	"path"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// maxPorts is how many ports one proxy may listen on: each is a socket.
const maxPorts = 4096

// maxSocketPath is the longest path of a unix socket (sun_path less the final NUL).
const maxSocketPath = 107

// proxy is a proxy device while it is parsed.
type proxy struct {
	sysctl.Proxy
	listen, connect []sysctl.Endpoint
}

// proxyFields is the table of options of proxy devices.
func proxyFields() []field[proxy] {
	number := func(name, def, doc string, at func(*proxy) *uint32) field[proxy] {
		return field[proxy]{
			Key: Key{Name: name, Type: "integer", Default: "0", Example: def, Doc: doc},
			set: func(p *proxy, _, v string) error {
				n, err := strconv.ParseUint(v, 10, 32)
				if err != nil || n == 1<<32-1 {
					return bad(`%q is not an id: write a whole number, such as "1000"`, v)
				}
				*at(p) = uint32(n)
				return nil
			},
		}
	}
	choice := func(key Key, at func(p *proxy, yes bool)) field[proxy] {
		key.Type, key.Values = "bool", bools()
		return field[proxy]{Key: key, set: func(p *proxy, _, v string) error {
			yes, err := parseBool(v)
			at(p, yes)
			return err
		}}
	}
	return append([]field[proxy]{typeField[proxy](typeProxy)}, live([]field[proxy]{
		{
			Key: Key{Name: "listen", Type: "endpoint", Example: "tcp:0.0.0.0:8080", Required: true,
				Doc: "Where connections come in: `tcp:ADDRESS:PORT`, `udp:ADDRESS:PORT`, `unix:/PATH` or `unix:@NAME` (abstract). Several ports stand as " +
					"`80-90,443`. An IPv6 address stands in brackets; `[::]` listens on IPv4 too. Of two instances that listen in one place, one can run."},
			set: func(p *proxy, _, v string) (err error) {
				p.listen, err = parseEndpoints(v, "tcp:0.0.0.0:8080")
				return err
			},
		}, {
			Key: Key{Name: "connect", Type: "endpoint", Example: "tcp:127.0.0.1:80", Required: true,
				Doc: "Where they go, written as `listen`: one port for all, or as many as `listen` has. What is `tcp` or `unix` there may be either here; `udp` goes to `udp`."},
			set: func(p *proxy, _, v string) (err error) {
				p.connect, err = parseEndpoints(v, "tcp:127.0.0.1:80")
				return err
			},
		}, {
			Key: Key{Name: "bind", Type: "choice", Default: "host", Example: "instance", Values: []string{"host", "instance"},
				Doc: "On which side it listens: `host`, and connects in the guest, or `instance`, and connects on the host."},
			set: func(p *proxy, _, v string) error {
				if v != "host" && v != "instance" {
					return bad(`%q is not a side: write "host" or "instance"`, v)
				}
				p.Instance = v == "instance"
				return nil
			},
		},
		choice(Key{Name: "nat", Default: "where possible", Example: "true",
			Doc: "Send the packets on instead of taking the connection: nothing is copied, and the guest sees the client's address. It needs `bind=host`, and " +
				"in `connect` an address of the guest's own, or `0.0.0.0` or `[::]` for it. Unset, it is done where `listen` names one address of the host and `connect` " +
				"the guest's own; loopback is never reached by it."},
			func(p *proxy, yes bool) {
				if p.NAT = sysctl.Off; yes {
					p.NAT = sysctl.On
				}
			}),
		choice(Key{Name: "proxy_protocol", Default: "false", Example: "true",
			Doc: "Tell the server at `connect` who its client is, in the words of the PROXY protocol, version 1. For `tcp` and `unix`."},
			func(p *proxy, yes bool) { p.Protocol = yes }),
		number("uid", "1000", "Owner of a listening unix socket with a path.", func(p *proxy) *uint32 { return &p.UID }),
		number("gid", "1000", "Group of a listening unix socket with a path.", func(p *proxy) *uint32 { return &p.GID }),
		{
			Key: Key{Name: "mode", Type: "mode", Default: "0644", Example: "0660",
				Doc: "Permissions of a listening unix socket with a path. Who connects needs to write."},
			set: func(p *proxy, _, v string) (err error) {
				p.Mode, err = parseMode(v)
				return err
			},
		},
		number("security.uid", "1000", "User that connects.", func(p *proxy) *uint32 { return &p.AsUID }),
		number("security.gid", "1000", "Group that connects.", func(p *proxy) *uint32 { return &p.AsGID }),
	})...)
}

// parseEndpoints reads PROTO:WHERE into one endpoint for each port.
func parseEndpoints(v, example string) ([]sysctl.Endpoint, error) {
	proto, rest, _ := strings.Cut(v, ":")
	switch proto {
	case "unix":
		e, err := parseSocket(rest)
		return []sysctl.Endpoint{e}, err
	case "tcp", "udp":
	default:
		return nil, bad("%q names no protocol: write tcp:, udp: or unix: before it, as in %q", v, example)
	}
	i := strings.LastIndexByte(rest, ':')
	if i < 0 {
		return nil, bad("%q has no port: write one such as %q", v, example)
	}
	host := rest[:i]
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	addr, err := netip.ParseAddr(bare)
	switch {
	case err != nil || addr.Zone() != "" || addr.Is4In6() || addr.IsMulticast():
		return nil, bad("%q is not an address: write one such as %q", host, example)
	case addr.Is6() && bare == host:
		return nil, bad("%q: write an IPv6 address in brackets: %q", v, proto+":["+host+"]:"+rest[i+1:])
	}
	ports, err := parsePorts(rest[i+1:])
	if err != nil {
		return nil, err
	}
	list := make([]sysctl.Endpoint, len(ports))
	for i, port := range ports {
		list[i] = sysctl.Endpoint{Proto: proto, Addr: addr, Port: port}
	}
	return list, nil
}

// parseSocket reads the path of a unix socket, or its abstract name after an @.
func parseSocket(s string) (sysctl.Endpoint, error) {
	e := sysctl.Endpoint{Proto: "unix", Path: s}
	if len(s) > maxSocketPath {
		return e, bad("%q is %d bytes long: a unix socket's path has %d at most", s, len(s), maxSocketPath)
	}
	if strings.HasPrefix(s, "@") {
		if len(s) == 1 {
			return e, bad(`"@" is no name: write one such as "unix:@name"`)
		}
		return e, checkText(s)
	}
	clean, err := parsePath(s)
	if err == nil && (clean == "/" || strings.HasSuffix(s, "/")) {
		err = bad("%q is a directory: write the path of a socket, such as %q", s, path.Join(clean, "socket"))
	}
	e.Path = clean
	return e, err
}

// parsePorts reads "80-90,443".
func parsePorts(s string) (ports []uint16, err error) {
	seen := map[uint64]bool{}
	for _, word := range words(s) {
		first, last, isRange := strings.Cut(word, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil || from == 0 || to < from {
			return nil, bad(`%q is not a port: write numbers from 1 to 65535, such as "80" or "80-90,443"`, word)
		}
		if uint64(len(ports))+to-from >= maxPorts {
			return nil, bad("%q are more than %d ports: write fewer, or use several devices", s, maxPorts)
		}
		for p := from; p <= to; p++ {
			if seen[p] {
				return nil, bad("%q names port %d twice", s, p)
			}
			seen[p] = true
			ports = append(ports, uint16(p))
		}
	}
	return ports, nil
}

// addProxy parses one proxy device into the spec. Errors are added under "devices.NAME.OPTION".
func addProxy(spec *sysctl.Spec, name string, d sysctl.Device, errs *sysctl.FieldErrors) {
	prefix, before := "devices."+name+".", len(*errs)
	p := proxy{Proxy: sysctl.Proxy{Device: name, Mode: 0o644}}
	fill(&p, proxyFields(), "option of a proxy", prefix, d, errs)
	for option, example := range map[string]string{"connect": "tcp:127.0.0.1:80", "listen": "tcp:0.0.0.0:8080"} {
		if d[option] == "" {
			errs.Add(prefix+option, "is missing: write one such as %q", example)
		}
	}
	if len(*errs) > before {
		return
	}
	checkProxy(p, d, prefix, errs)
	for i, l := range p.listen {
		c := p.connect[0]
		if len(p.connect) == len(p.listen) {
			c = p.connect[i]
		}
		p.Pairs = append(p.Pairs, sysctl.ProxyPair{Listen: l, Connect: c})
	}
	spec.Proxies = append(spec.Proxies, p.Proxy)
	checkTwice(spec.Proxies, prefix, errs)
}

// checkProxy adds what does not go together.
func checkProxy(p proxy, d sysctl.Device, prefix string, errs *sysctl.FieldErrors) {
	l, c := p.listen[0], p.connect[0]
	if n := len(p.connect); n != 1 && n != len(p.listen) {
		errs.Add(prefix+"connect", "has %d ports for the %d of listen: write one for all, or as many", n, len(p.listen))
	}
	if (l.Proto == "udp") != (c.Proto == "udp") {
		errs.Add(prefix+"connect", "is %s where listen is %s: udp goes to udp only", c.Proto, l.Proto)
	}
	if p.Protocol && l.Proto == "udp" {
		errs.Add(prefix+"proxy_protocol", "is for tcp and unix: udp has no connections to introduce")
	}
	named := l.Proto == "unix" && l.Path[0] == '/'
	for _, option := range []string{"gid", "mode", "uid"} {
		if d[option] != "" && !named {
			errs.Add(prefix+option, "is of a unix socket with a path, and listen is %s", d["listen"])
		}
	}
	if p.NAT != sysctl.On {
		return
	}
	switch {
	case p.Instance:
		errs.Add(prefix+"nat", "needs bind=host: the guest's own network is its own")
	case l.Proto == "unix" || l.Proto != c.Proto:
		errs.Add(prefix+"nat", "is for tcp to tcp and udp to udp: unset it")
	case p.Protocol:
		errs.Add(prefix+"nat", "cannot stand beside proxy_protocol, and does not need it: the guest sees the client's address")
	case d["security.uid"] != "" || d["security.gid"] != "":
		errs.Add(prefix+"nat", "cannot stand beside security.uid and security.gid: nobody connects")
	case l.Addr.Is4() != c.Addr.Is4():
		errs.Add(prefix+"nat", "cannot lead from %s to %s: both must be of one family", l.Addr, c.Addr)
	case l.Addr.IsLoopback():
		errs.Add(prefix+"nat", "does not reach loopback: listen on another address, or unset nat")
	case c.Addr.IsLoopback():
		errs.Add(prefix+"nat", "does not reach the guest's loopback: connect to 0.0.0.0 or [::], which is its own address, or unset nat")
	}
}

// checkTwice adds an error where the newest proxy listens where it or another one does already.
func checkTwice(all []sysctl.Proxy, prefix string, errs *sysctl.FieldErrors) {
	newest := all[len(all)-1]
	for _, p := range all[:len(all)-1] {
		if p.Instance != newest.Instance {
			continue
		}
		taken := map[sysctl.Endpoint]bool{}
		for _, pair := range p.Pairs {
			taken[pair.Listen] = true
		}
		for _, pair := range newest.Pairs {
			if taken[pair.Listen] {
				errs.Add(prefix+"listen", "the device %s listens there already (%s)", p.Device, pair.Listen)
				return
			}
		}
	}
}
