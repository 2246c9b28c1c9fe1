package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
)

func TestCutHost(t *testing.T) {
	for line, want := range map[string][]string{
		"-H box list": {"box", "list"}, "-Hbox list -q": {"box", "list", "-q"}, "--host box": {"box"}, "--host=root@box list": {"root@box", "list"}, "-H": {""},
		"list -H box": nil, "-h": nil, "": nil, "--hosts box": nil,
	} {
		host, rest, is := cutHost(strings.Fields(line))
		if is != (want != nil) || is && !slices.Equal(append([]string{host}, rest...), want) {
			t.Errorf("%q: %q %q %v", line, host, rest, is)
		}
	}
}

func TestParseHost(t *testing.T) {
	for word, want := range map[string][2]string{
		"box": {"box", ""}, "root@box": {"root@box", ""}, "root@box:2222": {"root@box", "2222"}, "::1": {"::1", ""}, "[::1]:22": {"::1", "22"}, "me@[fd00::2]": {"me@fd00::2", ""},
	} {
		if h, err := parseHost(word); err != nil || h.dest != want[0] || h.port != want[1] {
			t.Errorf("%q: %+v, %v", word, h, err)
		}
	}
	for _, word := range []string{"", "-oProxyCommand=x", "@box", "root@", "root@-x", "a b", "a;b", "$(x)", "box:", "box:0", "box:65536", "box:ssh", "[::1", "[::1]x", "a'b", "`x`", "a/b"} {
		if _, err := parseHost(word); sysctl.KindOf(err) != sysctl.Invalid {
			t.Errorf("%q: %v", word, err)
		}
	}
}

// Every login shell that is here reads the words that were written.
func TestQuoteRemote(t *testing.T) {
	words := []string{"plain", "", "a b", "it's", `"`, `back\slash`, `\\`, "$HOME", "`id`", "*", "~", "=ls", "a=~", "ü", "!!", "#", "{a,b}", "tab\there", "line\nbreak", "-x", "%1", "^", "a;b|c&d<e>f(g)"}
	found := 0
	for _, shell := range []string{"sh", "bash", "zsh", "fish", "ksh"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		found++
		line := "printf '%s\\0'"
		for _, w := range words {
			line += " " + quoteRemote(w)
		}
		out, err := exec.Command(path, "-c", line).Output()
		if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); err != nil || !slices.Equal(got, words) {
			t.Errorf("%s reads %q, %v", shell, got, err)
		}
	}
	if found == 0 {
		t.Error("no shell")
	}
}

// farSide is a machine that can only be reached by ssh: an sshd of this test's own on the loopback, where "sysctl" has a fake backend.
type farSide struct {
	host string // for -H
	env  []string
	dir  string
}

func newFarSide(t *testing.T) farSide {
	t.Helper()
	needs.Root(t)
	needs.Program(t, "ssh")
	needs.Program(t, "ssh-keygen")
	sshd := needs.Program(t, "sshd")
	if err := os.Mkdir("/run/sshd", 0o755); err == nil {
		t.Cleanup(func() { os.Remove("/run/sshd") })
	} else if !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, format string, args ...any) {
		t.Helper()
		if err := os.WriteFile(at(name), fmt.Appendf(nil, format, args...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"host", "me"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", at(key)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	public, err := os.ReadFile(at("host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link(t, self, at("bin/sysctl"))
	write("known", "[127.0.0.1]:%d %s", port, public)
	write("config", "Host *\n IdentityFile %s\n IdentitiesOnly yes\n UserKnownHostsFile %s\n GlobalKnownHostsFile none\n", at("me"), at("known"))
	write("sshd", "Port %d\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nPidFile none\nSetEnv PATH=%s:/usr/bin:/bin FAKE_STATE=%s\n",
		port, at("host"), at("me.pub"), at("bin"), at("state"))
	log, err := os.Create(at("log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(sshd, "-D", "-e", "-f", at("sshd"))
	says, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listens, logged := make(chan bool, 1), make(chan struct{})
	go func() { // what it says goes into the log, and that it listens is waited for
		defer close(logged)
		defer log.Close()
		for lines := bufio.NewScanner(says); lines.Scan(); {
			fmt.Fprintln(log, lines.Text())
			if strings.HasPrefix(lines.Text(), "Server listening on ") {
				listens <- true
			}
		}
		close(listens)
	}()
	t.Cleanup(func() { cmd.Process.Kill(); <-logged; cmd.Wait() })
	select {
	case ok := <-listens:
		if !ok {
			said, _ := os.ReadFile(at("log"))
			t.Fatalf("sshd has ended: %s", said)
		}
	case <-time.After(time.Minute):
		t.Fatal("sshd does not listen")
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	return farSide{"root@" + address, append(os.Environ(), "SYSCTL_SSH=ssh -F "+at("config"), "PATH=/usr/bin:/bin", "HOME="+dir), dir}
}

// command is a command line for that machine, of the real program.
func (f farSide) command(args ...string) *exec.Cmd {
	cmd := exec.Command(realBinary, append([]string{"-H", f.host}, args...)...)
	cmd.Env, cmd.Dir = f.env, f.dir
	return cmd
}

func (f farSide) run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := f.command(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

func TestOverSSH(t *testing.T) {
	far := newFarSide(t)
	noise := make([]byte, 3<<20)
	rand.Read(noise)
	if got := far.run(t, string(noise), "exec", "web1", "--", "cat"); got.stdout != string(noise) || got.stderr != "" || got.status != 0 {
		t.Errorf("3 MiB came back as %d bytes, status %d, %q", len(got.stdout), got.status, got.stderr)
	}
	for line, want := range map[string]result{
		"exec web1 -- exit 7":             {status: 7},
		"exec web1 -- exit 255":           {status: 255},
		"exec web1 -- echo a  'b $HOME *": {stdout: "a 'b $HOME *\n"},
		"exec web1 -- complain x":         {stderr: "x\n"},
		"list -q web1":                    {stdout: "web1\n"},
		"kernel.ostype":                   {stdout: "kernel.ostype = Linux\n"},
	} {
		got := far.run(t, "", strings.Fields(line)...)
		if got != want {
			t.Errorf("%s: %+v, want %+v", line, got, want)
		}
	}
	if got := far.run(t, "", "exec", "nope", "--", "echo"); got.status != 125 || !strings.Contains(got.stderr, "hint: sysctl -H "+far.host+" ") {
		t.Errorf("a hint is to be typed here: %+v", got)
	}

	if err := os.WriteFile(filepath.Join(far.dir, "note"), []byte("of here\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if got := far.run(t, "", "file", "push", "note", "web1/root/"); got.status != 0 {
		t.Errorf("push: %+v", got)
	}
	if got := far.run(t, "", "file", "pull", "web1/root/note", "back"); got.status != 0 {
		t.Errorf("pull: %+v", got)
	}
	if b, err := os.ReadFile(filepath.Join(far.dir, "back")); string(b) != "of here\n" {
		t.Errorf("it came back as %q, %v", b, err)
	}
	if got := far.run(t, "", "file", "pull", "nope/no/such", "none"); got.status != 3 {
		t.Errorf("pull of nothing: %+v", got)
	}
	if left, _ := filepath.Glob(filepath.Join(far.dir, ".*.part")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	for _, args := range [][]string{{"file", "push", ".", "web1/root"}, {"mount", "web1", "/mnt"}, {"image", "import", "./note", "--alias", "x"}} {
		if got := far.run(t, "", args...); got.status == 0 || !strings.Contains(got.stderr, "hint: ") {
			t.Errorf("%q: %+v", args, got)
		}
	}

	complete := exec.Command(realBinary, "__complete", "-H", "root", "@", strings.TrimPrefix(far.host, "root@"), "start", "")
	complete.Env = far.env
	if out, err := complete.Output(); err != nil || !strings.HasPrefix(string(out), "old1\n") {
		t.Errorf("completion: %q, %v", out, err)
	}
}

// Directories and several files go both ways through one connection, and archives of instances to and from files of this machine.
func TestFilesOverSSH(t *testing.T) {
	far := newFarSide(t)
	at := func(name string) string { return filepath.Join(far.dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	reads := func(name, want string) {
		t.Helper()
		if b, err := os.ReadFile(at(name)); string(b) != want {
			t.Errorf("%s is %q, %v", name, b, err)
		}
	}
	ok := func(args ...string) {
		t.Helper()
		if got := far.run(t, "", args...); got.status != 0 || got.stderr != "" {
			t.Errorf("%q: %+v", args, got)
		}
	}
	fails := func(status int, says string, args ...string) {
		t.Helper()
		if got := far.run(t, "", args...); got.status != status || !strings.Contains(got.stderr, says) {
			t.Errorf("%q: %+v", args, got)
		}
	}
	must(os.MkdirAll(at("site/sub"), 0o755))
	must(os.WriteFile(at("site/a"), []byte("of a\n"), 0o640))
	must(os.WriteFile(at("site/sub/big"), bytes.Repeat([]byte("big "), 1<<20), 0o644))
	must(os.Symlink("../a", at("site/sub/link")))
	must(os.WriteFile(at("b"), []byte("of b\n"), 0o600))

	ok("file", "push", "-r", "site", "web1/srv/")
	ok("file", "pull", "-r", "web1/srv/site", "back")
	if out, err := exec.Command("diff", "-r", "--no-dereference", at("site"), at("back")).CombinedOutput(); err != nil {
		t.Errorf("it came back as another: %s", out)
	}
	if info, err := os.Stat(at("back/a")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	ok("file", "push", "site/a", "b", "web1/two/")
	must(os.Mkdir(at("into"), 0o755))
	ok("file", "pull", "web1/two/a", "web1/two/b", "into")
	reads("into/a", "of a\n")
	reads("into/b", "of b\n")
	ok("file", "pull", "-rp", "web1/srv/site/sub", "made/for/it/")
	if target, err := os.Readlink(at("made/for/it/sub/link")); target != "../a" {
		t.Errorf("the link leads to %q, %v", target, err)
	}

	// What fails leaves nothing here, and nothing there that is half.
	fails(3, "not found", "file", "push", "-r", "site", "nobody/srv/")
	fails(3, "no such file", "file", "pull", "-r", "web1/absent", "none")
	fails(3, "site/absent: no such file", "file", "push", "-r", "site", "site/absent", "web1/half/")
	fails(2, "site is a directory\nhint: add --recursive", "file", "push", "site", "web1/half/")
	fails(3, "there is no directory no\nhint: add --create-dirs", "file", "pull", "-r", "web1/srv/site", "no/x")
	for _, name := range []string{"none", "no", "state.tree/web1/half"} {
		if _, err := os.Lstat(at(name)); err == nil {
			t.Errorf("%s is there", name)
		}
	}
	if left, _ := filepath.Glob(at(".sysctl-*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}

	ok("export", "web1", "web1.tar.zst", "--thin")
	reads("web1.tar.zst", "archive web1 true\n")
	fails(4, "web1.tar.zst exists", "export", "web1", "web1.tar.zst")
	fails(3, "", "export", "nobody", "nobody.tar")
	if got := far.run(t, "", "export", "web1", "-"); got.stdout != "archive web1 false\n" {
		t.Errorf("export to a stream: %+v", got)
	}
	if got := far.run(t, "", "import", "web1.tar.zst", "web7"); got.status != 0 || !strings.HasPrefix(got.stdout, "web7\n") {
		t.Errorf("import: %+v", got)
	}
	if got := far.run(t, "archive web1 false\n", "import", "-", "web8"); got.status != 0 || !strings.HasPrefix(got.stdout, "web8\n") {
		t.Errorf("import from a stream: %+v", got)
	}
	fails(2, "no archive", "import", "b")
	fails(3, "absent", "import", "absent")
	fails(8, "it would be mounted there", "mount", "web1", "/mnt")
	ok("mount")
	if list, _ := filepath.Glob(at("nobody*")); len(list) > 0 {
		t.Errorf("left: %q", list)
	}
}

func TestSSHFails(t *testing.T) {
	far := newFarSide(t)
	with := func(host string, ssh string, args ...string) result {
		far := far
		far.host = host
		far.env = append(slices.Clone(far.env), "SYSCTL_SSH="+ssh)
		return far.run(t, "", args...)
	}
	config := "ssh -F " + filepath.Join(far.dir, "config")
	for name, c := range map[string]struct {
		got    result
		status int
		says   string
	}{
		"nobody listens":       {with("root@127.0.0.1:1", config, "list"), 10, "Connection refused\nhint: ssh -v -p 1 root@127.0.0.1 true\n"},
		"exec's own failure":   {with("root@127.0.0.1:1", config, "exec", "web1", "--", "true"), 125, "Connection refused\n"},
		"unknown key":          {with(far.host, config+" -o UserKnownHostsFile=/dev/null -o BatchMode=yes", "list"), 10, "Host key verification failed.\nhint: ssh -p "},
		"no key of ours":       {with(far.host, config+" -i /dev/null -o IdentityFile=none -o PubkeyAuthentication=no", "list"), 10, "Permission denied"},
		"no ssh":               {with(far.host, "no-such-ssh", "list"), 8, "no-such-ssh is not installed here\nhint: apt-get install openssh-client\n"},
		"nothing to do":        {with(far.host, config), 2, "what to run there is missing"},
		"an option for a host": {with("-oProxyCommand=x", config, "list"), 2, "write [USER@]HOST[:PORT]"},
	} {
		if c.got.status != c.status || !strings.Contains(c.got.stderr, c.says) || c.got.stdout != "" {
			t.Errorf("%s: %+v", name, c.got)
		}
	}
	if err := os.Remove(filepath.Join(far.dir, "bin", "sysctl")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/usr/local/bin/sysctl"); err == nil {
		return // what is installed there would be found
	}
	if got := far.run(t, "", "list"); got.status != 8 || got.stderr != "sysctl: "+far.host+": this sysctl is not installed there\n" {
		t.Errorf("nothing there: %+v", got)
	}
}

// With a terminal its size is passed on, and Ctrl-C; without one, who is interrupted takes the verb on the other side along.
func TestTerminalOverSSH(t *testing.T) {
	far := newFarSide(t)
	// told is a fifo into which the other side tells that it ends: heard waits for that.
	told := func(name string) (path string, heard func(t *testing.T)) {
		path = filepath.Join(far.dir, name)
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0) // for both, so that it is open before anybody tells
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return path, func(t *testing.T) {
			t.Helper()
			f.SetReadDeadline(time.Now().Add(time.Minute))
			if _, err := f.Read(make([]byte, 1)); err != nil {
				t.Errorf("%s: the other side has not said that it ends: %v", name, err)
			}
		}
	}
	onTTY := func(args ...string) (*terminal, *exec.Cmd, func(string)) {
		tty := newTerminal(t)
		cmd := far.command(args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = tty.slave, tty.slave, tty.slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return tty, cmd, func(text string) { t.Helper(); tty.waitFor(t, text) }
	}
	tty, cmd, shows := onTTY("exec", "web1", "--", "sizes")
	shows("24x80")
	resizeTerminal(t, tty.master, 50, 132)
	shows("50x132")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}

	ended, heard := told("ctrl-c")
	tty, cmd, shows = onTTY("exec", "-T", "web1", "--", "wait", ended)
	shows("waiting")
	if _, err := tty.master.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 130 {
		t.Errorf("Ctrl-C: status %d, %q", status, tty.output.String())
	}
	heard(t)

	ended, heard = told("hangup")
	cmd = far.command("exec", "web1", "--", "wait", ended)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if said, err := bufio.NewReader(out).ReadString('\n'); said != "waiting\n" {
		t.Errorf("it says %q, %v", said, err)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 130 {
		t.Errorf("SIGTERM: status %d", status)
	}
	heard(t)
}
