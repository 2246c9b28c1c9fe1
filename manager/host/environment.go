package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/db"
	"github.com/sysctl-os/sysctl/storage"
)

// The default places.
const (
	DefaultDir    = "/var/lib/sysctl"
	DefaultRunDir = "/run/sysctl"
	configDir     = "/etc/sysctl" // of the whole machine
	templateDir   = configDir + "/templates"
)

// registry holds one symbolic link per environment that is not the default one: its number, leading to
// its directory. symlink(2) fails when the name is there, so two environments never share a number.
const registry = "/var/lib/sysctl-environments"

// Environment says where an environment's files are. Two with different values never see each other.
type Environment struct {
	Dir    string // what is promised: database, layers, instances
	RunDir string // what runs, and locks; a tmpfs
}

// FromEnviron reads SYSCTL_DIR and SYSCTL_RUN_DIR.
func FromEnviron() Environment {
	e := Environment{Dir: os.Getenv("SYSCTL_DIR"), RunDir: os.Getenv("SYSCTL_RUN_DIR")}
	if e.Dir == "" {
		e.Dir = DefaultDir
	}
	if e.RunDir == "" {
		e.RunDir = DefaultRunDir
	}
	return e
}

// numbers an environment can have; 0 is the default one's.
const environments = 64

// names are what must differ between environments, all derived from a number.
type names struct {
	bridge string
	table  string
	cgroup string
	ids    db.IDBlock
}

// namesOf derives an environment's names. The id ranges lie where systemd's UIDs-GIDS page reserves
// nothing else: the default environment's 4,096 end below 2^31, the others have 256 each below them.
func namesOf(n int) names {
	if n == 0 {
		return names{bridge: "sysbr0", table: "sysctl", cgroup: "sysctl", ids: db.IDBlock{Base: 0x70000000, Size: 65536, Count: 4096}}
	}
	s := strconv.Itoa(n)
	return names{bridge: "sysbr" + s, table: "sysctl" + s, cgroup: "sysctl" + s,
		ids: db.IDBlock{Base: uint32(0x70000000 - n*256*65536), Size: 65536, Count: 256}}
}

// number returns the environment's number, claiming one when it has none yet. It is written down in the
// environment's own directory, which must exist.
func (e Environment) number() (int, error) {
	if e.Dir == DefaultDir {
		return 0, nil
	}
	file := filepath.Join(e.Dir, "environment")
	b, err := os.ReadFile(file)
	if err == nil {
		n, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil || n < 1 || n >= environments {
			return 0, sysctl.E(sysctl.Invalid, "%s: not the number of an environment", file).WithHint("rm %s", file)
		}
		return n, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	n, err := claimNumber(e.Dir)
	if err != nil {
		return 0, err
	}
	return n, storage.WriteFileSync(file, fmt.Appendln(nil, n), 0o600)
}

// claimNumber takes the lowest number that no living environment has. A link whose directory is gone, or
// now says another number, is stale and taken over.
func claimNumber(dir string) (int, error) {
	if err := os.MkdirAll(registry, 0o700); err != nil {
		return 0, err
	}
	for n := 1; n < environments; n++ {
		link := filepath.Join(registry, strconv.Itoa(n))
		holder, err := os.Readlink(link)
		if err == nil {
			if holder == dir {
				return n, nil
			}
			b, err := os.ReadFile(filepath.Join(holder, "environment"))
			if _, gone := os.Stat(holder); err == nil && strings.TrimSpace(string(b)) == strconv.Itoa(n) || err != nil && gone == nil {
				continue // it lives, or is just being made
			}
			if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return 0, err
			}
		}
		err = os.Symlink(dir, link)
		if err == nil {
			return n, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return 0, err
		}
	}
	return 0, sysctl.E(sysctl.NoSpace, "there are %d environments already (%s)", environments, registry)
}

// Remove removes an environment that RemoveAll has emptied: database, directories and number. Only what the
// program made is removed; the directories themselves only when nothing else is in them. Idempotent.
func (e Environment) Remove() error {
	number, numbered := 0, false
	if b, err := os.ReadFile(filepath.Join(e.Dir, "environment")); err == nil {
		number, err = strconv.Atoi(strings.TrimSpace(string(b)))
		numbered = err == nil
	}
	for _, name := range []string{"sysctl.db", "sysctl.db-wal", "sysctl.db-shm", "layers", "instances", "shifted", "staging", "trash", "cache", "built", "environment"} {
		if err := os.RemoveAll(filepath.Join(e.Dir, name)); err != nil {
			return err
		}
	}
	for _, name := range []string{"instances", "log", "lock", "seccomp", "host"} {
		if err := os.RemoveAll(filepath.Join(e.RunDir, name)); err != nil {
			return err
		}
	}
	os.Remove(e.Dir) // both stay where a user put something of their own in them
	os.Remove(e.RunDir)
	if link := filepath.Join(registry, strconv.Itoa(number)); numbered {
		if holder, err := os.Readlink(link); err == nil && holder == e.Dir {
			return os.Remove(link)
		}
	}
	return nil
}
