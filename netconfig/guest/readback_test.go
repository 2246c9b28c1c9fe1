package guest_test

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
	"github.com/sysctl-os/sysctl/netconfig/guest"
)

// reading is how the files of a kind are read back: as their program reads them, not as they were written.
type reading struct {
	nic func(written, *found)
	// either6: whether DHCPv6 is asked is the routers' to say.
	either6 bool
}

// readings has every kind of files that Render writes, by a system that has it.
func readings() map[string]reading {
	return map[string]reading{
		"debian6": {nic: interfaces("0.6")}, "debian7": {nic: interfaces("0.7")}, "debian12": {nic: interfaces("0.8")}, "ubuntu1604": {nic: interfaces("0.8")},
		"alpine-busybox": {nic: interfaces("busybox")}, "alpine-ng": {nic: interfaces("ng")},
		"networkd219": {nic: networkd(219)}, "networkd252": {nic: networkd(252)},
		"rocky9": {nic: written.keyfile, either6: true}, "ubuntu1804": {nic: written.netplan}, "ubuntu2204": {nic: written.netplan},
		"centos5": {nic: written.redHat}, "centos6": {nic: written.redHat}, "centos7": {nic: written.redHat}, "rocky8-scripts": {nic: written.redHat},
		"sles11": {nic: written.suse}, "sles15": {nic: written.suse},
		"gentoo": {nic: netifrc("\n")}, "gentoo-baselayout1": {nic: netifrc("")},
		"slackware14": {nic: slackware(false)}, "slackware15": {nic: slackware(true)},
		"void": {nic: written.runit, either6: true}, "void-dhcpcd": {nic: written.runit, either6: true},
		"netctl": {nic: written.netctl},
	}
}

// What is written says the whole model: read as the guest's own programs read it, it is the model again.
func TestFilesReadBack(t *testing.T) {
	read := map[string]bool{}
	for name, how := range readings() {
		t.Run(name, func(t *testing.T) {
			for i, n := range []sysctl.GuestNetwork{full, asked, asked6} {
				tree, g := systems[name].tree()
				read[g.Renderer+" "+g.Dialect] = true
				n := sayable(t, tree, g, n)
				if i == 0 && len(n.NICs) != len(full.NICs) {
					t.Error("not all of the first network can be said")
				}
				settle(t, tree, g, n)
				w := written{t: t, tree: tree, files: tree.Files()}
				best := [2]int{-1, -1} // the metrics of default routes so far, of both families
				for _, nic := range n.NICs {
					f := &found{t: t, nic: sysctl.GuestNIC{Name: nic.Name}, known: map[netip.Addr]bool{}}
					how.nic(w, f)
					f.end()
					if got, want := said(f.nic, how), said(nic, how); got != want {
						t.Errorf("network %d, read back:\n%s\nthe model:\n%s", i, got, want)
					}
					f.first(&best, nic)
				}
				w.identity(n)
			}
		})
	}
	for _, u := range guest.AllUnderstood() {
		if u.Renderer != guest.None && !read[u.Renderer+" "+u.Dialect] {
			t.Errorf("%s %s is not read back", u.Renderer, u.Dialect)
		}
	}
}

// sayable is n without the interfaces that the guest's program has no words for: the refusal names them.
func sayable(t *testing.T, tree sysctl.Tree, g sysctl.Guest, n sysctl.GuestNetwork) sysctl.GuestNetwork {
	_, err := guest.Render(tree, g, n)
	if sysctl.KindOf(err) != sysctl.Unsupported {
		return n // settle tells other errors
	}
	all := n.NICs
	n.NICs = nil
	for _, nic := range all {
		if !strings.Contains(err.Error(), "devices."+nic.Name+": ") {
			n.NICs = append(n.NICs, nic)
		}
	}
	if len(n.NICs) == 0 || len(n.NICs) == len(all) {
		t.Errorf("of %d interfaces %d can be said: %v", len(all), len(n.NICs), err)
	}
	return n
}

// said is an interface of the model as text: what is the same in another order is the same text.
func said(n sysctl.GuestNIC, how reading) string {
	method := func(m sysctl.Method, v4 bool) sysctl.Method {
		if m == "" {
			m = sysctl.MethodNone
			if slices.ContainsFunc(n.Addresses, func(p netip.Prefix) bool { return p.Addr().Is4() == v4 }) {
				m = sysctl.MethodStatic
			}
		}
		switch {
		case v4:
		case how.either6 && m == sysctl.MethodDHCP:
			return sysctl.MethodSLAAC
		}
		return m
	}
	addresses, routes := slices.Clone(n.Addresses), []string{}
	slices.SortFunc(addresses, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	for _, r := range n.Routes {
		routes = append(routes, fmt.Sprintf("%s via %s metric %d", r.Destination, r.Via, r.Metric))
	}
	slices.Sort(routes)
	return fmt.Sprintf("%s: mtu %d; %s %s; %v; gateways %s %s; routes %s", n.Name, n.MTU, method(n.Method4, true), method(n.Method6, false),
		addresses, n.Gateway4, n.Gateway6, strings.Join(routes, ", "))
}

// found is what is found of an interface.
type found struct {
	t       *testing.T
	nic     sysctl.GuestNIC
	up      bool
	quiet6  bool                // routers are not listened to
	metrics [2]int              // of the default routes, 0: the kernel's own
	direct  []sysctl.Route      // to one address on the link, which may be there for a next hop
	known   map[netip.Addr]bool // next hops
}

func (f *found) wrong(format string, args ...any) {
	f.t.Helper()
	f.t.Errorf(f.nic.Name+": "+format, args...)
}

func (f *found) address(s string) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		f.wrong("%v", err)
	}
	f.nic.Addresses = append(f.nic.Addresses, p)
}

func (f *found) mtu(s string) {
	var err error
	if f.nic.MTU, err = strconv.Atoi(s); err != nil {
		f.wrong("%v", err)
	}
}

// route adds a route, in the order in which they are set: what is via a next hop needs it on the link by then.
func (f *found) route(to, via, metric string, onlink bool) {
	var r sysctl.Route
	var err error
	if metric != "" {
		if r.Metric, err = strconv.Atoi(metric); err != nil {
			f.wrong("%v", err)
		}
	}
	if via != "" {
		r.Via = netip.MustParseAddr(via)
		f.known[r.Via] = true
		near := onlink || r.Via.Is6() && r.Via.IsLinkLocalUnicast() ||
			slices.ContainsFunc(f.nic.Addresses, func(p netip.Prefix) bool { return p.Contains(r.Via) }) ||
			slices.ContainsFunc(f.direct, func(d sysctl.Route) bool { return d.Destination.Addr() == r.Via })
		if !near {
			f.wrong("nothing says that %s is on the link", via)
		}
	}
	a, err := netip.ParseAddr(to)
	switch {
	case to == "default" && r.Via.Is4() || to == "0.0.0.0/0":
		f.nic.Gateway4, f.metrics[0] = r.Via, r.Metric
		return
	case to == "default" || to == "::/0":
		f.nic.Gateway6, f.metrics[1] = r.Via, r.Metric
		return
	case err == nil:
		r.Destination = netip.PrefixFrom(a, a.BitLen())
	default:
		r.Destination = netip.MustParsePrefix(to)
	}
	if !r.Via.IsValid() && r.Destination.IsSingleIP() {
		f.direct = append(f.direct, r)
		return
	}
	f.nic.Routes = append(f.nic.Routes, r)
}

// end adds the routes to single addresses that no next hop needs.
func (f *found) end() {
	for _, r := range f.direct {
		if !f.known[r.Destination.Addr()] {
			f.nic.Routes = append(f.nic.Routes, r)
		}
	}
	if !f.up {
		f.wrong("nobody brings it up")
	}
}

// first checks that a gateway loses against the default routes of the interfaces before it.
func (f *found) first(best *[2]int, want sysctl.GuestNIC) {
	for i, gateway := range []netip.Addr{f.nic.Gateway4, f.nic.Gateway6} {
		metric := f.metrics[i]
		if i == 1 && metric == 0 {
			metric = 1024
		}
		switch dynamic := []bool{want.Method4 == sysctl.MethodDHCP, want.Method6 == sysctl.MethodDHCP || want.Method6 == sysctl.MethodSLAAC}; {
		case gateway.IsValid() && metric <= best[i]:
			f.wrong("the gateway %s has the metric %d, one before has %d", gateway, metric, best[i])
		case gateway.IsValid():
			best[i] = metric
		case dynamic[i]:
			best[i] = max(best[i], 0)
		}
	}
}

// command runs a command of ip, ifconfig, route or echo as a shell would: what is for other interfaces, or another program, is
// passed over.
func (f *found) command(line string) {
	knob := regexp.MustCompile(`^echo ([01]) > /proc/sys/net/ipv6/conf/(\S+)/(accept_ra|accept_dad) \|\| true$`).FindStringSubmatch(line)
	words := strings.Fields(line)
	at := slices.Index(words, "dev") + 1
	name := f.nic.Name
	switch {
	case knob != nil:
		if knob[2] != name || knob[3] == "accept_dad" {
			return
		}
		f.quiet6 = knob[1] == "0"
		if !f.quiet6 {
			f.nic.Method6 = sysctl.MethodSLAAC
		}
	case len(words) == 0, words[0] != "ip" && words[0] != "ifconfig" && words[0] != "route":
	case words[0] == "ifconfig":
		f.ifconfig(words[1:])
	case at == 0 || at >= len(words) || words[at] != name:
		if at == 0 || at >= len(words) {
			f.wrong("no device: %s", line)
		}
	case words[0] == "route":
		f.netTools(words[1:])
	default:
		f.ip(words[1:])
	}
}

func (f *found) ip(words []string) {
	v6 := words[0] == "-6"
	if v6 {
		words = words[1:]
	}
	o := map[string]string{}
	rest := words[min(len(words), 2):]
	if len(rest) > 0 && rest[0] != "dev" {
		o[""], rest = rest[0], rest[1:]
	}
	for len(rest) > 1 {
		o[rest[0]], rest = rest[1], rest[2:]
	}
	if len(rest) == 1 && words[1] == "set" {
		o["state"] = rest[0]
	} else if len(rest) > 0 {
		f.wrong("ip %q", words)
	}
	delete(o, "dev")
	verb := strings.Join(words[:2], " ")
	if verb != "link set" && (strings.Contains(o[""]+o["via"], ":")) != v6 {
		f.wrong("the family of ip %q", words)
	}
	known := map[string][]string{"link set": {"mtu", "state"}, "addr add": {""}, "route add": {"", "via", "metric"}}[verb]
	for word := range o {
		if !slices.Contains(known, word) {
			f.wrong("ip %q", words)
		}
	}
	switch verb {
	case "link set":
		if o["mtu"] != "" {
			f.mtu(o["mtu"])
		}
		f.up = f.up || o["state"] == "up"
		if o["state"] == "down" {
			f.wrong("ip %q", words)
		}
	case "addr add":
		f.address(o[""])
	case "route add":
		f.route(o[""], o["via"], o["metric"], false)
	}
}

func (f *found) ifconfig(words []string) {
	switch {
	case words[0] != f.nic.Name:
	case len(words) == 3 && words[1] == "mtu":
		f.mtu(words[2])
	case len(words) == 3 && words[1] == "add" && strings.Contains(words[2], ":"):
		f.address(words[2])
	case len(words) == 2 && words[1] == "up":
		f.up = true
	default:
		f.wrong("ifconfig %q", words)
	}
}

// netTools is the old route command.
func (f *found) netTools(words []string) {
	v6 := len(words) > 2 && words[0] == "-A" && words[1] == "inet6"
	if v6 {
		words = words[2:]
	}
	var to, via, metric string
	for i := 1; i < len(words); i++ {
		next := func() string { i++; return words[i] }
		switch w := words[i]; {
		case w == "-host" && !v6:
			to = next() + "/32"
		case w == "-net" && !v6:
			to = next()
		case w == "default":
			to = w
		case w == "gw":
			via = next()
		case w == "metric":
			metric = next()
		case w == "dev":
			next()
		case v6 && to == "":
			to = w
		default:
			f.wrong("route %q", words)
		}
	}
	if words[0] != "add" || to == "" || strings.Contains(to+via, ":") != v6 {
		f.wrong("route %q", words)
	}
	f.route(to, via, metric, false)
}

// script runs a shell script up to where it ends itself.
func (f *found) script(w written, name string) {
	content, ok := w.files[name]
	if !ok {
		return
	}
	if fi, err := w.tree.Lstat(name); err != nil || fi.Mode()&0o111 == 0 || !strings.HasPrefix(content, "#!") {
		f.wrong("%s is not run: %v, %v", name, fi.Mode(), err)
	}
	for line := range strings.Lines(content) {
		if strings.HasPrefix(line, "exit") {
			return
		}
		f.command(strings.TrimSpace(line))
	}
}

// listens sets what the knobs of IPv6 mean: beside addresses of its own an interface must not listen to routers.
func (f *found) listens() {
	if slices.ContainsFunc(f.nic.Addresses, func(p netip.Prefix) bool { return p.Addr().Is6() }) && !f.quiet6 {
		f.wrong("routers are listened to beside addresses")
	}
}

// written is what is in a tree.
type written struct {
	t     *testing.T
	tree  *treetest.Tree
	files map[string]string
}

// sections reads a file of sections of keys and values, as systemd and NetworkManager do: what comes twice is kept twice, a
// section too.
func (w written) sections(name string) []section {
	var all []section
	for line := range strings.Lines(w.files[name]) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			all = append(all, section{name: strings.Trim(line, "[]"), values: map[string][]string{}})
		case !ok || len(all) == 0:
			w.t.Errorf("%s: %q", name, line)
		default:
			of := all[len(all)-1].values
			of[strings.TrimSpace(key)] = append(of[strings.TrimSpace(key)], strings.TrimSpace(value))
		}
	}
	return all
}

type section struct {
	name   string
	values map[string][]string
}

// one is the only value of a key, "" where there is none.
func (s section) one(key string) string { return strings.Join(s.values[key], " and ") }

// only reports keys that nobody here knows.
func (s section) only(f *found, keys ...string) {
	for key := range s.values {
		if !slices.Contains(keys, key) {
			f.wrong("[%s] %s", s.name, key)
		}
	}
}

// assignments are the variables that a shell would have set after a file: a string is a list of one. It knows what such files
// are made of: NAME=value, NAME="lines", NAME[0]="value" and NAME=( "a" 'b' ), at the beginning of a line.
func (w written) assignments(name string) map[string][]string {
	all := map[string][]string{}
	set := regexp.MustCompile(`(?ms)^([A-Za-z_]\w*(?:\[\d+\])?)=(\((?:\s*(?:"[^"]*"|'[^']*'))*\s*\)|"[^"]*"|'[^']*'|[^\s"'(]*)(?:\s*#[^\n]*)?$`)
	text := w.files[name]
	at := 0
	for _, m := range set.FindAllStringSubmatchIndex(text, -1) {
		w.nothing(name, text[at:m[0]])
		at = m[1]
		value := text[m[4]:m[5]]
		if list, ok := strings.CutPrefix(value, "("); ok {
			all[text[m[2]:m[3]]] = []string{}
			for _, word := range regexp.MustCompile(`"[^"]*"|'[^']*'`).FindAllString(list, -1) {
				all[text[m[2]:m[3]]] = append(all[text[m[2]:m[3]]], word[1:len(word)-1])
			}
			continue
		}
		all[text[m[2]:m[3]]] = []string{strings.Trim(value, `"'`)}
	}
	w.nothing(name, text[at:])
	return all
}

// knobLine is a command about IPv6 between assignments.
var knobLine = regexp.MustCompile(`^\[ ! -e (/proc/sys/net/ipv6/conf/\S+/accept_ra) \] \|\| (echo [01] > (/proc/sys/net/ipv6/conf/\S+/accept_ra) \|\| true)$`)

// nothing reports text between assignments that is neither a comment nor such a command.
func (w written) nothing(name, text string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && !knobLine.MatchString(line) {
			w.t.Errorf("%s: %q", name, line)
		}
	}
}

// variables are those of a file below /etc/sysconfig.
func (w written) variables(name string) map[string]string {
	all := map[string]string{}
	for key, list := range w.assignments("/etc/sysconfig/" + name) {
		all[key] = strings.Join(list, " ")
	}
	return all
}

// identity checks names and resolvers.
func (w written) identity(n sysctl.GuestNetwork) {
	full := strings.Trim(n.Hostname+"."+n.Domain, ".")
	name := strings.TrimSpace(cmp.Or(w.files["/etc/hostname"], w.files["/etc/HOSTNAME"]))
	gentoo := w.assignments("/etc/conf.d/hostname")
	for _, of := range [][]string{{w.variables("network")["HOSTNAME"]}, gentoo["hostname"], gentoo["HOSTNAME"]} {
		name = cmp.Or(name, strings.Join(of, " "))
	}
	if name != n.Hostname && name != full {
		w.t.Errorf("it is called %q, want %s", name, full)
	}
	servers, search := w.resolvers()
	if got, want := fmt.Sprint(servers), fmt.Sprint(n.DNS); len(n.DNS) > 0 && got != want {
		w.t.Errorf("it has the resolvers %s, want %s", got, want)
	}
	for _, domain := range n.Search {
		if !slices.Contains(search, domain) {
			w.t.Errorf("it does not search %s: %q", domain, search)
		}
	}
}

// resolvers are what the guest's resolv.conf says, or what whoever writes it is told.
func (w written) resolvers() (servers, search []string) {
	config := w.variables("network/config") // netconfig's
	servers, search = strings.Fields(config["NETCONFIG_DNS_STATIC_SERVERS"]), strings.Fields(config["NETCONFIG_DNS_STATIC_SEARCHLIST"])
	add := func(word, rest string) {
		switch word {
		case "nameserver", "dns-nameservers", "DNS":
			servers = append(servers, strings.Fields(rest)...)
		case "search", "dns-search", "Domains":
			search = append(search, strings.Fields(rest)...)
		}
	}
	if to, _ := strings.CutPrefix(w.files["/etc/resolv.conf"], "-> "); path.Base(to) == "stub-resolv.conf" {
		for _, s := range w.sections("/etc/systemd/resolved.conf.d/10-sysctl.conf") {
			if s.name == "Resolve" {
				add("DNS", s.one("DNS"))
				add("Domains", s.one("Domains"))
			}
		}
		return servers, search
	}
	from := w.files["/etc/resolv.conf"]
	if strings.Contains(from, "resolvconf") {
		from = w.files["/etc/network/interfaces"]
	}
	for line := range strings.Lines(from) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		add(word, rest)
	}
	return servers, search
}
