package netconfig

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// serveDir is where the files of each network's dnsmasq are: TABLE/NETWORK/. They are outside of SYSCTL_RUN_DIR, which only root
// may enter: dnsmasq, which talks to guests, is not root, and reads names again when it is told to.
const serveDir = "/run/sysctl-dns"

// server is one network's dnsmasq.
type server struct {
	network sysctl.Network
	dir     string
}

func serverOf(n sysctl.Network) server {
	return server{n, filepath.Join(serveDir, fileName(n.Table), fileName(n.Name))}
}

func fileName(s string) string { return strings.ReplaceAll(s, "/", "%2F") }

func (s server) file(name string) string { return filepath.Join(s.dir, name) }

// Dnsmasq returns where the program is, or "".
func Dnsmasq() string {
	for _, name := range []string{"dnsmasq", "/usr/sbin/dnsmasq", "/usr/local/sbin/dnsmasq"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Serve makes n's dnsmasq run as n wants it, for what n is up. It is idempotent and cheap where nothing is missing: one that has died is
// started again, one that n says other things of is replaced, where n wants none it is ended. hosts, which lists everybody on the network, is
// asked only when one is started. Where the program is not installed nothing is done, and Unsupported is who has asked for names on the host.
func Serve(ctx context.Context, n sysctl.Network, hosts func() ([]sysctl.NetworkHost, error)) error {
	s := serverOf(n)
	if !wantsServer(n) {
		return StopServing(ctx, n)
	}
	program := Dnsmasq()
	if program == "" {
		return s.without()
	}
	unlock, err := lockServers(n, true)
	if err != nil {
		return sysctl.Wrap(err, "network %s", n.Name)
	}
	defer unlock()
	owner := serverUser()
	servers, _ := HostDNS(ctx)
	conf := s.config(owner, servers)
	if old, err := os.ReadFile(s.file("conf")); err == nil && bytes.Equal(old, conf) && s.running() {
		return s.tellHostOnce(ctx)
	}
	list, err := hosts()
	if err != nil {
		return err
	}
	return sysctl.Wrap(s.start(ctx, program, owner, conf, list), "network %s: dnsmasq", n.Name)
}

// without says what cannot be where dnsmasq is not installed, though somebody has asked for it.
func (s server) without() error {
	if !s.network.DNS.Host || !answersNames(s.network) {
		return nil
	}
	return sysctl.E(sysctl.Unsupported, "network %s: dns.host needs dnsmasq, which is not there", s.network.Name).WithHint("apt-get install dnsmasq-base")
}

// start replaces what runs. A configuration that dnsmasq does not understand is Invalid, and then what ran goes on.
func (s server) start(ctx context.Context, program string, owner account, conf []byte, hosts []sysctl.NetworkHost) error {
	if err := s.makeDirs(owner); err != nil {
		return err
	}
	if err := s.write("new", conf, owner); err != nil {
		return err
	}
	defer os.Remove(s.file("new"))
	if said, err := run(ctx, program, "--test", "--conf-file="+s.file("new")); err != nil {
		return sysctl.E(sysctl.Invalid, "does not understand its configuration (raw.dnsmasq?): %s", said)
	}
	if err := s.end(ctx); err != nil {
		return err
	}
	byInstance := map[int64][]sysctl.NetworkHost{}
	for _, h := range hosts {
		byInstance[h.Instance] = append(byInstance[h.Instance], h)
	}
	for _, kind := range []string{"hosts", "dhcp"} {
		entries, err := os.ReadDir(s.file(kind))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := os.Remove(filepath.Join(s.file(kind), e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	for id, list := range byInstance {
		if _, err := s.announce(id, list, owner); err != nil {
			return err
		}
	}
	if err := os.Rename(s.file("new"), s.file("conf")); err != nil {
		return err
	}
	if said, err := run(ctx, program, "--conf-file="+s.file("conf")); err != nil {
		os.Remove(s.file("conf")) // the next start tries again
		return sysctl.E(sysctl.Conflict, "%s", said).WithHint("ss -lntup 'sport = :53 or sport = :67'")
	}
	if err := os.Remove(s.file("told")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.tellHostOnce(ctx)
}

// account is whom dnsmasq runs as.
type account struct {
	user, group string
	gid         int
}

var serverUser = sync.OnceValue(func() account {
	for _, name := range []string{"dnsmasq", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		gid, err := strconv.Atoi(u.Gid)
		g, err2 := user.LookupGroupId(u.Gid)
		if err == nil && err2 == nil {
			return account{u.Username, g.Name, gid}
		}
	}
	return account{"nobody", "nogroup", 65534}
})

func (s server) makeDirs(owner account) error {
	for dir, mode := range map[string]os.FileMode{s.dir: 0o750, s.file("hosts"): 0o750, s.file("dhcp"): 0o750} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return err
		}
		if err := os.Chown(dir, 0, owner.gid); err != nil {
			return err
		}
		if err := os.Chmod(dir, mode); err != nil {
			return err
		}
	}
	return nil
}

// write replaces a file. Names that begin with a dot are not read by dnsmasq.
func (s server) write(name string, data []byte, owner account) error {
	path := s.file(name)
	fresh := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := os.WriteFile(fresh, data, 0o640); err != nil {
		return err
	}
	if err := os.Chown(fresh, 0, owner.gid); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

// Announce tells n's dnsmasq of the interfaces of one instance, of none where it has gone. Where none runs, and where it knows already, nothing is done.
func Announce(ctx context.Context, n sysctl.Network, instance int64, hosts []sysctl.NetworkHost) error {
	s := serverOf(n)
	unlock, err := lockServers(n, false)
	if unlock == nil || err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(s.file("hosts")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	changed, err := s.announce(instance, hosts, serverUser())
	if err == nil && changed {
		err = s.signal(unix.SIGHUP)
	}
	return sysctl.Wrap(err, "network %s: dnsmasq", n.Name)
}

func (s server) announce(instance int64, hosts []sysctl.NetworkHost, owner account) (changed bool, err error) {
	names, leases := hostLines(hosts)
	for kind, data := range map[string]string{"hosts": names, "dhcp": leases} {
		name := filepath.Join(kind, strconv.FormatInt(instance, 10))
		old, err := os.ReadFile(s.file(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return changed, err
		}
		switch {
		case string(old) == data:
			continue
		case data == "":
			err = os.Remove(s.file(name))
		default:
			err = s.write(name, []byte(data), owner)
		}
		if changed = true; err != nil && !errors.Is(err, fs.ErrNotExist) {
			return changed, err
		}
	}
	return changed, nil
}

// ServerAddress is where n's names are answered.
func ServerAddress(n sysctl.Network) netip.Addr {
	if n.IPv4.IsValid() {
		return n.IPv4.Addr()
	}
	return n.IPv6.Addr()
}

// Serves reports whether n's dnsmasq runs, answers for names and can be asked.
func Serves(n sysctl.Network) bool {
	if !answersNames(n) || !serverOf(n).running() {
		return false
	}
	_, barred := Barred(n)
	return !barred
}

// Served reports whether n's dnsmasq runs, or should: it was started and has not been ended.
func Served(n sysctl.Network) bool {
	_, err := os.Stat(serverOf(n).file("conf"))
	return err == nil
}

// Alive reports whether n's dnsmasq runs.
func Alive(n sysctl.Network) bool { return serverOf(n).running() }

// StopServing ends n's dnsmasq and removes its files. Absent is success.
func StopServing(ctx context.Context, n sysctl.Network) error {
	s := serverOf(n)
	unlock, err := lockServers(n, false)
	if unlock == nil || err != nil {
		return err
	}
	defer unlock()
	if err := s.end(ctx); err != nil {
		return sysctl.Wrap(err, "network %s: dnsmasq", n.Name)
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return err
	}
	os.Remove(filepath.Dir(s.dir)) // where it was the environment's last
	return nil
}
