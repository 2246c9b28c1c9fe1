package templates

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"regexp"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// The formats of disk images that are read.
const (
	diskRaw   = "raw"
	diskQcow2 = "qcow2"
	diskVMDK  = "vmdk"
)

// DiskFormat is the format of the disk image in f: "raw", "qcow2" or "vmdk", or "" where f is none. It is told by the
// content: a raw one has a partition table, a filesystem or LVM where a disk has it, and is no tar archive.
func DiskFormat(f io.ReaderAt) string {
	head := peek(f, 0, 1024)
	switch {
	case bytes.HasPrefix(head, []byte("QFI\xfb")):
		return diskQcow2
	case bytes.HasPrefix(head, []byte("KDMV")), bytes.HasPrefix(head, []byte("COWD")), isDescriptor(head):
		return diskVMDK
	case len(head) < 1024, bytes.HasPrefix(head[257:], []byte("ustar")):
		return ""
	case len(partitions(f, math.MaxInt64)) > 0:
		return diskRaw
	}
	if c := probe(f); slices.Contains([]string{"ext4", "xfs", "btrfs", "LVM", "encrypted (LUKS)"}, c.kind) {
		return diskRaw
	}
	return ""
}

// peek reads up to n bytes at an offset; what cannot be read is not there.
func peek(r io.ReaderAt, at int64, n int) []byte {
	b := make([]byte, n)
	got, _ := r.ReadAt(b, at)
	return b[:got]
}

// isDescriptor reports whether head begins the text that describes a VMDK image whose data are in other files.
func isDescriptor(head []byte) bool {
	return bytes.Contains(head[:min(len(head), 128)], []byte("# Disk DescriptorFile"))
}

// checkAlone refuses a disk image that names other files: reading it would read whatever of the host it names.
func checkAlone(f io.ReaderAt, format string) error {
	switch format {
	case diskQcow2:
		return checkQcow2(peek(f, 0, 104))
	case diskVMDK:
		return checkVMDK(f)
	}
	return nil
}

// checkQcow2 looks at a header (QEMU, docs/interop/qcow2.txt).
func checkQcow2(head []byte) error {
	if len(head) < 72 {
		return sysctl.E(sysctl.Invalid, "the qcow2 image is cut off")
	}
	const hint = "qemu-img convert -O qcow2 IMAGE WHOLE.qcow2, where you trust it, and import that"
	switch {
	case binary.BigEndian.Uint64(head[8:]) != 0:
		return sysctl.E(sysctl.Invalid, "the qcow2 image has only what differs from another image, its backing file").WithHint(hint)
	case binary.BigEndian.Uint32(head[32:]) != 0:
		return sysctl.E(sysctl.Unsupported, "the qcow2 image is encrypted").WithHint("qemu-img convert it to raw with its key, and import that")
	case binary.BigEndian.Uint32(head[4:]) >= 3 && len(head) >= 80 && binary.BigEndian.Uint64(head[72:])&(1<<2) != 0:
		return sysctl.E(sysctl.Invalid, "the qcow2 image has its data in another file").WithHint(hint)
	}
	return nil
}

// checkVMDK looks at a header (VMware, Virtual Disk Format 5.0).
func checkVMDK(f io.ReaderAt) error {
	head := peek(f, 0, 64<<10)
	if isDescriptor(head) {
		err := sysctl.E(sysctl.Invalid, "the file only describes the disk, its data are in other files")
		flat := regexp.MustCompile(`(?m)^RW [0-9]+ (FLAT|VMFS) "([^"/\n]+)" 0\s*$`).FindAllSubmatch(head, -1)
		if len(flat) == 1 {
			return err.WithHint("import %s, which is the disk itself", flat[0][2])
		}
		return err.WithHint("qemu-img convert -O raw DISK.vmdk DISK.raw, where you trust it, and import that")
	}
	if bytes.HasPrefix(head, []byte("COWD")) {
		return sysctl.E(sysctl.Unsupported, "the vmdk image is of an old kind").WithHint("qemu-img convert -O raw DISK.vmdk DISK.raw, and import that")
	}
	if len(head) < 512 {
		return sysctl.E(sysctl.Invalid, "the vmdk image is cut off")
	}
	var text []byte
	if at := binary.LittleEndian.Uint64(head[28:]); at > 0 && at < 1<<40 {
		text = peek(f, int64(at)*512, 64<<10)
	}
	if binary.LittleEndian.Uint64(head[12:]) == 0 || bytes.Contains(text, []byte("parentFileNameHint")) {
		return sysctl.E(sysctl.Invalid, "the vmdk image has only what differs from another image").
			WithHint("qemu-img convert -O raw DISK.vmdk DISK.raw, where you trust it, and import that")
	}
	return nil
}

// virtualSize is how many bytes the disk has that is in an image with a whole header.
func virtualSize(f io.ReaderAt, format string) int64 {
	head := peek(f, 0, 64)
	n := binary.BigEndian.Uint64(head[24:])
	if format == diskVMDK {
		n = binary.LittleEndian.Uint64(head[12:])
		if n > 1<<53 {
			n = 1 << 53
		}
		n *= 512
	}
	return int64(min(n, 1<<62))
}

// unnamedFile makes a file that has no name and is gone when nobody has it open, on the disk of dir, which stays empty.
func unnamedFile(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "open temporary file in", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), dir+"/(unnamed)"), nil
}

// convert writes the disk that is in the image f into an unnamed file, with holes where it is empty. No other file is
// read, whatever the image says. It needs qemu-img.
func convert(ctx context.Context, f *os.File, format, dir string, o UnpackOptions) (*os.File, error) {
	if err := checkAlone(f, format); err != nil {
		return nil, err
	}
	program, err := exec.LookPath("qemu-img")
	if err != nil {
		return nil, sysctl.E(sysctl.Unsupported, "a %s image, and no qemu-img on this host", format).WithHint("apt-get install qemu-utils")
	}
	size, m := virtualSize(f, format), newMeter(o.MaxSize, 0)
	if err := m.fits(size, true); err != nil {
		return nil, err
	}
	raw, err := unnamedFile(dir)
	if err != nil {
		return nil, err
	}
	if err = raw.Truncate((size + 511) &^ 511); err == nil {
		o.Progress.Report("convert", 0, 0)
		// The files are the tool's third and fourth: their names could mean something to it.
		from := `json:{"driver":"` + format + `","backing":null,"file":{"driver":"file","filename":"/proc/self/fd/3"}}`
		run := toolRun{program: program, progress: o.Progress, files: []*os.File{f, raw}}
		if format == diskVMDK {
			from = `json:{"driver":"vmdk","file":{"driver":"file","filename":"/proc/self/fd/3"}}`
		}
		run.args = []string{"convert", "-n", "--target-is-zero", "-O", "raw", from, "/proc/self/fd/4"}
		err = run.run(ctx)
		if sysctl.KindOf(err) == sysctl.Unavailable {
			err = sysctl.E(sysctl.Invalid, "the %s image cannot be read: %w", format, err).WithHint("qemu-img check IMAGE; is it in use?")
		}
	}
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return raw, nil
}
