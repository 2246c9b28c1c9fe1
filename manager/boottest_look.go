package manager

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
)

// upScript says of a guest whether it has done its boot, and in one word how that is. systemd tells, those before 215 by their
// jobs. The last thing that other inits do is to offer a login, but OpenRC is not through then, nor is finit's ifup.
const upScript = `if [ -d /run/systemd/system ]; then
	s=$(systemctl is-system-running 2>/dev/null)
	case $s in
	initializing|starting|stopping|offline) echo "$s"; exit 1 ;;
	?*) echo "$s"; exit 0 ;;
	esac
	if systemctl -q is-active default.target && systemctl list-jobs 2>/dev/null | grep -qE '^(No|0) jobs'; then echo running; exit 0; fi
	echo starting
	exit 1
fi
for p in /proc/[0-9]*/comm; do
	read -r c < "$p" || continue
	case $c in openrc|rc|ifup) echo "$c runs"; exit 1 ;; esac
done 2>/dev/null
for p in $(grep -ls 'getty$' /proc/[0-9]*/comm); do
	if tr '\0' ' ' < "${p%comm}cmdline" | grep -q console; then echo 'offers a login'; exit 0; fi
done 2>/dev/null
echo 'offers no login on its console'
exit 1`

// failedScript lists the units or services that failed, as far as the guest's own init says so, one a line.
const failedScript = `if [ -d /run/systemd/system ]; then systemctl --failed --no-legend 2>/dev/null; fi
if command -v rc-status >/dev/null 2>&1; then rc-status -a --nocolor 2>/dev/null | grep -E 'crashed|failed'; fi
if [ -x /lib/finit/initctl ]; then /lib/finit/initctl -p status | grep -E 'crashed|halted'; fi
:`

// pollUp is how long is waited between two looks at whether a guest is up.
const pollUp = 200 * time.Millisecond

// sh runs a command in the guest and returns what it wrote, of which only a beginning is kept, and its status. It ends with ctx.
func (b *bootTest) sh(ctx context.Context, script string) (string, int, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return "", 0, err
	}
	defer null.Close()
	out, w, err := os.Pipe()
	if err != nil {
		return "", 0, err
	}
	defer out.Close()
	var said bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(&said, io.LimitReader(out, 1<<20))
		io.Copy(io.Discard, out)
	}()
	status, err := b.m.Runtime.Exec(ctx, b.inst.ID, sysctl.Command{
		Argv: []string{"/bin/sh", "-c", script}, Cwd: "/", Env: []string{defaultPath, "HOME=/root", "USER=root", "LC_ALL=C"},
		Stdin: null, Stdout: w, Stderr: w,
	})
	w.Close()
	select {
	case <-read:
	case <-ctx.Done(): // what it has left behind in the guest holds the pipe
		out.SetReadDeadline(time.Now())
		out.Close()
		<-read
	}
	return strings.TrimSpace(said.String()), status, err
}

// waitUp waits until the guest has done its boot and has its addresses.
func (b *bootTest) waitUp(ctx context.Context) (bool, error) {
	timeout := b.expect.Timeout
	if timeout <= 0 {
		timeout = testBootTimeout
	}
	began := time.Now()
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	state := "nothing could be asked of it"
	for {
		said, status, err := b.sh(within, upScript)
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case err == nil && status == 0:
			missing, err := b.missing(within)
			if err == nil && missing == "" {
				b.note("boots", "", fmt.Sprintf("%s, after %s", said, time.Since(began).Round(100*time.Millisecond)))
				return true, nil
			}
			if err == nil {
				state = "it has no " + missing
			}
		case said != "":
			state = said
		}
		if s := b.m.Runtime.State(b.inst.ID); s.Status != sysctl.Running {
			state = "it is " + string(s.Status)
		}
		select {
		case <-within.Done():
			b.note("boots", fmt.Sprintf("not within %s: %s", timeout, state), "")
			return false, ctx.Err()
		case <-time.After(pollUp):
		}
	}
}

// want is the network that the guest was told of.
func (b *bootTest) want(ctx context.Context) (sysctl.GuestNetwork, error) {
	inst, err := b.m.DB.Instance(ctx, b.inst.Name)
	if err != nil {
		return sysctl.GuestNetwork{}, err
	}
	spec, err := b.m.spec(ctx, inst)
	if err != nil {
		return sysctl.GuestNetwork{}, err
	}
	return b.m.guestNetwork(ctx, inst, spec)
}

// missing returns an address that the guest was told of and does not have, or "".
func (b *bootTest) missing(ctx context.Context) (string, error) {
	want, err := b.want(ctx)
	if err != nil {
		return "", err
	}
	tables, _, err := b.sh(ctx, addressScript)
	if err != nil {
		return "", err
	}
	has := localAddresses(tables)
	for _, nic := range want.NICs {
		for _, p := range nic.Addresses {
			if !slices.Contains(has, p.Addr()) {
				return p.Addr().String(), nil
			}
		}
	}
	return "", nil
}

// network checks addresses, gateways and name servers, and that the guest answers at its addresses.
func (b *bootTest) network(ctx context.Context) error {
	missing, err := b.missing(ctx)
	if err != nil {
		return err
	}
	want, err := b.want(ctx)
	if err != nil {
		return err
	}
	routes, _, err := b.sh(ctx, routeScript)
	if err != nil {
		return err
	}
	has := defaultGateways(routes)
	for _, nic := range want.NICs {
		wrong := ""
		if missing != "" {
			wrong = missing + " is missing"
		}
		b.note(nic.Name+": addresses", wrong, words(nic.Addresses))
		for _, p := range nic.Addresses {
			if missing == "" && p.Addr().Is4() {
				b.note(nic.Name+": answers", errorText(b.m.Net.Answers(ctx, p.Addr())), p.Addr().String())
			}
		}
		for _, gateway := range []netip.Addr{nic.Gateway4, nic.Gateway6} {
			if !gateway.IsValid() {
				continue
			}
			wrong := ""
			if !slices.Contains(has, gateway) {
				wrong = fmt.Sprintf("%s is missing: there is %s", gateway, cmp.Or(words(has), "none"))
			}
			b.note(nic.Name+": gateway", wrong, gateway.String())
		}
	}
	return b.nameservers(ctx, want.DNS)
}

// nameservers checks that the guest knows its name servers, be it by a resolver of its own.
func (b *bootTest) nameservers(ctx context.Context, want []netip.Addr) error {
	if len(want) == 0 {
		return nil
	}
	said, _, err := b.sh(ctx, "cat /etc/resolv.conf /run/systemd/resolve/resolv.conf 2>/dev/null")
	if err != nil {
		return err
	}
	wrong := ""
	for _, server := range want {
		if !regexp.MustCompile(`(?m)^nameserver\s+` + regexp.QuoteMeta(server.String()) + `\s*$`).MatchString(said) {
			wrong = server.String() + " is missing"
		}
	}
	b.note("name servers", wrong, words(want))
	return nil
}

// names checks what the guest is called.
func (b *bootTest) names(ctx context.Context) error {
	said, _, err := b.sh(ctx, "cat /proc/sys/kernel/hostname")
	if err != nil {
		return err
	}
	wrong := ""
	if short, _, _ := strings.Cut(said, "."); short != b.inst.Name {
		wrong = fmt.Sprintf("%q", said)
	}
	b.note("host name", wrong, said)
	return nil
}

// words are values with commas between them.
func words[T fmt.Stringer](list []T) string {
	var all []string
	for _, v := range list {
		all = append(all, v.String())
	}
	return strings.Join(all, ", ")
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
