package templates

import (
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// tableLine is a filesystem that a system mounts at boot.
type tableLine struct {
	device  string // "UUID=…", "LABEL=…", "/dev/sda1"
	at      string // relative to the root: "var/log"
	kind    string
	options []string
}

// subvolume is of btrfs: what is mounted, or "".
func (l tableLine) subvolume() string {
	for _, o := range l.options {
		if s, ok := strings.CutPrefix(o, "subvol="); ok {
			return strings.TrimPrefix(s, "/")
		}
	}
	return ""
}

// needed reports whether the system is not whole without it.
func (l tableLine) needed() bool { return !slices.Contains(l.options, "nofail") }

// fstab reads what the system in root mounts besides its root: what is on disks and is always mounted, parents first. A
// line that comes again for the same directory counts, as it would at boot.
func fstab(root int) ([]tableLine, error) {
	fd, err := openat(root, "etc/fstab", unix.O_RDONLY|unix.O_NONBLOCK, inRoot)
	if err != nil {
		return nil, unlessAbsent(err)
	}
	f := os.NewFile(uintptr(fd), "etc/fstab")
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, sysctl.Wrap(err, "read /etc/fstab of the image")
	}
	return parseFstab(string(data)), nil
}

// parseFstab reads the lines of fstab(5).
func parseFstab(text string) (all []tableLine) {
	decode := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 3 || strings.HasPrefix(f[0], "#") || !strings.HasPrefix(f[1], "/") {
			continue
		}
		l := tableLine{device: decode.Replace(strings.ReplaceAll(f[0], `"`, "")), at: path.Clean(decode.Replace(f[1]))[1:], kind: f[2]}
		if len(f) > 3 {
			l.options = strings.Split(f[3], ",")
		}
		if l.at == "" || !l.onDisk() {
			continue
		}
		all = slices.DeleteFunc(all, func(o tableLine) bool { return o.at == l.at })
		all = append(all, l)
	}
	slices.SortStableFunc(all, func(a, b tableLine) int { return strings.Compare(a.at, b.at) })
	return all
}

// onDisk reports whether a line is of a filesystem that is read, always mounted, and not where the kernel's are.
func (l tableLine) onDisk() bool {
	top, _, _ := strings.Cut(l.at, "/")
	if slices.Contains([]string{"proc", "sys", "dev", "run"}, top) {
		return false
	}
	for _, o := range l.options {
		if o == "noauto" || o == "bind" || o == "rbind" {
			return false
		}
	}
	return slices.Contains([]string{"ext2", "ext3", "ext4", "xfs", "btrfs", "auto"}, l.kind)
}

// find finds the volume that a device of fstab is. Disks have other names here: a partition is told by its number.
func (l tableLine) find(all []volume) (volume, bool) {
	is := l.matcher()
	i := slices.IndexFunc(all, is)
	if i < 0 {
		return volume{}, false
	}
	return all[i], true
}

// matcher says which volume is meant.
func (l tableLine) matcher() func(volume) bool {
	key, value, tagged := strings.Cut(l.device, "=")
	if dir, name := path.Split(l.device); !tagged {
		key = map[string]string{
			"/dev/disk/by-uuid/": "UUID", "/dev/disk/by-label/": "LABEL",
			"/dev/disk/by-partuuid/": "PARTUUID", "/dev/disk/by-partlabel/": "PARTLABEL",
		}[dir]
		value = name
	}
	switch {
	case value == "":
	case key == "UUID":
		return func(v volume) bool { return strings.EqualFold(v.uuid, value) }
	case key == "LABEL":
		return func(v volume) bool { return v.label == value && v.mountable() }
	case key == "PARTUUID":
		return func(v volume) bool { return strings.EqualFold(v.partUUID, value) }
	case key == "PARTLABEL":
		return func(v volume) bool { return v.partLabel == value }
	}
	partition := regexp.MustCompile(`^/dev/(?:[hsv]d[a-z]+|xvd[a-z]+|(?:nvme\d+n|mmcblk|cciss/c\d+d)\d+p)(\d+)$`)
	if m := partition.FindStringSubmatch(l.device); m != nil {
		number, _ := strconv.Atoi(m[1])
		return func(v volume) bool { return v.number == number }
	}
	return func(v volume) bool {
		group, lv, ok := strings.Cut(v.name, "/")
		mapped := strings.ReplaceAll(group, "-", "--") + "-" + strings.ReplaceAll(lv, "-", "--")
		return ok && (l.device == "/dev/"+v.name || l.device == "/dev/mapper/"+mapped)
	}
}
