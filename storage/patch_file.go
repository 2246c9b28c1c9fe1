package storage

import (
	"bytes"
	"errors"
	"os"
	"slices"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// capabilityXattr is the attribute that has a program's file capabilities. A write to the file takes it away.
const capabilityXattr = "security.capability"

// patchedFile is what is known of a file that was changed in place.
type patchedFile struct {
	Patches    []sysctl.Patch `json:"patches"`
	Capability []byte         `json:"capability,omitempty"` // as it was before
	Modified   int64          `json:"modified"`             // as it was before: nanoseconds since 1970
}

// errOther says that a file is not what was noted of it.
var errOther = errors.New("it is another file")

// openInside opens a regular file below a directory, without following a link. What it is, is looked at before it is opened:
// it may be a device by now.
func openInside(root int, path string, flags int) (*os.File, error) {
	fd, err := unix.Openat2(root, path, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errNotRegular
	}
	f, err := unix.Open(procPath(fd), flags|unix.O_NONBLOCK|unix.O_NOATIME|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(f), path), nil
}

// describe notes what a write takes away.
func describe(f *os.File, patches []sysctl.Patch) (patchedFile, error) {
	p := patchedFile{Patches: patches}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return p, err
	}
	p.Modified = st.Mtim.Nano()
	var err error
	p.Capability, err = grow(func(b []byte) (int, error) { return unix.Fgetxattr(int(f.Fd()), capabilityXattr, b) })
	if err == unix.ENODATA || err == unix.ENOTSUP {
		p.Capability, err = nil, nil
	}
	return p, err
}

// changed reports whether the file has the new bytes of all patches.
func (p patchedFile) changed(f *os.File) bool {
	return len(p.in(f)) == len(p.Patches)
}

// in returns the patches whose new bytes the file has.
func (p patchedFile) in(f *os.File) []sysctl.Patch {
	return slices.DeleteFunc(slices.Clone(p.Patches), func(c sysctl.Patch) bool { return !holds(f, c.Offset, c.New) })
}

// ours reports whether the file has the new or the old bytes of each patch.
func (p patchedFile) ours(f *os.File) bool {
	return !slices.ContainsFunc(p.Patches, func(c sysctl.Patch) bool {
		return !holds(f, c.Offset, c.New) && !holds(f, c.Offset, c.Old)
	})
}

func holds(f *os.File, at int64, want []byte) bool {
	b := make([]byte, len(want))
	n, _ := f.ReadAt(b, at)
	return n == len(b) && bytes.Equal(b, want)
}

// apply changes the file in place, or changes it back, and puts back what a write takes away. It is idempotent. What it wrote is on disk when it returns.
func (p patchedFile) apply(f *os.File, change bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if !p.ours(f) {
		return errOther
	}
	for _, c := range p.Patches {
		to := c.Old
		if change {
			to = c.New
		}
		if holds(f, c.Offset, to) {
			continue
		}
		if _, err := f.WriteAt(to, c.Offset); err != nil {
			return err
		}
	}
	if err := p.attributes(f, st.Mode); err != nil {
		return err
	}
	return f.Sync()
}

// attributes puts back mode, capabilities and time of modification.
func (p patchedFile) attributes(f *os.File, mode uint32) error {
	if err := unix.Fchmod(int(f.Fd()), mode&0o7777); err != nil {
		return err
	}
	if len(p.Capability) > 0 {
		if err := unix.Fsetxattr(int(f.Fd()), capabilityXattr, p.Capability, 0); err != nil {
			return err
		}
	}
	mtime := unix.NsecToTimespec(p.Modified)
	return unix.UtimesNanoAt(unix.AT_FDCWD, procPath(int(f.Fd())),
		[]unix.Timespec{{Nsec: unix.UTIME_OMIT}, mtime}, 0)
}
