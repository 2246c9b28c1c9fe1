package storage

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"unsafe"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// A root disk's size is what an instance itself may have on disk: its upper and what overlay needs beside it. They are a project, to
// which everything in them belongs, and the filesystem (ext4, xfs) keeps a quota of it. The project is a number that nobody had when
// it was made; a layer that an upper becomes keeps it, without a limit, and the next upper has another. On btrfs it is the quota of
// a subvolume of the instance's own (own.go).

// CheckSize reports why the store's filesystem cannot limit what an instance writes (Unsupported), or nil.
func (s *Store) CheckSize() error {
	_, err := s.limits()
	return err
}

// limits says by what sizes are kept to.
func (s *Store) limits() (how string, err error) {
	dir := s.dir
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for errors.Is(err, unix.ENOENT) && dir != "/" {
		dir = filepath.Dir(dir)
		fd, err = unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return "", &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	if is, err := isBtrfs(fd); is || err != nil {
		return "by quotas of subvolumes", errors.Join(err, checkQgroups(fd, dir, true))
	}
	return "by project quotas", checkQuota(fd, s.dir)
}

// checkQuota says what the filesystem of an open directory lacks.
func checkQuota(fd int, dir string) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return err
	}
	name := fsName(int64(st.Type))
	lacks := func(what, hint string, args ...any) error {
		return sysctl.E(sysctl.Unsupported, "a size of the root disk needs project quotas: "+what, name, dir).WithHint(hint, args...)
	}
	if name != "ext4" && name != "xfs" {
		return lacks("%s, which %s is on, has none", "mount ext4 or xfs on %s, with the option prjquota, or btrfs", dir)
	}
	var state quotaState
	state.version = 1
	switch err := quotactl(fd, getQuotaState, 0, unsafe.Pointer(&state)); {
	case err == unix.ENOSYS && name == "xfs":
		return lacks("this kernel has no quotas of %s (CONFIG_XFS_QUOTA), which %s is on", "uname -r; boot a kernel of the distribution")
	case err == unix.ENOSYS || err == unix.ESRCH || err == unix.EINVAL || err == nil && state.flags&(projectCounted|projectEnforced) != projectCounted|projectEnforced:
		if name == "xfs" {
			return lacks("the %s that %s is on is mounted without them", "mount it with the option prjquota (for the root filesystem: the kernel parameter rootflags=prjquota)")
		}
		return lacks("the %s that %s is on has them not switched on", "unmount it, tune2fs -O quota,project DEVICE, and mount it with the option prjquota")
	default:
		return sysctl.Wrap(err, "quotas of %s", dir)
	}
}

// LimitUpper lets an instance's upper take up at most size bytes on disk, of whole KiB; 0: as much as there is. Of a running instance, only
// where it has had a limit since it started; else applied is false. Idempotent. Kinds: Unsupported, as CheckSize. The caller holds the instance's lock.
func (s *Store) LimitUpper(ctx context.Context, inst, size int64, running bool) (applied bool, err error) {
	applied, err = s.limitUpper(ctx, s.instance(inst), size, running)
	return applied, sysctl.Wrap(err, "size of the root disk")
}

func (s *Store) limitUpper(ctx context.Context, dir string, size int64, running bool) (bool, error) {
	upper, err := openDir(filepath.Join(home(dir), "upper"))
	if err != nil {
		return false, err
	}
	defer unix.Close(upper)
	if is, err := isBtrfs(upper); is || err != nil {
		if err != nil {
			return false, err
		}
		return s.limitOwn(ctx, dir, size, running)
	}
	project, err := projectOf(upper)
	if size == 0 && (project == 0 || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP)) {
		return true, nil
	}
	if err == nil && size > 0 {
		err = checkQuota(upper, s.dir)
	}
	if err != nil {
		return false, err
	}
	if project == 0 {
		if running {
			return false, nil
		}
		if project, err = freeProject(upper); err != nil {
			return false, err
		}
		// The upper itself is last: by it the project is known, and till then all is done again.
		for _, name := range []string{"work", "upper"} {
			if err := s.giveToProject(ctx, filepath.Join(dir, name), project); err != nil {
				return false, sysctl.Wrap(err, "%s", name)
			}
		}
	}
	return true, setLimit(upper, project, size)
}

// unlimit takes the limit of an upper's project away, where it has one: what is in it is going to be a layer or to be removed.
func unlimit(upper string) error {
	fd, err := openDir(upper)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	project, err := projectOf(fd)
	if err != nil || project == 0 {
		return nil // a filesystem without projects
	}
	if err := setLimit(fd, project, 0); err != nil && checkQuota(fd, upper) == nil {
		return sysctl.Wrap(err, "take the limit of project %d away", project)
	}
	return nil
}

func openDir(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// giveToProject makes everything in a tree, and what is made in it later, a project's. Nobody else changes the tree. What is neither file
// nor directory is made anew: older kernels take no other way (before file_setattr(2) of Linux 6.17), and what belongs to nobody
// could not be renamed among the project's.
func (s *Store) giveToProject(ctx context.Context, root string, project uint32) error {
	w := walker{}
	w.visit = func(e dirent) (bool, error) {
		var st unix.Stat_t
		if err := unix.Fstatat(w.dir, e.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return false, err
		}
		kind := st.Mode & unix.S_IFMT
		if kind != unix.S_IFREG && kind != unix.S_IFDIR {
			return false, sysctl.Wrap(s.remake(w.dir, e.name, st), "%s", w.path(e.name))
		}
		fd, err := unix.Openat(w.dir, e.name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return false, sysctl.Wrap(err, "%s", w.path(e.name))
		}
		defer unix.Close(fd)
		return kind == unix.S_IFDIR, sysctl.Wrap(setProject(fd, project, kind == unix.S_IFDIR), "%s", w.path(e.name))
	}
	fd, err := openDir(root)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := w.run(ctx, root); err != nil {
		return err
	}
	return setProject(fd, project, true)
}

// remake replaces a symbolic link, device node, pipe or socket by a new one that is the same, in a directory that gives it its project. One of
// several names stays, as they would be several files then; but not a whiteout, of which overlay makes links.
func (s *Store) remake(dir int, name string, st unix.Stat_t) error {
	if whiteout := st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0; st.Nlink > 1 && !whiteout {
		return nil
	}
	var was unix.Stat_t
	if err := unix.Fstat(dir, &was); err != nil {
		return err
	}
	tmp := temporary()
	var err error
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		var target string
		if target, err = readlinkAt(dir, name); err == nil {
			err = unix.Symlinkat(target, dir, tmp)
		}
	} else {
		err = unix.Mknodat(dir, tmp, st.Mode&unix.S_IFMT|0o600, int(st.Rdev))
	}
	if err != nil {
		return err
	}
	base := "/proc/self/fd/" + strconv.Itoa(dir) + "/"
	err = copyInode(base+name, base+tmp, &st, asIs, func(string) bool { return false })
	if err == nil {
		err = unix.Renameat(dir, tmp, dir, name)
	}
	if err != nil {
		unix.Unlinkat(dir, tmp, 0)
		return err
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, base, []unix.Timespec{was.Atim, was.Mtim}, 0)
}

// fsxattr is struct fsxattr of linux/fs.h.
type fsxattr struct {
	flags, extent, extents, project, cow uint32
	pad                                  [8]byte
}

const (
	fsGetXattr     = 0x801c581f // FS_IOC_FSGETXATTR
	fsSetXattr     = 0x401c5820 // FS_IOC_FSSETXATTR
	projectInherit = 0x200      // FS_XFLAG_PROJINHERIT
)

func fsIoctl(fd int, request uintptr, x *fsxattr) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(x))); errno != 0 {
		return errno
	}
	return nil
}

// projectOf is the project that a directory hands down, or 0.
func projectOf(fd int) (uint32, error) {
	var x fsxattr
	if err := fsIoctl(fd, fsGetXattr, &x); err != nil {
		return 0, err
	}
	if x.flags&projectInherit == 0 {
		return 0, nil
	}
	return x.project, nil
}

func setProject(fd int, project uint32, inherit bool) error {
	var x fsxattr
	if err := fsIoctl(fd, fsGetXattr, &x); err != nil {
		return err
	}
	x.project = project
	if inherit {
		x.flags |= projectInherit
	}
	return fsIoctl(fd, fsSetXattr, &x)
}

// Commands and structures of quotactl(2): linux/quota.h, linux/dqblk_xfs.h.
const (
	projectQuota    = 2
	getQuota        = 0x800007<<8 | projectQuota // Q_GETQUOTA
	setQuota        = 0x800008<<8 | projectQuota // Q_SETQUOTA
	getQuotaState   = 0x5808<<8 | projectQuota   // Q_XGETQSTATV, which ext4 knows too
	blockLimits     = 1                          // QIF_BLIMITS
	projectCounted  = 1 << 4                     // FS_QUOTA_PDQ_ACCT
	projectEnforced = 1 << 5                     // FS_QUOTA_PDQ_ENFD
)

type quotaBlock struct {
	hard, soft, space, inodesHard, inodesSoft, inodes, blockTime, inodeTime uint64
	valid                                                                   uint32
	_                                                                       uint32
}

// quotaState is struct fs_quota_statv, of which only the flags matter.
type quotaState struct {
	version int8
	_       uint8
	flags   uint16
	_       [156]byte
}

// quotactl is quotactl_fd(2), since Linux 5.14: the filesystem is that of an open file.
func quotactl(fd int, command, id uint32, data unsafe.Pointer) error {
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, uintptr(fd), uintptr(command), uintptr(id), uintptr(data), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// setLimit sets how many bytes a project may have, 0: as many as there are.
func setLimit(fd int, project uint32, size int64) error {
	q := quotaBlock{hard: uint64(size+1023) / 1024, valid: blockLimits}
	return os.NewSyscallError("quotactl", quotactl(fd, setQuota, project, unsafe.Pointer(&q)))
}

// freeProject returns a project that has nothing and no limit. They are far from those that people choose.
func freeProject(fd int) (uint32, error) {
	for range 100 {
		project := 0x73000000 | rand.Uint32N(1<<24)
		var q quotaBlock
		err := quotactl(fd, getQuota, project, unsafe.Pointer(&q))
		if errors.Is(err, unix.ENOENT) || err == nil && q == (quotaBlock{valid: q.valid, blockTime: q.blockTime, inodeTime: q.inodeTime}) {
			return project, nil
		}
		if err != nil {
			return 0, os.NewSyscallError("quotactl", err)
		}
	}
	return 0, sysctl.E(sysctl.NoSpace, "no free project")
}
