package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// plainLXC is the distribution's lxc package as root would use it for unprivileged containers: one
// base container, lxc-copy into an overlay, lxc-start. It is what every ratio is taken against.
type plainLXC struct {
	bridge  string // its containers are on it, as ours are on theirs
	version string
	path    string
	empty   string
}

const lxcBase = "base"

// lxcRun is liblxc's own directory (its RUNTIME_PATH).
const lxcRun = "/run/lxc"

// guestInterfaces gives its guests the work that ours have: a network to configure, and to take down. They have one address,
// as nobody asks who has it.
const guestInterfaces = `auto lo
iface lo inet loopback
auto eth0
iface eth0 inet static
	address 192.0.2.2/24
	gateway 192.0.2.1
iface eth0 inet6 static
	address 2001:db8::2/64
	gateway 2001:db8::1
	dad-attempts 0
	accept_ra 0
`

func lxcPath(dir string) string { return filepath.Join(dir, "lxc") }

func (l *plainLXC) Name() string  { return "lxc" }
func (l *plainLXC) Store() string { return l.path }

func (l *plainLXC) About() string {
	return l.version + ", unprivileged, lxc-copy -B overlay, static address"
}

func (l *plainLXC) Prepare(ctx context.Context, e *env) error {
	for _, tool := range []string{"lxc-copy", "lxc-start", "lxc-stop", "lxc-destroy", "lxc-attach", "lxc-info"} {
		if _, err := lookup(tool); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(lxcRun, 0o755); err != nil {
		return err
	}
	if err := inMemory(lxcRun); err != nil {
		return err
	}
	l.path = lxcPath(e.dir)
	l.empty = filepath.Join(e.dir, "empty")
	base := filepath.Join(l.path, lxcBase)
	for _, dir := range []string{base, l.empty} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	out, err := l.tool("lxc-start").run(ctx, "--version")
	if err != nil {
		return err
	}
	l.version = "liblxc " + strings.TrimSpace(string(out))
	l.bridge = "lbench" + strconv.Itoa(os.Getpid()%100000)
	for _, args := range [][]string{{"link", "add", l.bridge, "type", "bridge"}, {"link", "set", l.bridge, "up"}} {
		if _, err := (program{path: "ip"}).run(ctx, args...); err != nil {
			return err
		}
	}
	interfaces := filepath.Join(l.path, "interfaces")
	if err := os.WriteFile(interfaces, []byte(guestInterfaces), 0o644); err != nil {
		return err
	}
	network := "lxc.mount.entry = " + interfaces + " etc/network/interfaces none bind,ro 0 0\n" +
		"lxc.net.0.type = veth\nlxc.net.0.flags = up\nlxc.net.0.link = " + l.bridge + "\n"
	return os.WriteFile(filepath.Join(base, "config"), fmt.Appendf(nil, `lxc.include = /usr/share/lxc/config/common.conf
lxc.include = /usr/share/lxc/config/userns.conf
lxc.idmap = u 0 %[1]d %[2]d
lxc.idmap = g 0 %[1]d %[2]d
lxc.rootfs.path = dir:%[3]s
lxc.uts.name = %[4]s
%[5]s`, idBase, idSize, e.shifted, lxcBase, network), 0o644)
}

// tool runs with a PATH that has no newuidmap: where liblxc finds that, it insists on a line for root
// in /etc/subuid, which this machine need not have. Writing the map itself is also faster.
func (l *plainLXC) tool(name string) program {
	p, err := lookup(name)
	if err != nil {
		p.path = name
	}
	p.env = []string{"PATH=" + l.empty, "HOME=/root", "LANG=C.UTF-8"}
	p.pre = []string{"-P", l.path}
	return p
}

func (l *plainLXC) do(ctx context.Context, tool string, args ...string) error {
	_, err := l.tool(tool).run(ctx, args...)
	return err
}

func (l *plainLXC) Create(ctx context.Context, name string) error {
	return l.do(ctx, "lxc-copy", "-n", lxcBase, "-N", name, "-B", "overlay", "-s")
}

func (l *plainLXC) Launch(ctx context.Context, name string) error {
	if err := l.Create(ctx, name); err != nil {
		return err
	}
	return l.Start(ctx, name)
}

func (l *plainLXC) Start(ctx context.Context, name string) error {
	return l.do(ctx, "lxc-start", "-n", name, "-d")
}

func (l *plainLXC) Stop(ctx context.Context, name string) error {
	return l.do(ctx, "lxc-stop", "-n", name)
}

func (l *plainLXC) Kill(ctx context.Context, name string) error {
	return l.do(ctx, "lxc-stop", "-n", name, "-k")
}

func (l *plainLXC) Delete(ctx context.Context, name string) error {
	return l.do(ctx, "lxc-destroy", "-n", name)
}

func (l *plainLXC) Exec(ctx context.Context, name string, argv ...string) ([]byte, error) {
	return l.tool("lxc-attach").run(ctx, append([]string{"-n", name, "--"}, argv...)...)
}

func (l *plainLXC) Init(ctx context.Context, name string) (int, error) {
	out, err := l.tool("lxc-info").run(ctx, "-n", name, "-p", "-H")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(out)))
}

// Upper is where an instance's own writable files lie.
func (l *plainLXC) Upper(name string) string {
	return filepath.Join(l.path, name, "overlay", "delta")
}

// Close removes the bridge, and the lock files that liblxc keeps by path.
func (l *plainLXC) Close(ctx context.Context) error {
	var err error
	if l.bridge != "" {
		_, err = (program{path: "ip"}).run(ctx, "link", "delete", l.bridge)
	}
	return errors.Join(err, os.RemoveAll(filepath.Join(lxcRun, "lock", l.path)), notInMemory(lxcRun))
}
