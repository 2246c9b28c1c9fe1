package manager

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Exec runs a command, or with o.Login the user's login shell, in a running instance. It returns the
// command's exit status (128+N when a signal ended it). An error is our own failure. It takes no
// lock: a stop may end the command.
func (m *Manager) Exec(ctx context.Context, name string, o ExecOptions) (int, error) {
	status, err := m.exec(ctx, name, o)
	verb := "exec"
	if o.Login {
		verb = "shell"
	}
	return status, sysctl.Wrap(err, "%s %s", verb, name)
}

func (m *Manager) exec(ctx context.Context, name string, o ExecOptions) (int, error) {
	inst, err := m.DB.Instance(ctx, name)
	if err != nil {
		return 0, err
	}
	state, err := m.running(inst)
	if err != nil {
		return 0, err
	}
	spec, err := m.spec(ctx, inst)
	if err != nil {
		return 0, err
	}
	cmd := sysctl.Command{Argv: o.Argv, Cwd: o.Cwd, Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr}
	if err := m.identity(state, inst, o, spec, &cmd); err != nil {
		return 0, err
	}
	if o.TTY {
		return m.execTerminal(ctx, inst.ID, cmd, o)
	}
	return m.Runtime.Exec(ctx, inst.ID, cmd)
}

// identity fills in who runs the command, where and with which environment. Root without a login needs no more of
// the guest's files than the name of its shell, and not even that: then their being unreadable is no error.
func (m *Manager) identity(state sysctl.State, inst sysctl.Instance, o ExecOptions, spec sysctl.Spec, cmd *sysctl.Command) error {
	u := account{name: "root", home: "/root", shell: "/bin/sh"}
	var lang string
	if o.Login || o.Cwd != "" || o.Group != "" || (o.User != "" && o.User != "root" && o.User != "0") {
		t, err := m.Storage.OpenProcess(state.Init)
		if err != nil {
			return err
		}
		defer t.Close()
		if u, err = lookup(t, o.User, o.Group); err != nil {
			var e *sysctl.Error
			if errors.As(err, &e) && e.Kind == sysctl.NotFound {
				e.Hint = "sysctl exec " + inst.Name + " -- cat /etc/passwd /etc/group"
			}
			return err
		}
		if err := checkCwd(t, o.Cwd); err != nil {
			return err
		}
		if o.Login {
			lang = locale(t)
		}
	} else if t, err := m.Storage.OpenProcess(state.Init); err == nil {
		defer t.Close()
		u.shell = rootShell(t, u.shell)
	}
	cmd.UID, cmd.GID, cmd.Groups = u.uid, u.gid, u.groups
	env := []string{defaultPath, "HOME=" + u.home, "USER=" + u.name, "LOGNAME=" + u.name, "SHELL=" + u.shell}
	if lang != "" {
		env = append(env, "LANG="+lang)
	}
	for _, k := range sortedKeys(spec.Environment) {
		env = append(env, k+"="+spec.Environment[k])
	}
	cmd.Env = merge(env, o.Env)
	if cmd.Cwd == "" {
		cmd.Cwd = u.home
	}
	if o.Login {
		// A login shell is told so by the '-' before its name; the runtime looks argv[0] up, so sh passes it on.
		cmd.Argv = []string{u.shell, "-l"}
	}
	return nil
}

// checkCwd refuses a directory that the user asked for and the guest has not: the runtime would go on in "/".
func checkCwd(t sysctl.Tree, dir string) error {
	if dir == "" {
		return nil
	}
	if !path.IsAbs(dir) {
		return sysctl.E(sysctl.Invalid, "directory %q must be absolute", dir)
	}
	if info, err := t.Stat(dir); errors.Is(err, fs.ErrNotExist) || (err == nil && !info.IsDir()) {
		return sysctl.E(sysctl.NotFound, "the guest has no directory %q", dir)
	}
	return nil // what cannot be looked at from outside is the guest's to judge
}

// merge appends variables; a later one of the same name replaces the earlier.
func merge(env, more []string) []string {
	for _, kv := range more {
		name, _, _ := strings.Cut(kv, "=")
		out := env[:0]
		for _, e := range env {
			if !strings.HasPrefix(e, name+"=") {
				out = append(out, e)
			}
		}
		env = append(out, kv)
	}
	return env
}
