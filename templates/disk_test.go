package templates

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
)

// diskPrelude is what the scripts that make disk images have: a tree "root", trees "var" and "log" for other
// filesystems, and functions. What they mount is in a mount namespace of their own. The mount options keep what is
// written in the journal.
const diskPrelude = `set -eu
mkdir -p root/etc root/sbin root/bin root/usr root/var/hidden root/home var/lib var/log/hidden var/dev log
echo init > root/sbin/init; chmod 755 root/sbin/init; echo box > root/etc/hostname; echo sh > root/bin/sh
echo lib > var/lib/x; echo dev > var/dev/kept; echo log > log/messages
fs() { truncate -s "$2" "$1"; mkfs.ext4 -q -F -d "$3" "$1" "$2"; } # fs FILE SIZE TREE
put() { dd if="$1" of="$2" bs=1M seek="$3" conv=notrunc,sparse status=none; } # put FILE DISK MIB
uuid() { blkid -p -s UUID -o value "$1"; }
gpt() { truncate -s "$1" disk; sfdisk -q --no-reread --no-tell-kernel disk; }
`

// diskOf runs a script that makes a file "disk" in the directory dir.
func diskOf(t *testing.T, script string) string {
	t.Helper()
	needs.Root(t)
	dir := t.TempDir()
	for _, name := range []string{"sfdisk", "mkfs.ext4", "blkid", "losetup", "unshare"} {
		needs.Program(t, name)
	}
	before := loops(t)
	cmd := exec.Command("unshare", "-m", "sh", "-c", diskPrelude+script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if now := loops(t); now != before {
		t.Fatalf("the script left loop devices:\n%s", now)
	}
	return filepath.Join(dir, "disk")
}

// loops are the loop devices of files below the tests' temporary directories.
func loops(t *testing.T) string {
	t.Helper()
	var all []string
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), strings.SplitN(t.Name(), "/", 2)[0]) {
			all = append(all, f+" "+string(b))
		}
	}
	return strings.Join(all, "")
}

// copyDiskOf copies a disk and fails where it was changed or something is left.
func copyDiskOf(t *testing.T, path, partition string) (dir, what string, err error) {
	t.Helper()
	dir, _ = emptyDir(t)
	before, statErr := os.Stat(path)
	if statErr != nil {
		t.Fatal(statErr)
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	what, err = MakeTree(t.Context(), path, dir, partition, UnpackOptions{})
	if after, _ := os.Stat(path); !after.ModTime().Equal(before.ModTime()) {
		t.Error("the image was written")
	}
	if left := loops(t); left != "" {
		t.Errorf("loop devices are left:\n%s", left)
	}
	if now, _ := os.ReadFile("/proc/self/mountinfo"); !bytes.Equal(now, mounts) {
		t.Error("the mounts of the host have changed")
	}
	return dir, what, err
}

// wantFiles fails where a file lacks the content, "-" for one that must not be there.
func wantFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, want := range files {
		b, err := os.ReadFile(filepath.Join(dir, name))
		switch {
		case want == "-" && !os.IsNotExist(err):
			t.Errorf("%s is there: %v", name, err)
		case want != "-" && strings.TrimSpace(string(b)) != want:
			t.Errorf("%s: %q %v, want %q", name, b, err, want)
		}
	}
}

func TestDisk(t *testing.T) {
	box := map[string]string{"etc/hostname": "box", "sbin/init": "init"}
	parts := map[string]string{
		"etc/hostname": "box", "var/lib/x": "lib", "var/dev/kept": "dev", "var/log/messages": "log", "var/hidden": "-", "var/log/hidden": "-",
	}
	for _, c := range []struct {
		name, script string
		tools        []string
		files        map[string]string
		what         string
	}{
		{name: "whole disk", files: box, what: "raw disk, disk at /", script: `fs disk 32M root`},
		{name: "ext2", files: box, script: `truncate -s 32M disk; mkfs.ext2 -q -F -d root disk`},
		{name: "gpt, all kinds of names", files: parts, what: "2 at /, 3 at /var, 5 at /var/log; not in the image: /srv (/dev/sdb1)", script: `
			fs v 16M var; fs l 16M log; tune2fs -L logs l >/dev/null
			printf 'UUID=%s /var ext4 defaults 0 2\n/dev/sdb1 /srv xfs defaults 0 0\nLABEL="logs" /var/log auto defaults\nproc /proc proc\n/dev/sda9 none swap sw\n/dev/sdc1 /x ext4 noauto' $(uuid v) > root/etc/fstab
			fs r 32M root
			printf 'label: gpt\nstart=2048,size=2048\nstart=4096,size=65536\nstart=69632,size=32768\n\n5:start=102400,size=32768' | grep . | gpt 80M
			put r disk 2; put v disk 34; put l disk 50`},
		{name: "mbr, logical partitions", files: parts, what: "1 at /, 5 at /var, 6 at /var/log", script: `
			fs v 16M var; fs l 16M log
			printf '/dev/hda5 /var ext4\n/dev/nvme0n1p6 /var/log ext4\n/dev/cdrom /media/cd auto noauto' > root/etc/fstab
			fs r 32M root
			printf 'label: dos\nstart=2048,size=65536,bootable\nstart=69632,size=90112,type=5\nstart=71680,size=32768\nstart=106496,size=32768' | gpt 80M
			put r disk 1; put v disk 35; put l disk 52`},
		{name: "dirty ext4", files: map[string]string{"etc/late": "late", "etc/hostname": "box"}, script: `
			fs d 64M root; mkdir m; mount -o loop,commit=600 d m; echo late > m/etc/late; sync -f m/etc/late
			cp --sparse=always d disk; umount m
			dumpe2fs -h disk 2>/dev/null | grep -q needs_recovery`},
		{name: "dirty xfs", tools: []string{"mkfs.xfs"}, files: map[string]string{"etc/late": "late", "etc/hostname": "box"}, script: `
			truncate -s 320M d; mkfs.xfs -q d; mkdir m; mount -o loop d m; cp -a root/. m; echo late > m/etc/late; sync -f m/etc/late
			cp --sparse=always d disk; umount m`},
		{name: "btrfs with a log, @", tools: []string{"mkfs.btrfs", "btrfs"}, what: "disk at /, disk @home at /home",
			files: map[string]string{"etc/late": "late", "etc/hostname": "box", "home/me": "me"}, script: `
			truncate -s 200M d; mkfs.btrfs -q d; mkdir m; mount -o loop d m; btrfs -q subvolume create m/@ || btrfs subvolume create m/@ >/dev/null
			btrfs subvolume create m/@home >/dev/null; echo "UUID=$(uuid d) /home btrfs defaults,subvol=/@home" > root/etc/fstab
			echo "UUID=$(uuid d) / btrfs subvol=@" >> root/etc/fstab
			cp -a root/. m/@; echo me > m/@home/me; sync; echo late | dd of=m/@/etc/late conv=fsync status=none
			cp --sparse=always d disk; umount m`},
		{name: "qcow2", tools: []string{"qemu-img"}, files: box, what: "qcow2 disk", script: `
			fs d 32M root; qemu-img convert -c -O qcow2 d disk`},
		{name: "vmdk", tools: []string{"qemu-img"}, files: box, what: "vmdk disk", script: `
			fs d 32M root; qemu-img convert -O vmdk -o subformat=streamOptimized d disk`},
		{name: "vmdk sparse", tools: []string{"qemu-img"}, files: box, what: "vmdk disk", script: `
			fs d 32M root; qemu-img convert -O vmdk d disk`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, tool := range c.tools {
				needs.Program(t, tool)
			}
			image := diskOf(t, c.script)
			dir, what, err := copyDiskOf(t, image, "")
			if err != nil {
				t.Fatal(err)
			}
			wantFiles(t, dir, c.files)
			if !strings.Contains(what, c.what) {
				t.Errorf("made of %q, want %q in it", what, c.what)
			}
		})
	}
}

// lvmScript puts a root in two stretches and a /var on LVM, made by LVM's own tools, that no device mapper sees.
const lvmScript = `
printf '/dev/mapper/my--vg-v_ar /var ext4\n/dev/my-vg/l.og /var/log ext4\n' > root/etc/fstab
fs r 48M root; fs v 16M var; fs l 16M log
printf 'label: gpt\nstart=2048,size=2048\nstart=4096,size=245760' | gpt 124M
loop=$(losetup -f --show -o 2M --sizelimit 120M disk); trap 'losetup -d $loop' EXIT
mkdir locks
conf="global{locking_dir=\"$PWD/locks\"} devices{use_devicesfile=0 filter=[\"a|^$loop\$|\",\"r|.*|\"] global_filter=[\"a|^$loop\$|\",\"r|.*|\"]} backup{backup=0 archive=0} activation{udev_sync=0 udev_rules=0}"
lv() { cmd=$1; shift; lvm $cmd --driverloaded n --config "$conf" "$@" >lvm.out 2>&1 || { cat lvm.out; return 1; }; }
lv pvcreate $loop
lv vgcreate --setautoactivation n -s 4M my-vg $loop
lv lvcreate -an -Zn -Wn -L 24M -n root my-vg
lv lvcreate -an -Zn -Wn -L 16M -n v_ar my-vg
lv lvextend -L 48M my-vg/root
lv lvcreate -an -Zn -Wn -L 16M -n l.og my-vg
lv lvchange --addtag some,tag my-vg/root || true
place() { # place FILE LV: where LVM says it is
  lvm lvs --driverloaded n --config "$conf" --noheadings --units m --nosuffix -o seg_start,seg_size,seg_pe_ranges my-vg/$2 2>/dev/null |
  sed 's/\.00//g' | while read -r start size range; do
    first=${range##*:}; first=${first%-*}
    dd if=$1 of=disk bs=1M skip=$start count=$size seek=$((2 + 1 + first * 4)) conv=notrunc status=none
  done
}
lvm pvs --driverloaded n --config "$conf" --noheadings --units m -o pe_start $loop 2>/dev/null | grep -q '1.00m'
place r root; place v v_ar; place l l.og
`

func TestDiskLVM(t *testing.T) {
	needs.Program(t, "lvm")
	image := diskOf(t, lvmScript)
	dir, what, err := copyDiskOf(t, image, "")
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, map[string]string{"etc/hostname": "box", "var/lib/x": "lib", "var/log/messages": "log", "var/hidden": "-"})
	if !strings.Contains(what, "my-vg/root at /, my-vg/v_ar at /var, my-vg/l.og at /var/log") {
		t.Error(what)
	}
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := volumes(f, 124<<20)
	i := slices.IndexFunc(all, func(v volume) bool { return v.name == "my-vg/root" })
	if err != nil || i < 0 || len(all[i].extents) != 2 || all[i].size() != 48<<20 {
		t.Errorf("%v %v", all, err)
	}
}

func TestDiskErrors(t *testing.T) {
	for _, c := range []struct {
		name, script, partition string
		tools                   []string
		kind                    sysctl.Kind
		says, hint              string
	}{
		{name: "luks", kind: sysctl.Unsupported, says: "1 (encrypted (LUKS))", hint: "cryptsetup", script: `
			printf 'label: dos\nstart=2048,size=4096' | gpt 8M; printf 'LUKS\272\276' | dd of=disk bs=1M seek=1 conv=notrunc status=none`},
		{name: "no root", kind: sysctl.Invalid, says: "disk (ext4)", hint: "import the directory", script: `rm root/sbin/init; fs disk 32M root`},
		{name: "swap only", kind: sysctl.Invalid, says: "1 (swap), 2 (nothing known)", script: `
			printf 'label: dos\nstart=2048,size=4096\nstart=6144,size=4096' | gpt 8M; truncate -s 2M s; mkswap -q s 2>/dev/null || mkswap s >/dev/null; put s disk 1`},
		{name: "two roots", kind: sysctl.Invalid, says: "several root filesystems in the image: 1, 2", hint: "--partition 1", script: twoRoots},
		{name: "no such partition", partition: "3", kind: sysctl.NotFound, says: "1 (ext4), 2 (ext4)", script: twoRoots},
		{name: "usr elsewhere", kind: sysctl.Invalid, says: "/usr of the system is on /dev/sdb1", script: `echo '/dev/sdb1 /usr ext4' > root/etc/fstab; fs disk 32M root`},
		{name: "mounted on a link", kind: sysctl.Invalid, says: "not a directory", script: `
			rmdir root/home; ln -s /etc root/home; fs h 16M var; echo '/dev/sda2 /home ext4' > root/etc/fstab; fs r 32M root
			printf 'label: dos\nstart=2048,size=65536\nstart=67584,size=32768' | gpt 50M; put r disk 1; put h disk 33`},
		{name: "no such subvolume", tools: []string{"mkfs.btrfs"}, kind: sysctl.Invalid, says: "there is no subvolume @home", script: `
			echo '/dev/sda1 /home btrfs subvol=@home' > root/etc/fstab; truncate -s 200M d; mkfs.btrfs -q --rootdir root d
			printf 'label: dos\nstart=2048' | gpt 202M; put d disk 1`},
		{name: "damaged", kind: sysctl.Invalid, says: "cannot be mounted", script: `fs disk 32M root; dd if=/dev/zero of=disk bs=1k seek=2 count=64 conv=notrunc status=none`},
		{name: "backing file", tools: []string{"qemu-img"}, kind: sysctl.Invalid, says: "backing file", script: `
			fs d 32M root; qemu-img create -q -f qcow2 -F raw -b "$PWD/d" disk`},
		{name: "data file", tools: []string{"qemu-img"}, kind: sysctl.Invalid, says: "data in another file", script: `
			qemu-img create -q -f qcow2 -o data_file=d disk 8M`},
		{name: "flat vmdk", tools: []string{"qemu-img"}, kind: sysctl.Invalid, says: "only describes", hint: "import d-flat.vmdk", script: `
			fs d 32M root; qemu-img convert -O vmdk -o subformat=monolithicFlat d d.vmdk; mv d.vmdk disk`},
		{name: "vmdk of a difference", tools: []string{"qemu-img"}, kind: sysctl.Invalid, says: "differs from another", script: `
			fs d 32M root; qemu-img convert -O vmdk d d.vmdk; qemu-img create -q -f vmdk -F vmdk -b d.vmdk disk`},
		{name: "damaged qcow2", tools: []string{"qemu-img"}, kind: sysctl.Invalid, says: "cannot be read", script: `
			fs d 32M root; qemu-img convert -O qcow2 d disk; printf '\377\377\377\377' | dd of=disk bs=1 seek=40 conv=notrunc status=none`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, tool := range c.tools {
				needs.Program(t, tool)
			}
			dir, _, err := copyDiskOf(t, diskOf(t, c.script), c.partition)
			wantError(t, err, c.kind, c.says)
			if hint := sysctl.HintOf(err); !strings.Contains(hint, c.hint) {
				t.Errorf("hint %q, want %q in it", hint, c.hint)
			}
			if above, _ := filepath.Glob(filepath.Dir(dir) + "/*"); len(above) != 2 {
				t.Errorf("beside the tree: %v", above)
			}
		})
	}
}

const twoRoots = `fs r 32M root; printf 'label: dos\nstart=2048,size=65536\nstart=67584,size=65536' | gpt 66M; put r disk 1; put r disk 33`

func TestDiskPartitionIsChosen(t *testing.T) {
	image := diskOf(t, twoRoots)
	dir, what, err := copyDiskOf(t, image, "2")
	if err != nil || !strings.Contains(what, "2 at /") {
		t.Fatal(what, err)
	}
	wantFiles(t, dir, map[string]string{"etc/hostname": "box"})
	empty, _ := emptyDir(t)
	_, err = MakeTree(t.Context(), dir, empty, "2", UnpackOptions{})
	wantError(t, err, sysctl.Invalid, "no disk image")
}

func TestDiskStops(t *testing.T) {
	image := diskOf(t, `fs disk 32M root; echo`)
	dir, _ := emptyDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := MakeTree(ctx, image, dir, "", UnpackOptions{})
	if sysctl.KindOf(err) != sysctl.Canceled || loops(t) != "" {
		t.Errorf("%v, loops %q", err, loops(t))
	}
}

// Tables that are loops or lead outside of the disk end, and name nothing outside.
func TestHostilePartitions(t *testing.T) {
	loop := make([]byte, 8192)
	for _, at := range []int{0, 512} {
		loop[at+510], loop[at+511] = 0x55, 0xaa
	}
	loop[446+4] = 5
	binary.LittleEndian.PutUint32(loop[446+8:], 1)
	loop[512+446+4] = 0x83
	binary.LittleEndian.PutUint32(loop[512+446+8:], 1)
	binary.LittleEndian.PutUint32(loop[512+446+12:], 1)
	loop[512+462+4] = 5
	if all := mbr(bytes.NewReader(loop), 8192); len(all) != 1 || all[0].name != "5" {
		t.Errorf("%v", all)
	}
	table := make([]byte, 8192)
	copy(table[512:], "EFI PART")
	binary.LittleEndian.PutUint64(table[512+72:], 2)
	binary.LittleEndian.PutUint32(table[512+80:], 0xffffffff)
	binary.LittleEndian.PutUint32(table[512+84:], 128)
	for i, e := range [][2]uint64{{1 << 60, 1 << 61}, {3, 2}, {0, 5}, {5, 1 << 63}, {6, 6}} {
		at := 1024 + 128*i
		table[at] = 1
		binary.LittleEndian.PutUint64(table[at+32:], e[0])
		binary.LittleEndian.PutUint64(table[at+40:], e[1])
	}
	if all := gpt(bytes.NewReader(table), 512, 8192); len(all) != 1 || all[0].name != "5" || all[0].extents[0] != (extent{6 * 512, 512}) {
		t.Errorf("%v", all)
	}
}

func TestDiskFormat(t *testing.T) {
	tarball := archive(t, bootable()...)
	copy(tarball[510:], "\x55\xaa")
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"tar":            {tarball, ""},
		"short":          {[]byte("\x55\xaa"), ""},
		"gz":             {gz(t, bytes.NewReader(archive(t, bootable()...))), ""},
		"gz, by chance":  {append(append([]byte("\x1f\x8b"), bytes.Repeat([]byte{7}, 508)...), append([]byte{0x55, 0xaa}, make([]byte, 1000)...)...), ""},
		"zip, by chance": {append(append([]byte("PK\x03\x04"), make([]byte, 506)...), append([]byte{0x55, 0xaa}, make([]byte, 1000)...)...), ""},
		"zeros":          {make([]byte, 1<<20), ""},
		"qcow2":          {[]byte("QFI\xfb"), "qcow2"},
		"text":           {[]byte("# Disk DescriptorFile\nversion=1\n"), "vmdk"},
	} {
		if got := DiskFormat(bytes.NewReader(c.data)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestParseLVM(t *testing.T) {
	s, err := parseLVM([]byte("vg {\n# a } comment\nid = \"a\\\"b\"\nlist = [\"x\", 3,\n4]\nempty=[]\nbelow { n = -1 } }\nversion = 1"))
	vg := s.section("vg")
	if err != nil || vg["id"] != `a"b` || len(vg.list("list")) != 3 || vg.section("below").number("n") != -1 || s.number("version") != 1 {
		t.Errorf("%v %v", s, err)
	}
	for _, bad := range []string{"a", "a {", "a = ", "a = \"x", "a = [1", "}", "a = [[1]]", strings.Repeat("a {", 1000), "a = 1x"} {
		if _, err := parseLVM([]byte(bad)); sysctl.KindOf(err) != sysctl.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzVolumes(f *testing.F) {
	f.Add([]byte("LABELONE"))
	f.Add(append(make([]byte, 510), 0x55, 0xaa))
	f.Fuzz(func(t *testing.T, data []byte) {
		size := int64(len(data))
		all, err := volumes(bytes.NewReader(data), size)
		if err != nil && sysctl.KindOf(err) != sysctl.Invalid {
			t.Error(err)
		}
		for _, v := range all {
			for _, e := range v.extents {
				if e.at < 0 || e.size < 0 || e.at+e.size > size {
					t.Errorf("%s lies outside: %v", v, e)
				}
			}
		}
	})
}

// A volume is read and copied as the bytes that its stretches are, one after the other.
func TestVolumeStretches(t *testing.T) {
	data := noise(3 << 20)
	file, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(data); err != nil {
		t.Fatal(err)
	}
	v := volume{name: "x", extents: []extent{{2 << 20, 4096}, {512, 1 << 20}, {3<<20 - 512, 512}}}
	want := slices.Concat(data[2<<20:2<<20+4096], data[512:512+1<<20], data[3<<20-512:])
	got := make([]byte, v.size())
	if n, err := v.reader(file).ReadAt(got, 0); err != nil || n != len(want) || !bytes.Equal(got, want) {
		t.Errorf("read %d: %v", n, err)
	}
	dir, _ := emptyDir(t)
	whole, err := v.assemble(t.Context(), file, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	if n, err := whole.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("copied %d: %v", n, err)
	}
}

func TestBuildDisk(t *testing.T) {
	data, err := os.ReadFile(diskOf(t, twoRoots))
	if err != nil {
		t.Fatal(err)
	}
	s := server(t, map[string][]byte{"/disk.raw": data}, nil)
	source := `type: disk, complete: true, partition: "2", url: "` + s.URL + `/disk.raw", sha256: `
	dir, above := emptyDir(t)
	got, err := buildOf(t, recipeOf("", source+sumOf(data)), dir, BuildOptions{})
	wantTree(t, dir, err, "sbin/init")
	untouched(t, above)
	if want := "disk " + s.URL + "/disk.raw sha256:" + sumOf(data) + " (raw disk, 2 at /)"; got != want {
		t.Errorf("source %s", got)
	}
	dir, _ = emptyDir(t)
	_, err = buildOf(t, recipeOf("", source+sumOf(nil)), dir, BuildOptions{})
	wantError(t, err, sysctl.Unavailable, "wrong content")
}
