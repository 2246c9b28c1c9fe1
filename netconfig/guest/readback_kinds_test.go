package guest_test

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sysctl-os/sysctl"
)

// stanza is an "iface" of /etc/network/interfaces.
type stanza struct {
	name, family, method string
	options              map[string]string
	commands             []string // pre-up and up, in order
}

// interfaces reads /etc/network/interfaces as ifup of this dialect does.
func interfaces(dialect string) func(written, *found) {
	cidr := dialect == "0.8" || dialect == "ng"
	known := map[string][]string{
		"inet static": {"address", "netmask", "gateway", "mtu"}, "inet6 static": {"address", "netmask", "gateway"},
		"inet dhcp": {"hostname", "metric"}, "inet manual": nil,
	}
	switch dialect {
	case "0.8":
		known["inet6 static"] = append(known["inet6 static"], "accept_ra", "dad-attempts")
		fallthrough
	case "0.7":
		known["inet6 static"] = append(known["inet6 static"], "accept_ra")
		known["inet6 dhcp"] = []string{"accept_ra"}
		known["inet6 auto"] = nil
	case "ng":
		known["inet6 auto"] = nil
	}
	return func(w written, f *found) {
		name := f.nic.Name
		auto, stanzas := w.interfaces()
		seen := map[string]bool{}
		for _, s := range stanzas {
			base, _, alias := strings.Cut(s.name, ":")
			if base != name {
				continue
			}
			kind := s.family + " " + s.method
			options, ok := known[kind]
			twice := seen[s.name+s.family]
			seen[s.name+s.family] = true
			if !ok || !auto[s.name] || alias && dialect != "0.6" || twice && (dialect == "0.6" || dialect == "busybox") {
				f.wrong("iface %s %s; auto %v, twice %v", s.name, kind, auto[s.name], twice)
			}
			for o := range s.options {
				if !slices.Contains(options, o) && !strings.HasPrefix(o, "dns-") {
					f.wrong("%s does not know %s", kind, o)
				}
			}
			if s.options["accept_ra"] == "0" {
				f.quiet6 = true
			}
			if m := s.options["mtu"]; m != "" {
				f.mtu(m)
			}
			switch kind {
			case "inet static", "inet6 static":
				f.static(s, cidr, dialect == "0.8")
			case "inet dhcp":
				f.nic.Method4, f.up = sysctl.MethodDHCP, true
			case "inet6 dhcp":
				f.nic.Method6, f.up = sysctl.MethodDHCP, true
			case "inet6 auto":
				f.nic.Method6, f.up = sysctl.MethodSLAAC, true
			}
			for _, c := range s.commands {
				f.command(c)
			}
		}
		f.listens()
	}
}

// static is a stanza with an address. Only the newest take a gateway that is in no subnet.
func (f *found) static(s stanza, cidr, onlink bool) {
	address, mask := s.options["address"], s.options["netmask"]
	if strings.Contains(address, "/") != cidr || (mask != "") == cidr {
		f.wrong("address %s netmask %s", address, mask)
	}
	if m := net.ParseIP(mask).To4(); m != nil && s.family == "inet" {
		bits, _ := net.IPMask(m).Size()
		mask = strconv.Itoa(bits)
	}
	if !cidr {
		address += "/" + mask
	}
	f.address(address)
	p := netip.MustParsePrefix(address)
	if p.Addr().Is6() != (s.family == "inet6") {
		f.wrong("%s %s", s.family, address)
	}
	f.up = true
	if gateway := s.options["gateway"]; gateway != "" {
		if a := netip.MustParseAddr(gateway); a.Is4() && !onlink && !p.Contains(a) {
			f.wrong("gateway %s is not in the subnet of %s", a, p)
		}
		f.route("default", gateway, "", onlink)
	}
}

// interfaces are what is brought up at boot, and all stanzas, of the file and those that it includes.
func (w written) interfaces() (auto map[string]bool, all []stanza) {
	auto = map[string]bool{}
	text := w.files["/etc/network/interfaces"]
	if strings.Contains(text, "\nsource ") {
		for name, content := range w.files {
			if path.Dir(name) == "/etc/network/interfaces.d" {
				text += "\n" + content
			}
		}
	}
	in := false // a stanza: of the lines of a mapping nothing is wanted
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", "")) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case words[0] == "auto":
			for _, name := range words[1:] {
				auto[name] = true
			}
		case words[0] == "source", strings.HasPrefix(words[0], "allow-"):
		case words[0] == "mapping":
			in = false
		case words[0] == "iface" && len(words) == 4:
			all = append(all, stanza{name: words[1], family: words[2], method: words[3], options: map[string]string{}})
			in = true
		case in:
			s := &all[len(all)-1]
			key, value := words[0], strings.Join(words[1:], " ")
			switch _, there := s.options[key]; {
			case key == "up" || key == "pre-up":
				s.commands = append(s.commands, value)
			case key == "down":
			case there:
				w.t.Errorf("%s: %s twice", s.name, key)
			default:
				s.options[key] = value
			}
		}
	}
	return auto, all
}

// networkd reads the first .network file that matches, as systemd-networkd of this version does.
func networkd(version int) func(written, *found) {
	return func(w written, f *found) {
		var names []string
		for name := range w.files {
			if strings.HasPrefix(name, "/etc/systemd/network/") && strings.HasSuffix(name, ".network") {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		at := slices.IndexFunc(names, func(name string) bool {
			return slices.ContainsFunc(w.sections(name), func(s section) bool {
				return s.name == "Match" && s.one("Name") == f.nic.Name && len(s.values) == 1
			})
		})
		if at < 0 {
			f.wrong("no file for it")
			return
		}
		f.up = true
		ra, dhcp6 := false, false
		for _, s := range w.sections(names[at]) {
			switch s.name {
			case "Match":
			case "Link":
				s.only(f, "MTUBytes")
				f.mtu(s.one("MTUBytes"))
			case "Network":
				s.only(f, "DHCP", "LinkLocalAddressing", "IPv6AcceptRA", "IPv6DuplicateAddressDetection")
				ra = s.one("IPv6AcceptRA") == "yes"
				dhcp6 = s.one("DHCP") == "yes" || s.one("DHCP") == "ipv6"
				if s.one("DHCP") == "yes" || s.one("DHCP") == "ipv4" {
					f.nic.Method4 = sysctl.MethodDHCP
				}
			case "Address":
				s.only(f, "Address", "DuplicateAddressDetection")
				f.address(s.one("Address"))
			case "Route":
				s.only(f, "Destination", "Gateway", "Metric", "Scope", "GatewayOnLink")
				to, onlink := s.one("Destination"), s.one("GatewayOnLink") == "yes"
				if to == "" {
					to = "default"
				}
				if onlink && version < 234 {
					f.wrong("GatewayOnLink, which systemd %d does not know", version)
				}
				f.route(to, s.one("Gateway"), s.one("Metric"), onlink)
			case "DHCPv4", "DHCP":
				if (s.name == "DHCP") != (version < 243) {
					f.wrong("[%s] for systemd %d", s.name, version)
				}
			case "IPv6AcceptRA":
				if client := s.one("DHCPv6Client"); (client == "always") != dhcp6 || !dhcp6 && client != "no" {
					f.wrong("DHCPv6Client=%s", client)
				}
			default:
				f.wrong("[%s]", s.name)
			}
		}
		switch {
		case dhcp6:
			f.nic.Method6 = sysctl.MethodDHCP
		case ra:
			f.nic.Method6 = sysctl.MethodSLAAC
		}
	}
}

// keyfile reads NetworkManager's profile of the interface with the highest priority.
func (w written) keyfile(f *found) {
	best := -1000
	var mine []section
	for name := range w.files {
		if !strings.HasPrefix(name, "/etc/NetworkManager/system-connections/") || strings.HasSuffix(name, "~") {
			continue
		}
		all := w.sections(name)
		at := slices.IndexFunc(all, func(s section) bool { return s.name == "connection" })
		if at < 0 || all[at].one("interface-name") != f.nic.Name {
			continue
		}
		if fi, err := w.tree.Lstat(name); err != nil || fi.Mode() != 0o600 {
			f.wrong("%s has the mode %v, and is not read (%v)", name, fi.Mode(), err)
		}
		if priority, _ := strconv.Atoi(all[at].one("autoconnect-priority")); priority > best {
			best, mine = priority, all
		}
	}
	for _, s := range mine {
		switch s.name {
		case "connection":
			f.up = s.one("type") == "ethernet" && s.one("autoconnect") != "false" && s.one("uuid") != ""
		case "ethernet":
			f.mtu(s.one("mtu"))
		case "ipv4", "ipv6":
			f.keyfileFamily(s)
		default:
			f.wrong("[%s]", s.name)
		}
	}
}

func (f *found) keyfileFamily(s section) {
	switch method := s.one("method"); {
	case method == "auto" && s.name == "ipv4":
		f.nic.Method4 = sysctl.MethodDHCP
	case method == "auto":
		f.nic.Method6 = sysctl.MethodSLAAC
	case (method == "manual") != (s.one("address1") != ""), !slices.Contains([]string{"manual", "disabled", "link-local"}, method):
		f.wrong("[%s] method=%s", s.name, method)
	}
	for i := 1; s.one(fmt.Sprint("address", i)) != ""; i++ {
		f.address(s.one(fmt.Sprint("address", i)))
	}
	for i := 1; s.one(fmt.Sprint("route", i)) != ""; i++ {
		part := append(strings.Split(s.one(fmt.Sprint("route", i)), ","), "", "")
		if part[1] == "0.0.0.0" || part[1] == "::" {
			part[1] = ""
		}
		f.route(part[0], part[1], part[2], false)
	}
	if gateway := s.one("gateway"); gateway != "" {
		f.route("default", gateway, s.one("route-metric"), false)
	}
}

// netplan reads all of netplan's files, the later over the earlier.
func (w written) netplan(f *found) {
	type nic struct {
		DHCP4     bool             `yaml:"dhcp4"`
		DHCP6     bool             `yaml:"dhcp6"`
		RA        bool             `yaml:"accept-ra"`
		Over4     map[string]int   `yaml:"dhcp4-overrides"`
		Over6     map[string]int   `yaml:"dhcp6-overrides"`
		MTU       int              `yaml:"mtu"`
		Addresses []string         `yaml:"addresses"`
		Match     map[string]any   `yaml:"match"`
		SetName   string           `yaml:"set-name"`
		Routes    []map[string]any `yaml:"routes"`
	}
	found := 0
	for name, content := range w.files {
		if path.Dir(name) != "/etc/netplan" || !strings.HasSuffix(name, ".yaml") {
			continue
		}
		var all struct {
			Network struct {
				Version   int            `yaml:"version"`
				Ethernets map[string]nic `yaml:"ethernets"`
				Bridges   map[string]any `yaml:"bridges"`
			} `yaml:"network"`
		}
		dec := yaml.NewDecoder(strings.NewReader(content))
		dec.KnownFields(true)
		if err := dec.Decode(&all); err != nil || all.Network.Version != 2 {
			f.wrong("%s: %v", name, err)
		}
		n, ok := all.Network.Ethernets[f.nic.Name]
		if !ok {
			continue
		}
		found++
		f.up = true
		if n.MTU != 0 {
			f.mtu(strconv.Itoa(n.MTU))
		}
		if n.DHCP4 {
			f.nic.Method4 = sysctl.MethodDHCP
		}
		switch {
		case n.DHCP6:
			f.nic.Method6 = sysctl.MethodDHCP
		case n.RA:
			f.nic.Method6 = sysctl.MethodSLAAC
		}
		for _, a := range n.Addresses {
			f.address(a)
		}
		for _, r := range n.Routes {
			word := func(key string) string {
				if r[key] == nil {
					return ""
				}
				return fmt.Sprint(r[key])
			}
			f.route(word("to"), word("via"), word("metric"), r["on-link"] == true)
		}
	}
	if found != 1 {
		f.wrong("%d files speak of it", found)
	}
}

// redHat reads what initscripts do.
func (w written) redHat(f *found) {
	name := f.nic.Name
	v := w.variables("network-scripts/ifcfg-" + name)
	f.up = v["DEVICE"] == name && v["ONBOOT"] == "yes" && w.variables("network")["NETWORKING"] == "yes"
	if v["MTU"] != "" {
		f.mtu(v["MTU"])
	}
	if v["BOOTPROTO"] == "dhcp" {
		f.nic.Method4 = sysctl.MethodDHCP
	}
	switch {
	case v["IPV6INIT"] != "yes":
	case v["DHCPV6C"] == "yes":
		f.nic.Method6 = sysctl.MethodDHCP
	case v["IPV6_AUTOCONF"] == "yes":
		f.nic.Method6 = sysctl.MethodSLAAC
	}
	for i := range 9 {
		number := ""
		if i > 0 {
			number = strconv.Itoa(i)
		}
		f.address4(v["IPADDR"+number], v["PREFIX"+number], v["NETMASK"+number])
		alias := w.variables(fmt.Sprintf("network-scripts/ifcfg-%s:%d", name, i))
		if alias["DEVICE"] == fmt.Sprintf("%s:%d", name, i) && alias["ONPARENT"] == "yes" {
			f.address4(alias["IPADDR"], alias["PREFIX"], alias["NETMASK"])
		}
	}
	if v["IPV6INIT"] == "yes" {
		for _, word := range strings.Fields(v["IPV6ADDR"] + " " + v["IPV6ADDR_SECONDARIES"]) {
			f.address(word)
		}
	}
	if v["GATEWAY"] != "" {
		f.route("default", v["GATEWAY"], "", false)
	}
	for _, family := range []string{"", "-6 "} {
		file := "/etc/sysconfig/network-scripts/route-" + name
		if family != "" {
			file = "/etc/sysconfig/network-scripts/route6-" + name
		}
		for line := range strings.Lines(w.files[file]) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				f.command("ip " + family + "route add " + line)
			}
		}
	}
}

func (f *found) address4(address, prefix, mask string) {
	if address == "" {
		return
	}
	if m := net.ParseIP(mask).To4(); prefix == "" && m != nil {
		bits, _ := net.IPMask(m).Size()
		prefix = strconv.Itoa(bits)
	}
	f.address(address + "/" + prefix)
}

// suse reads what SUSE's scripts and wicked do.
func (w written) suse(f *found) {
	name := f.nic.Name
	v := w.variables("network/ifcfg-" + name)
	f.up = v["STARTMODE"] == "auto"
	if v["MTU"] != "" {
		f.mtu(v["MTU"])
	}
	for _, how := range strings.Split(v["BOOTPROTO"], "+") {
		switch how {
		case "dhcp":
			f.nic.Method4, f.nic.Method6 = sysctl.MethodDHCP, sysctl.MethodDHCP
		case "dhcp4":
			f.nic.Method4 = sysctl.MethodDHCP
		case "dhcp6":
			f.nic.Method6 = sysctl.MethodDHCP
		case "auto6":
			f.nic.Method6 = sysctl.MethodSLAAC
		case "static":
		default:
			f.wrong("BOOTPROTO=%s", v["BOOTPROTO"])
		}
	}
	if ra := strings.Contains(w.files["/etc/sysconfig/network/ifsysctl-"+name], "net.ipv6.conf."+name+".accept_ra = 1\n"); ra && f.nic.Method6 == "" {
		f.nic.Method6 = sysctl.MethodSLAAC
	}
	for i := range 9 {
		number := ""
		if i > 0 {
			number = "_" + strconv.Itoa(i)
		}
		if address := v["IPADDR"+number]; address != "" {
			f.address(address)
		}
	}
	for line := range strings.Lines(w.files["/etc/sysconfig/network/ifroute-"+name]) {
		c := strings.Fields(line)
		switch {
		case len(c) == 0 || c[0] == "#":
		case len(c) < 4 || c[2] != "-" || c[3] != name || len(c) != 4 && (len(c) != 6 || c[4] != "metric"):
			f.wrong("ifroute: %q", line)
		default:
			f.route(c[0], strings.Trim(c[1], "-"), append(c, "", "")[5], false)
		}
	}
}

// netifrc reads conf.d/net, in which lists are lines of a string or, where lines is "", arrays.
func netifrc(lines string) func(written, *found) {
	return func(w written, f *found) {
		name := f.nic.Name
		v := w.assignments("/etc/conf.d/net")
		list := func(key string) []string {
			values := v[key+"_"+name]
			if lines != "" && len(values) == 1 {
				values = strings.Split(values[0], lines)
			}
			return slices.DeleteFunc(values, func(s string) bool { return s == "" })
		}
		if !slices.Equal(list("modules"), []string{"iproute2"}) {
			f.wrong("modules %q: the routes need iproute2", list("modules"))
		}
		link, service := w.files["/etc/init.d/net."+name], w.files["/etc/runlevels/default/net."+name]
		f.up = link == "-> net.lo" && service == "-> /etc/init.d/net."+name
		if m := v["mtu_"+name]; len(m) > 0 && m[0] != "" {
			f.mtu(m[0])
		}
		for line := range strings.Lines(w.files["/etc/conf.d/net"]) {
			if m := knobLine.FindStringSubmatch(strings.TrimSpace(line)); m != nil && m[1] == m[3] {
				f.command(m[2])
			}
		}
		config := list("config")
		for _, c := range config {
			switch c {
			case "dhcp":
				f.nic.Method4 = sysctl.MethodDHCP
			case "dhcpv6":
				f.nic.Method6 = sysctl.MethodDHCP
			case "null":
				if len(config) > 1 {
					f.wrong("config %q", config)
				}
			default:
				f.address(c)
			}
		}
		if len(config) == 0 {
			f.wrong("no config: netifrc would ask DHCP")
		}
		for _, r := range list("routes") {
			words := strings.Fields(r)
			family := ""
			if strings.Contains(r, ":") {
				family = "-6 "
			}
			f.command("ip " + family + "route add " + strings.Join(append(words, "dev", name), " "))
		}
		f.listens()
	}
}

// slackware reads rc.inet1.conf, and then rc.local.
func slackware(lists bool) func(written, *found) {
	return func(w written, f *found) {
		v := w.assignments("/etc/rc.d/rc.inet1.conf")
		get := func(key string, slot int) string { return strings.Join(v[fmt.Sprintf("%s[%d]", key, slot)], " ") }
		most := 6
		if m := v["MAXNICS"]; len(m) == 1 {
			most, _ = strconv.Atoi(m[0])
		}
		ours := 0
		for slot := range most {
			name := get("IFNAME", slot)
			if name == "" {
				name = fmt.Sprint("eth", slot)
			}
			if name != f.nic.Name {
				continue
			}
			if _, said := v[fmt.Sprintf("IFNAME[%d]", slot)]; said {
				ours++
			}
			f.slackware(w, slot, lists, get)
		}
		if ours != 1 {
			f.wrong("%d slots are called so", ours)
		}
		for key, v6 := range map[string]bool{"GATEWAY": false, "GATEWAY6": true} {
			for _, a := range v[key] {
				if a == "" || v6 && !lists {
					continue
				}
				gateway := netip.MustParseAddr(a)
				if slices.ContainsFunc(f.nic.Addresses, func(p netip.Prefix) bool { return p.Contains(gateway) }) {
					f.route("default", a, "", false)
				}
			}
		}
		f.script(w, "/etc/rc.d/rc.local")
		if !lists { // the newer one switches it off itself
			f.listens()
		}
	}
}

func (f *found) slackware(w written, slot int, lists bool, get func(string, int) string) {
	if fi, err := w.tree.Lstat("/etc/rc.d/rc.inet1"); err != nil || fi.Mode()&0o111 == 0 {
		f.wrong("rc.inet1 is not run")
	}
	if get("USE_DHCP", slot) == "yes" {
		f.nic.Method4 = sysctl.MethodDHCP
	} else {
		f.address4(get("IPADDR", slot), "", get("NETMASK", slot))
	}
	if lists {
		for _, a := range strings.Fields(get("IPADDRS", slot) + " " + get("IP6ADDRS", slot)) {
			f.address(a)
		}
		if m := get("MTU", slot); m != "" {
			f.mtu(m)
		}
		switch {
		case get("USE_DHCP6", slot) == "yes":
			f.nic.Method6 = sysctl.MethodDHCP
		case get("USE_SLAAC", slot) == "yes":
			f.nic.Method6 = sysctl.MethodSLAAC
		}
	}
	f.up = f.nic.Method4 != "" || f.nic.Method6 != "" || len(f.nic.Addresses) > 0
}

// runit reads Void's rc.local, the services of DHCP clients, and the configuration of dhcpcd.
func (w written) runit(f *found) {
	f.script(w, "/etc/rc.local")
	f.listens()
	name := f.nic.Name
	asks4, asks6 := false, false
	if w.files["/etc/runit/runsvdir/default/dhcpcd"] != "" {
		asks4, asks6 = true, true
		of := ""
		for line := range strings.Lines(w.files["/etc/dhcpcd.conf"]) {
			words := strings.Fields(line)
			switch {
			case len(words) == 0 || words[0] == "#":
			case words[0] == "interface":
				of = words[1]
			case words[0] == "denyinterfaces" && of == "" && slices.Contains(words[1:], name):
				asks4, asks6 = false, false
			case words[0] == "ipv4only" && of == name:
				asks6 = false
			case words[0] == "ipv6only" && of == name:
				asks4 = false
			}
		}
	}
	if link, ok := w.files["/etc/runit/runsvdir/default/sysctl-dhcp-"+name]; ok {
		run := strings.TrimPrefix(link, "-> ") + "/run"
		fi, err := w.tree.Lstat(run)
		_, command, _ := strings.Cut(w.files[run], "\nexec dhcpcd -B ")
		words := strings.Fields(command)
		if err != nil || fi.Mode()&0o111 == 0 || !slices.Contains(words, name) {
			f.wrong("%s: %q (%v)", run, w.files[run], err)
		}
		asks4, asks6 = !slices.Contains(words, "-6"), !slices.Contains(words, "-4")
	}
	if asks4 {
		f.nic.Method4 = sysctl.MethodDHCP
	}
	if asks6 {
		f.nic.Method6 = sysctl.MethodDHCP
	}
}

// netctl reads the profile that a unit is enabled for.
func (w written) netctl(f *found) {
	name := f.nic.Name
	for unit := range w.files {
		profile, ok := strings.CutPrefix(unit, "/etc/systemd/system/multi-user.target.wants/netctl@")
		if !ok {
			continue
		}
		v := w.assignments("/etc/netctl/" + strings.ReplaceAll(strings.TrimSuffix(profile, ".service"), `\x2d`, "-"))
		one := func(key string) string { return strings.Join(v[key], " and ") }
		if one("Interface") != name {
			continue
		}
		if f.up {
			f.wrong("two profiles are enabled")
		}
		f.up = one("Connection") == "ethernet"
		switch one("IP") {
		case "dhcp":
			f.nic.Method4 = sysctl.MethodDHCP
		case "static", "no":
		default:
			f.wrong("IP=%s", one("IP"))
		}
		switch one("IP6") {
		case "dhcp":
			f.nic.Method6 = sysctl.MethodDHCP
		case "stateless":
			f.nic.Method6 = sysctl.MethodSLAAC
		case "static", "no":
		default:
			f.wrong("IP6=%s", one("IP6"))
		}
		for family, suffix := range map[string]string{"": "", "-6 ": "6"} {
			if one("IP"+suffix) == "static" {
				for _, a := range v["Address"+suffix] {
					f.address(a)
				}
				if g := one("Gateway" + suffix); g != "" {
					f.route("default", g, "", false)
				}
			}
			for _, r := range v["Routes"+suffix] {
				f.command("ip " + family + "route add " + r + " dev " + name)
			}
		}
		for _, c := range v["IPCustom"] {
			f.command("ip " + c)
		}
	}
}
