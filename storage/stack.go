package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// maxLayers is what overlayfs takes (OVL_MAX_STACK).
const maxLayers = 500

// maxOption is the longest value fsconfig(2) takes.
const maxOption = 255

// OpenRoot mounts an instance's root: its layers, lowest first, and its upper on top of them, seen with
// ids shifted into m (m.Size 0: not shifted). The mount is detached, in nobody's mount table: it is there as long as
// the file or until move_mount(2) attaches it. The caller holds the instance's lock.
//
// Kinds: NotFound, a layer or the upper is missing; Busy, the upper is mounted already; Conflict, a layer was
// changed after the instance wrote its first file; Unsupported, this kernel or filesystem cannot do it. Where ids are shifted
// by copying (Shifting), what is missing of the copies is made, and the upper gets the ids of m. A limit on btrfs is off afterwards until
// LimitUpper is called again: for what the host has to write into a full guest.
func (s *Store) OpenRoot(ctx context.Context, inst int64, layers []string, m sysctl.IDMap, p sysctl.Progress) (*os.File, error) {
	err := checkStack(ctx, layers)
	var f *os.File
	switch dir := s.instance(inst); {
	case err != nil:
	case m.Size > 0:
		f, err = s.openShifted(ctx, dir, layers, m, p)
	default:
		if err = s.setIDs(ctx, dir, m, p); err == nil {
			f, err = s.overLayers(ctx, dir, layers, m, p)
		}
	}
	if err == nil {
		if err = unlimitOwn(s.instance(inst)); err != nil {
			f.Close()
			f = nil
		}
	}
	return f, sysctl.Wrap(err, "mount root of instance %d", inst)
}

// OpenTree opens a stopped instance's tree for work from the host: the stack of OpenRoot with ids as its upper has them on disk,
// never attached anywhere. Close unmounts it. Kinds as OpenRoot; Busy also while the instance runs.
func (s *Store) OpenTree(ctx context.Context, inst int64, layers []string) (*Tree, error) {
	err := checkStack(ctx, layers)
	var t *Tree
	if err == nil {
		t, err = s.openTree(ctx, s.instance(inst), layers)
	}
	return t, sysctl.Wrap(err, "open tree of instance %d", inst)
}

func (s *Store) openTree(ctx context.Context, dir string, layers []string) (*Tree, error) {
	have, err := readIDs(dir)
	if err != nil {
		return nil, err
	}
	if m := have.Map; have.is(m) && m.Raw == "" {
		f, err := s.openCopied(ctx, dir, layers, m, nil)
		if err != nil {
			return nil, err
		}
		return NewTree(f).WithOwner(int(m.Base), int(m.Base)), nil
	}
	if err := s.setIDs(ctx, dir, sysctl.IDMap{}, nil); err != nil {
		return nil, err
	}
	f, err := s.overLayers(ctx, dir, layers, sysctl.IDMap{}, nil)
	if err != nil {
		return nil, err
	}
	return NewTree(f), nil
}

func checkStack(ctx context.Context, layers []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(layers) == 0 || len(layers) > maxLayers {
		return sysctl.E(sysctl.Invalid, "%d layers: 1 to %d can be stacked", len(layers), maxLayers)
	}
	return nil
}

// unmounting is how long the mount of a run that has ended may take to go: what it had not written yet goes to disk first.
const unmounting = 10 * time.Second

// whenFree opens a stack as soon as its upper is free. The processes of a run that has ended are gone before the kernel has
// taken its mount apart, which it does on its own time (delayed_mntput_work, fs/namespace.c), and there is no event for it.
func whenFree(ctx context.Context, open func() (*os.File, error)) (*os.File, error) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(unmounting)
	defer limit.Stop()
	for {
		f, err := open()
		if sysctl.KindOf(err) != sysctl.Busy {
			return f, err
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// stack mounts layers, and on top of them the upper in a directory; "": none, read-only.
func (s *Store) stack(upper string, layers []string, m sysctl.IDMap) (*os.File, error) {
	lowers, err := s.layerPaths(layers)
	if err != nil {
		return nil, err
	}
	return stack{upper: upper, lowers: lowers, base: s.layers()}.open(m)
}

func (s *Store) layerPaths(layers []string) ([]string, error) {
	paths := make([]string, len(layers))
	for i, id := range layers {
		if err := checkLayerID(id); err != nil {
			return nil, err
		}
		paths[i] = s.LayerPath(id)
	}
	return paths, nil
}

// overLayers mounts the upper of the instance in dir on layers, as soon as it is free.
func (s *Store) overLayers(ctx context.Context, dir string, layers []string, m sysctl.IDMap, p sysctl.Progress) (*os.File, error) {
	lowers, err := s.layerPaths(layers)
	if err != nil {
		return nil, err
	}
	return s.over(ctx, dir, lowers, m, p)
}

// stack is an overlay to be mounted, as host paths.
type stack struct {
	lowers []string // lowest first
	upper  string   // directory with upper and work; "": read-only
	base   string   // any directory: a tmpfs covers it in the mount namespace that goes away
	source string   // what the mount table says it is made of; "": "overlay"
}

// open mounts the stack on a thread with a mount namespace of its own, which goes away with it: overlay wants
// paths for its layers (file descriptors since kernel 6.13 only), and idmapped layers have none in
// the host's mount table.
func (st stack) open(m sysctl.IDMap) (*os.File, error) {
	var ns *os.File
	if m.Size > 0 {
		var err error
		if ns, err = userNamespace(m); err != nil {
			return nil, err
		}
		defer ns.Close()
	}
	var root *os.File
	err := onOwnThread(func() error {
		if err := st.place(ns); err != nil {
			return err
		}
		if m.Size > 0 {
			// Overlay acts with its mounter's credentials. As host root, whom the shifted upper does not
			// know, it would come up read-only with EOVERFLOW.
			if err := becomeOwner(int(m.Base), int(m.Base)); err != nil {
				return err
			}
		}
		var err error
		root, err = mountOverlay(len(st.lowers), st.upper != "", cmp.Or(st.source, "overlay"))
		return err
	})
	return root, err
}

// place enters a mount namespace, puts the layers on 0, 1, … (lowest first) and the directory with upper and work
// on u of a tmpfs there, and makes that the working directory. The names are short because a mount option is.
func (st stack) place(ns *os.File) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return sysctl.Wrap(err, "unshare mount namespace")
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return sysctl.Wrap(err, "make mounts private")
	}
	var clones []int
	defer func() {
		for _, fd := range clones {
			unix.Close(fd)
		}
	}()
	names := make([]string, 0, len(st.lowers)+1)
	place := func(path, name string) error {
		fd, err := cloneMount(path, ns)
		if err == nil {
			clones, names = append(clones, fd), append(names, name)
		}
		return err
	}
	for i, path := range st.lowers {
		if err := place(path, strconv.Itoa(i)); err != nil {
			return err
		}
	}
	if st.upper != "" {
		if err := place(st.upper, "u"); err != nil {
			return err
		}
	}
	if err := unix.Mount("tmpfs", st.base, "tmpfs", 0, "mode=0755"); err != nil {
		return sysctl.Wrap(err, "mount tmpfs")
	}
	if err := unix.Chdir(st.base); err != nil {
		return err
	}
	for i, name := range names {
		if err := unix.Mkdir(name, 0o755); err != nil {
			return err
		}
		if err := unix.MoveMount(clones[i], "", unix.AT_FDCWD, name, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return sysctl.Wrap(err, "attach layer")
		}
	}
	return nil
}

// cloneMount returns a detached mount of the directory path, shifted by ns where that is not nil.
func cloneMount(path string, ns *os.File) (int, error) { return cloneTree(path, 0, ns) }

// cloneTree does the same with what is mounted below, where that is AT_RECURSIVE.
func cloneTree(path string, below uint, ns *os.File) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|below)
	if err == unix.ENOENT {
		return -1, sysctl.E(sysctl.NotFound, "%s is missing: %w", path, err)
	}
	if err != nil {
		return -1, sysctl.Wrap(err, "clone mount of %s", path)
	}
	if ns == nil {
		return fd, nil
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())}
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|below, &attr)
	if err != nil {
		unix.Close(fd)
	}
	switch err {
	case nil:
		return fd, nil
	case unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP:
		return -1, sysctl.E(sysctl.Unsupported, "the filesystem of %s does not support idmapped mounts here: %w", path, err).
			WithHint("put it on ext4, xfs or btrfs")
	}
	return -1, sysctl.Wrap(err, "idmap mount of %s", path)
}

// mountOverlay mounts n lowers and the upper where place put them. metacopy stays off and redirect_dir and index
// on whatever the host's defaults: rename(2) of an image's directory and hard links work as
// on any filesystem.
func mountOverlay(n int, writable bool, source string) (*os.File, error) {
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err == unix.ENODEV {
		return nil, sysctl.E(sysctl.Unsupported, "this kernel has no overlay filesystem: %w", err).WithHint("modprobe overlay")
	}
	if err != nil {
		return nil, sysctl.Wrap(err, "open overlay")
	}
	defer unix.Close(fd)
	options := append(lowerOptions(n), [2]string{"xino", "auto"}, [2]string{"metacopy", "off"}, [2]string{"source", source})
	if writable {
		options = append(options, [2]string{"upperdir", "u/upper"}, [2]string{"workdir", "u/work"},
			[2]string{"redirect_dir", "on"}, [2]string{"index", "on"})
	} else {
		options = append(options, [2]string{"redirect_dir", "follow"})
	}
	for _, o := range options {
		if err := unix.FsconfigSetString(fd, o[0], o[1]); err != nil {
			return nil, overlayError(fd, fmt.Sprintf("option %s=%s", o[0], o[1]), n, err)
		}
	}
	if err := unix.FsconfigCreate(fd); err != nil {
		return nil, overlayError(fd, "create", n, err)
	}
	root, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, overlayError(fd, "mount", n, err)
	}
	return os.NewFile(uintptr(root), "overlay"), nil
}

// lowerOptions names n lowers, topmost first: in one option where they fit, which every
// kernel takes, else one by one, which kernels since 6.7 take.
func lowerOptions(n int) [][2]string {
	var names []string
	var each [][2]string
	for i := n - 1; i >= 0; i-- {
		names = append(names, strconv.Itoa(i))
		each = append(each, [2]string{"lowerdir+", strconv.Itoa(i)})
	}
	if all := strings.Join(names, ":"); len(all) <= maxOption {
		return [][2]string{{"lowerdir", all}}
	}
	return each
}

// overlayError classifies what the kernel said of the overlay being made in fd.
func overlayError(fd int, step string, n int, err error) error {
	why := kernelMessages(fd)
	switch {
	case err == unix.ESTALE:
		return sysctl.E(sysctl.Conflict, "a layer below it was replaced or changed, or put on top of the others, "+
			"after the instance wrote its first file%s: %w", why, err)
	case err == unix.EBUSY:
		return sysctl.E(sysctl.Busy, "its upper is mounted already%s: %w", why, err)
	case err == unix.EINVAL && lowerOptions(n)[0][0] == "lowerdir+":
		return sysctl.E(sysctl.Unsupported, "%d layers are more than a kernel before 6.7 takes%s: %w", n, why, err)
	case errors.Is(err, unix.EINVAL):
		return sysctl.E(sysctl.Unsupported, "overlay: %s%s: %w", step, why, err)
	}
	return fmt.Errorf("overlay: %s%s: %w", step, why, err)
}

// kernelMessages returns what the kernel wrote into the log of a filesystem context, for people.
func kernelMessages(fd int) string {
	var b strings.Builder
	buf := make([]byte, 512)
	for {
		n, err := unix.Read(fd, buf)
		if err != nil || n == 0 {
			return b.String()
		}
		fmt.Fprintf(&b, " (%s)", strings.TrimSpace(strings.TrimLeft(string(buf[:n]), "ewi ")))
	}
}
