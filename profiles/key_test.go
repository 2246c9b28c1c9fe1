package profiles_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

// values has, for every config key and device option, values that are right and values that are wrong
// with a part of the message. TestTableIsCovered fails when one is missing here.
var values = map[string]struct {
	good []string
	bad  map[string]string
}{
	"boot.autorestart":           {[]string{"", "true", "off"}, map[string]string{"10": "neither true nor false"}},
	"boot.host_shutdown_action":  {[]string{"", "stop", "force-stop"}, map[string]string{"kill": `neither "stop" nor "force-stop"`, "stateful-stop": "neither"}},
	"boot.host_shutdown_timeout": {[]string{"", "1", "120"}, map[string]string{"0": "from 1 to", "-1": "number of seconds", "30s": "number of seconds"}},
	"boot.stop.priority":         {[]string{"", "0", "10", "-3"}, map[string]string{"1.5": "not a priority", "high": "the highest stops first"}},
	"boot.autostart": {[]string{"", "true", "false", "1", "0", "yes", "off", "True"},
		map[string]string{"maybe": `write "true" or "false"`, " true": "neither", "2": "neither"}},
	"boot.autostart.delay": {[]string{"", "0", "5", "4294967295"},
		map[string]string{"-1": "whole number", "5s": "number of seconds", "1.5": "number of seconds", "4294967296": "4294967295"}},
	"boot.autostart.priority": {[]string{"", "0", "10", "-3"},
		map[string]string{"high": "not a priority", "1e3": "not a priority", "99999999999999999999": "not a priority"}},
	"compat.vsyscall": {[]string{"", "auto", "on", "off"}, map[string]string{"yes": `"auto", "on" and "off"`, "On": "none of"}},
	"environment.LANG": {[]string{"", "de_DE.UTF-8", "two\nlines", "a=b"},
		map[string]string{"a\x00b": "NUL", "\xff": "UTF-8"}},
	"guest.network": {[]string{"", "write", "keep"}, map[string]string{"none": `neither "write" nor "keep"`, "Keep": "neither"}},
	"guest.network.keep": {[]string{"", "/etc/hosts", "/etc/hosts, /etc/resolv.conf"},
		map[string]string{"etc/hosts": `"/etc/hosts"`, "/etc/../x": `".."`, "/a,": "absolute", "/etc/a\nb": "control character"}},
	"guest.prep": {[]string{"", "-console", "-console, -udev-off"},
		map[string]string{"console": "with a minus", "-": "with a minus", "-a,": "with a minus", "-a b": "with a minus", "--": "with a minus"}},
	"limits.cpu": {[]string{"", "1", "4", "0-3,5", "1-1", "3,1,2", "0,0", "8190-8191"},
		map[string]string{"0": "number of CPUs", "-1": "set of CPUs", "two": "number of CPUs", "3-1": `write "1-3"`, "1,": "set of CPUs",
			"0-9999": "set of CPUs", "0-8192": "cannot exist", "+2": "number of CPUs", "1-2-3": "set of CPUs", "8193": "number of CPUs", "50%": "number of CPUs"}},
	"limits.cpu.allowance": {[]string{"", "1%", "100%", "25ms/100ms", "400ms/100ms", "1ms/1ms"},
		map[string]string{"0%": "from 1% to 100%", "101%": "from 1% to 100%", "50": "no allowance", "25/100": "no allowance", "25ms": "no allowance", "25ms/2000ms": "period", "0ms/100ms": "from 1ms", "1s/2s": "no allowance", "-1ms/10ms": "no allowance"}},
	"limits.cpu.priority":         {[]string{"", "0", "10"}, map[string]string{"11": "from 0 to 10", "-1": "not a priority", "high": "not a priority"}},
	"limits.disk.priority":        {[]string{"", "0", "10"}, map[string]string{"11": "from 0 to 10", "-1": "not a priority"}},
	"limits.hugepages.1GB":        {[]string{"", "0", "4GiB"}, map[string]string{"x": "not a size"}},
	"limits.hugepages.1MB":        {[]string{"", "1MiB"}, map[string]string{"-1": "not a size"}},
	"limits.hugepages.2MB":        {[]string{"", "64MiB"}, map[string]string{"64m": "did you mean"}},
	"limits.hugepages.64KB":       {[]string{"", "1MB"}, map[string]string{"much": "not a size"}},
	"limits.memory.enforce":       {[]string{"", "hard", "soft"}, map[string]string{"Soft": "neither", "firm": `neither "hard" nor "soft"`}},
	"limits.memory.swap":          {[]string{"", "true", "0", "off", "512MiB", "0GiB"}, map[string]string{"some": "nor a size", "-1": "nor a size", "5m": "nor a size"}},
	"limits.memory.swap.priority": {[]string{"", "0", "10"}, map[string]string{"11": "not a priority", "1.5": "not a priority"}},
	"limits.memory": {[]string{"", "1", "512MiB", "2GB", "1%", "100%", "1024kB"},
		map[string]string{"0": "no memory", "0GiB": "no memory", "0%": "share", "101%": "share", "12Q": "12Q", "512m": `did you mean "512MiB"`,
			"1.5GiB": "whole number", "-1": "not a size", "%": "share", "1 GiB": "not a size", "9999999999TiB": "too large", "-5%": "share"}},
	"limits.processes": {[]string{"", "1", "2000", "4194304"},
		map[string]string{"0": "whole number from 1", "-5": "number of processes", "4194305": "to 4194304", "many": "number of processes"}},
	"snapshots.expiry": {[]string{"", "2w", "1d 12H"}, map[string]string{"5": "no length of time", "1d 2d": "twice"}},
	"snapshots.pattern": {[]string{"", "snap%d", "{{creation_date|date:'2006-01-02'}}-%d"},
		map[string]string{"%d%d": "more than once", "{{name}}": "not known", "a b": "no snapshot can have"}},
	"snapshots.schedule": {[]string{"", "30 2 * * *", "@daily, @monthly", "@never"},
		map[string]string{"daily": "five fields", "@often": "@hourly", "99 * * * *": "no minute", "0 0 31 2 *": "never"}},
	"snapshots.schedule.stopped": {[]string{"", "true", "no"}, map[string]string{"yep": "neither"}},
	"cloud-init.network-config":  {[]string{"", "version: 2\nethernets: {}", "{}"}, map[string]string{"- a": "YAML", "a: b: c": "YAML", "x": "YAML", "\x00": "NUL"}},
	"cloud-init.user-data": {[]string{"", "#cloud-config\na: b", "#!/bin/sh\nexit", "#include\nhttps://example.org/x", "Content-Type: multipart/mixed"},
		map[string]string{"packages: [x]": `let the first line be "#cloud-config"`, "#cloud-config\n- a": "YAML", "#cloud-config\n\ta: b": "YAML", "\xff": "UTF-8"}},
	"cloud-init.vendor-data": {[]string{"", "#cloud-config\n{}"}, map[string]string{"hello": "first line"}},
	"limits.kernel.nofile": {[]string{"", "1024", "1024:65536", "unlimited", "0:unlimited"},
		map[string]string{"65536:1024": `write "1024:65536"`, "many": "no limit", "-1": "no limit", "1:2:3": "no limit", ":": "no limit", "unlimited:5": "soft limit above"}},
	"linux.kernel_modules":             {[]string{"", "nfs", "nfs, ip_vs", "snd-dummy"}, map[string]string{"a,": "name of a module", "-r x": "name of a module", "../x": "name of a module", "a b": "name of a module"}},
	"linux.sysctl.net.ipv4.ip_forward": {[]string{"", "1", "4096 87380\t16777216"}, map[string]string{"1\n2": "control character", "\x00": "control character"}},
	"raw.idmap": {[]string{"", "both 1000 1000", "uid 1000-1005 2000-2005\ngid 1000 1000\n", "uid 5 5\ngid 5 5"},
		map[string]string{"1000 1000": "no mapping", "all 1 1": "no mapping", "both 1000 0": "guest's root", "both 0 1000": "host's root", "both 1-5 1-6": "maps 5 ids to 6", "uid 5 5\nboth 5 9": "a second time",
			"uid 9 5\nuid 8 5": "a second time", "both 5-1 1-5": "no mapping", "both 4294967294 7": "no mapping", "both x 7": "no mapping"}},
	"raw.lxc": {[]string{"", "lxc.proc.oom_score_adj = 10", "# a comment\n\nlxc.cgroup.devices.allow=c 10:232 rwm\nlxc.mount.entry = /srv srv none bind,create=dir 0 0", "lxc.apparmor.profile = unconfined"},
		map[string]string{"lxc.rootfs.path = dir:/": "instance's own files", "lxc.hook.pre-start = /bin/sh": "this program's own", "lxc.idmap = u 0 0 4294967295": "raw.idmap", "lxc.net.0.type = none": "type nic",
			"lxc.cgroup.dir.container = x": "where its cgroups are", "lxc.prlimit.nofile = 5": "limits.kernel.NAME", "lxc.seccomp.profile = /x": "raw.seccomp", "lxc.sysctl.net.a = 1": "linux.sysctl.NAME",
			"lxc.unheard_of = 1": "not one of those", "lxc.cap.drop =": "no value", "proc.x = 1": "no line of liblxc's", "lxc.proc.": "no line of", "lxc.mount.auto = cgroup:rw": "leave", "lxc.proc. = 1": "not one of those",
			"lxc.mount.entry = /srv /srv none bind 0 0": "inside the guest", "lxc.mount.entry = /srv a/../../b none bind 0 0": "inside the guest", "lxc.include = /etc/x": "themselves", "lxc.init.cmd = a\rb": "control character"}},
	"raw.seccomp": {[]string{"", "2\ndenylist\n[all]\nkeyctl errno 38\n", "2\n#c\nblacklist\nreject_force_umount\nbpf"},
		map[string]string{"1\nread": "version 2", "2": "version 2", "2\nallowlist\n[all]\nread": "nothing can start or end", "2\nsomelist": "neither denylist nor allowlist", "2\ndenylist\nmkdir errno": "what can be done", "2\ndenylist\nmkdir errno 1 [0,1,SCMP_CMP_EQ]": "not understood",
			"2\ndenylist\n[x86]\nbpf": "all architectures", "2\ndenylist maybe\nbpf": "what can be done", "2\ndenylist\n../x": "name of a system call"}},
	"security.idmap.base":            {[]string{"", "65536", "2000000"}, map[string]string{"0": "host's own users", "1000": "host's own users", "4294967295": "cannot be", "-1": "cannot be"}},
	"security.idmap.isolated":        {[]string{"", "true", "false"}, map[string]string{"x": "neither"}},
	"security.idmap.size":            {[]string{"", "65536", "131072"}, map[string]string{"1000": "from 65536", "65535": "from 65536", "4294967296": "number of ids"}},
	"security.nesting":               {[]string{"", "true", "off"}, map[string]string{"deep": "neither"}},
	"security.protection.delete":     {[]string{"", "true"}, map[string]string{"x": "neither"}},
	"security.protection.start":      {[]string{"", "false"}, map[string]string{"x": "neither"}},
	"security.syscalls.allow":        {[]string{""}, map[string]string{",": "names no system call", "READ": "name of a system call", "read,write": "nothing can start or end: brk,close", "a-b": "name of a system call"}},
	"security.syscalls.deny":         {[]string{"", "keyctl", "keyctl, bpf\n"}, map[string]string{"key ctl!": "name of a system call", "[all]": "name of a system call"}},
	"security.syscalls.deny_default": {[]string{"", "true", "false"}, map[string]string{"x": "neither"}},
	"security.privileged":            {[]string{"", "true", "no"}, map[string]string{"yep": "neither"}},
	"user.note":                      {[]string{"", "anything at all", "a: b\n"}, map[string]string{"\x00": "NUL"}},

	"disk type":        {[]string{"disk"}, map[string]string{"nic": `"disk"`}},
	"disk propagation": {[]string{"private", "rslave"}, map[string]string{"shared": "never reaches the host", "r": "is not one of"}},
	"disk recursive":   {[]string{"true", "off"}, map[string]string{"all": "neither true nor false"}},
	"disk required":    {[]string{"false", "1"}, map[string]string{"maybe": "neither true nor false"}},
	"disk size":        {[]string{"512MiB", "4096"}, map[string]string{"0": "no room", "much": "not a size"}},
	"disk source":      {[]string{"/srv/data", "/", "/a b", "tmpfs:"}, map[string]string{"srv": `"/srv"`, "/a/../b": `"/b"`, "/a\nb": "control character", "/\xff": "UTF-8"}},
	"disk path":        {[]string{"/mnt", "/"}, map[string]string{"mnt/x": `"/mnt/x"`, "/..": `".."`}},
	"disk readonly":    {[]string{"", "true", "0"}, map[string]string{"ro": "neither"}},
	"disk optional":    {[]string{"", "true", "false"}, map[string]string{"x": "neither"}},
	"disk pool":        {[]string{"", "default"}, map[string]string{"a b": "pool name"}},

	"nic type":                    {[]string{"nic"}, map[string]string{"disk": `"nic"`}},
	"nic network":                 {[]string{"", "sysbr0"}, map[string]string{"a/b": "must not contain", "sixteencharacter": "16 characters"}},
	"nic parent":                  {[]string{"", "eth0", "eth0.100", "br-lan"}, map[string]string{"eth 0": "must not contain", "..": "cannot be"}},
	"nic name":                    {[]string{"", "eth0", "lan"}, map[string]string{"lo": "reserved", "all": "reserved", "a:b": "must not contain", "ü": "must not contain"}},
	"nic nictype":                 {[]string{"", "bridged", "macvlan", "physical"}, map[string]string{"bridge": `"bridged", "macvlan" or "physical"`, "routed": "not a nictype"}},
	"nic hwaddr":                  {[]string{"", "00:16:3e:12:34:56", "00-16-3E-12-34-56"}, map[string]string{"00:16:3e": "six bytes", "01:00:5e:00:00:01": "multicast", "00:00:00:00:00:00": "zeros", "x": "six bytes", "00:16:3e:12:34:56:78:9a": "six bytes"}},
	"nic ipv4.address":            {[]string{"", "none", "10.0.3.10", "192.0.2.5/24", "10.0.3.10, 192.0.2.5/32,10.9.0.1/8"}, map[string]string{"10.0.3.0/24": "is a network", "10.0.3.1,10.0.3.2": "needs a prefix length", "none,10.0.3.1/8": "beside", "10.0.3.1,": "not an IPv4", "10.0.3": "not an IPv4 address", "fd42::1": "not an IPv4", "fd42::/64": "not an IPv4", "0.0.0.0": "cannot be", "127.0.0.1": "cannot be", "224.0.0.1": "cannot be", "255.255.255.255": "cannot be", "dhcp": `"none"`}},
	"nic ipv6.address":            {[]string{"", "none", "fd42::10", "fd42::1/64", "fd42::10,fd43::1/128"}, map[string]string{"fd42::/64": "is a network", "10.0.3.10": "not an IPv6", "::ffff:10.0.3.10": "not an IPv6", "fe80::1%eth0": "not an IPv6", "::": "cannot be", "::1": "cannot be", "ff02::1": "cannot be"}},
	"nic ipv4.gateway":            {[]string{"", "none", "10.0.3.1"}, map[string]string{"10.0.3.1/24": `write "10.0.3.1"`, "fd42::1": "not an IPv4", "x": "not an IPv4", "10.0.0.1,10.0.0.2": "not an IPv4"}},
	"nic ipv6.gateway":            {[]string{"", "none", "fd42::1", "fe80::1"}, map[string]string{"10.0.3.1": "not an IPv6", "::": "cannot be"}},
	"nic ipv4.routes":             {[]string{"", "192.0.2.0/24 via 10.0.3.1", "192.0.2.0/24, 10.0.0.0/8 via 10.0.3.1 metric 5"}, map[string]string{"192.0.2.1/24": `write "192.0.2.0/24"`, "0.0.0.0/0 via 10.0.3.1": "ipv4.gateway", "fd42::/64": "not an IPv4 network", "192.0.2.0/24 via": "not a route", "192.0.2.0/24 via fd42::1": "not an IPv4 address", "192.0.2.0/24 dev eth0": "not a route", "192.0.2.0/24 metric -1": "not a metric"}},
	"nic ipv6.routes":             {[]string{"", "2001:db8::/32 via fe80::1"}, map[string]string{"10.0.0.0/8": "not an IPv6", "::/0 via fe80::1": "ipv6.gateway"}},
	"nic dns.nameservers":         {[]string{"", "10.0.3.1", "10.0.3.1, fd42::1"}, map[string]string{"dns.example": "not an address", "10.0.3.1,": "not an address", "10.0.3.1/24": "not an address"}},
	"nic dns.search":              {[]string{"", "lan", "example.org, a_b.lan"}, map[string]string{"a b": "not a domain", "lan,": "not a domain", "a;b": "not a domain"}},
	"nic mtu":                     {[]string{"", "68", "1500", "65535"}, map[string]string{"67": "from 68", "65536": "to 65535", "big": "not an MTU", "-1": "not an MTU"}},
	"nic limits.ingress":          {[]string{"", "8000", "100Mbit", "1Gbit", "10Mibit", "1000 kbit"}, map[string]string{"7kbit": "less than 8kbit", "fast": "not a bit rate", "10MB": "not a bit rate", "-1Mbit": "not a bit rate"}},
	"nic limits.egress":           {[]string{"", "100Mbit"}, map[string]string{"1": "less than"}},
	"nic limits.max":              {[]string{"", "100Mbit"}, map[string]string{"99999999999Tbit": "not a bit rate"}},
	"nic security.mac_filtering":  {[]string{"", "true", "no"}, map[string]string{"x": "neither"}},
	"nic security.ipv4_filtering": {[]string{"", "true", "no"}, map[string]string{"x": "neither"}},
	"nic security.ipv6_filtering": {[]string{"", "true", "no"}, map[string]string{"x": "neither"}},
	"nic security.port_isolation": {[]string{"", "true", "no"}, map[string]string{"x": "neither"}},
	"nic host_name":               {[]string{"", "vethweb1"}, map[string]string{"a/b": "must not contain", "sixteencharacter": "16 characters"}},
	"nic queue.tx.length":         {[]string{"", "1", "2000"}, map[string]string{"0": "not the length", "x": "not the length"}},
	"nic vlan":                    {[]string{"", "none", "1", "4094"}, map[string]string{"0": "not a VLAN", "4095": "not a VLAN", "x": "not a VLAN"}},
	"nic vlan.tagged":             {[]string{"", "1", "200-202, 300"}, map[string]string{"0": "not VLANs", "5-4": "not VLANs", "none": "not VLANs"}},

	"none type": {[]string{"none"}, map[string]string{"nic": `"none"`}},

	"proxy type":           {[]string{"proxy"}, map[string]string{"nic": `"proxy"`}},
	"proxy bind":           {[]string{"", "host", "instance"}, map[string]string{"guest": `"host" or "instance"`}},
	"proxy listen":         {[]string{"tcp:0.0.0.0:80", "udp:[::1]:1-3,7", "unix:/run/x", "unix:@x"}, map[string]string{"80": "no protocol", "tcp:80": "has no port", "tcp:a:80": "not an address", "tcp:::1:80": `[::1]`, "udp:1.2.3.4:0": "not a port", "unix:x": "not an absolute path"}},
	"proxy connect":        {[]string{"tcp:127.0.0.1:80", "unix:/run/x"}, map[string]string{"sctp:1.2.3.4:1": "no protocol", "tcp:224.0.0.1:1": "not an address", "tcp:1.2.3.4:7-": "not a port"}},
	"proxy gid":            {[]string{"", "0", "4294967294"}, map[string]string{"-1": "not an id", "4294967295": "not an id", "root": "not an id"}},
	"proxy uid":            {[]string{"", "1000"}, map[string]string{"x": "not an id"}},
	"proxy security.gid":   {[]string{"", "33"}, map[string]string{"x": "not an id"}},
	"proxy security.uid":   {[]string{"", "33"}, map[string]string{"x": "not an id"}},
	"proxy mode":           {[]string{"", "0644", "777"}, map[string]string{"1777": "not a mode", "rw": "octal"}},
	"proxy nat":            {[]string{"", "true", "no"}, map[string]string{"maybe": "neither"}},
	"proxy proxy_protocol": {[]string{"", "true", "no"}, map[string]string{"v2": "neither"}},

	"unix-block type":     {[]string{"unix-block"}, map[string]string{"unix-char": `"unix-block"`}},
	"unix-block source":   {[]string{"", "/dev/a"}, map[string]string{"dev/a": "not an absolute path"}},
	"unix-block path":     {[]string{"", "/dev/a"}, map[string]string{"/dev/../a": "without it"}},
	"unix-block major":    {[]string{"", "0", "4095"}, map[string]string{"4096": "from 0 to 4095", "-1": "whole number"}},
	"unix-block minor":    {[]string{"", "0", "1048575"}, map[string]string{"1048576": "from 0 to 1048575", "x": "whole number"}},
	"unix-block uid":      {[]string{"", "1000"}, map[string]string{"root": "whole number"}},
	"unix-block gid":      {[]string{"", "20"}, map[string]string{"4294967295": "from 0 to 4294967294"}},
	"unix-block mode":     {[]string{"", "0660"}, map[string]string{"1660": "not a mode"}},
	"unix-block required": {[]string{"", "false"}, map[string]string{"maybe": "neither"}},

	"unix-char type":     {[]string{"unix-char"}, map[string]string{"unix-block": `"unix-char"`}},
	"unix-char source":   {[]string{"", "/dev/a"}, map[string]string{"dev/a": "not an absolute path"}},
	"unix-char path":     {[]string{"", "/dev/a"}, map[string]string{"/dev/../a": "without it"}},
	"unix-char major":    {[]string{"", "0", "4095"}, map[string]string{"4096": "from 0 to 4095", "-1": "whole number"}},
	"unix-char minor":    {[]string{"", "0", "1048575"}, map[string]string{"1048576": "from 0 to 1048575", "x": "whole number"}},
	"unix-char uid":      {[]string{"", "1000"}, map[string]string{"root": "whole number"}},
	"unix-char gid":      {[]string{"", "20"}, map[string]string{"4294967295": "from 0 to 4294967294"}},
	"unix-char mode":     {[]string{"", "0660"}, map[string]string{"1660": "not a mode"}},
	"unix-char required": {[]string{"", "false"}, map[string]string{"maybe": "neither"}},
}

func testKey(t *testing.T, name string, k profiles.Key) {
	for _, v := range values[name].good {
		if err := k.Check(v); err != nil {
			t.Errorf("%s=%q is right, but: %v", name, v, err)
		}
	}
	for v, part := range values[name].bad {
		err := k.Check(v)
		switch {
		case err == nil:
			t.Errorf("%s=%q is wrong, but was accepted", name, v)
		case sysctl.KindOf(err) != sysctl.Invalid:
			t.Errorf("%s=%q: kind %s, want invalid", name, v, sysctl.KindOf(err))
		case !strings.Contains(err.Error(), part):
			t.Errorf("%s=%q: message %q lacks %q", name, v, err, part)
		}
	}
	if err := k.Check(k.Example); err != nil || k.Example == "" {
		t.Errorf("%s: its example %q is wrong: %v", name, k.Example, err)
	}
	for _, v := range k.Values {
		if err := k.Check(v); err != nil {
			t.Errorf("%s: its listed value %q is wrong: %v", name, v, err)
		}
	}
	if k.Doc == "" || k.Type == "" || strings.Contains(k.Doc, "\n") {
		t.Errorf("%s: type %q, doc %q: both must be there, in one line", name, k.Type, k.Doc)
	}
}

func TestKeyValues(t *testing.T) {
	for name := range values {
		if kind, option, ok := strings.Cut(name, " "); ok {
			testKey(t, name, deviceOption(t, kind, option))
			continue
		}
		k, ok := profiles.Lookup(name)
		if !ok {
			t.Errorf("Lookup(%q) finds nothing", name)
			continue
		}
		testKey(t, name, k)
	}
}

func deviceOption(t *testing.T, kind, option string) profiles.Key {
	t.Helper()
	for _, d := range profiles.DeviceTypes() {
		for _, o := range d.Options {
			if d.Type == kind && o.Name == option {
				return o
			}
		}
	}
	t.Fatalf("there is no option %s of a %s device", option, kind)
	return profiles.Key{}
}

func TestTableIsCovered(t *testing.T) {
	wild := map[string]string{"environment.*": "environment.LANG", "user.*": "user.note", "compat.*": "compat.vsyscall",
		"limits.kernel.*": "limits.kernel.nofile", "linux.sysctl.*": "linux.sysctl.net.ipv4.ip_forward"}
	for _, k := range profiles.Keys() {
		name := k.Name
		if k.Wildcard() {
			name = wild[name]
		}
		if len(values[name].bad) == 0 {
			t.Errorf("no values are tested for %s", k.Name)
		}
	}
	for _, d := range profiles.DeviceTypes() {
		for _, o := range d.Options {
			if len(values[d.Type+" "+o.Name].bad) == 0 {
				t.Errorf("no values are tested for option %s of a %s device", o.Name, d.Type)
			}
		}
		if !slices.IsSortedFunc(d.Options, byName) {
			t.Errorf("options of %s are not sorted", d.Type)
		}
	}
	if !slices.IsSortedFunc(profiles.Keys(), byName) {
		t.Error("Keys is not sorted")
	}
}

func byName(a, b profiles.Key) int { return strings.Compare(a.Name, b.Name) }

func TestLookup(t *testing.T) {
	for name, want := range map[string]string{
		"limits.memory": "limits.memory", "environment.LANG": "environment.*", "environment.*": "environment.*",
		"user.a.b.c": "user.*", "environment.": "", "environment": "", "limits.memory.": "", "limits": "", "": "", "users.x": "",
	} {
		k, ok := profiles.Lookup(name)
		if k.Name != want || ok != (want != "") {
			t.Errorf("Lookup(%q) = %q, %v; want %q", name, k.Name, ok, want)
		}
	}
}

func TestLive(t *testing.T) {
	later := []string{"cloud-init.", "compat.", "guest.", "limits.kernel.", "linux.", "raw.", "security.idmap.", "security.nesting", "security.privileged", "security.syscalls."}
	for _, k := range profiles.Keys() {
		want := !slices.ContainsFunc(later, func(prefix string) bool { return strings.HasPrefix(k.Name, prefix) })
		if k.Live != want {
			t.Errorf("%s: Live is %v", k.Name, k.Live)
		}
	}
}
