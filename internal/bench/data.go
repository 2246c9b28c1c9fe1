package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// holder is a peer that keeps data: it has snapshots, copies and a way for files in and out.
type holder interface {
	peer
	Snapshot(ctx context.Context, name, snap string) error
	Restore(ctx context.Context, name, snap string) error
	Copy(ctx context.Context, name, to string) error
	// Push copies a host's file or directory into a new directory of an instance, Pull a file out of it, PullTree a directory into another.
	Push(ctx context.Context, name, src, dir string) error
	Pull(ctx context.Context, name, file, dst string) error
	PullTree(ctx context.Context, name, dir, dst string) error
	// Command is `exec` of a program inside, whose output is not read yet.
	Command(ctx context.Context, name string, argv ...string) *exec.Cmd
}

// plugger is a peer that gives a running instance devices, and takes them away.
type plugger interface {
	peer
	// Devices are those that are measured: what follows the instance's name when one is added.
	Devices() map[op][]string
	Plug(ctx context.Context, name, device string, args ...string) error
	Unplug(ctx context.Context, name, device string) error
}

// What is pushed, pulled and written.
const (
	smallFiles  = 2000
	smallSize   = 4 << 10 // bytes on average
	largeSize   = 100_000_000
	streamSize  = 1 << 30
	writtenSize = 1 << 30 // of the instance that runs while it is kept
)

// data measures what becomes of one instance's files. It lives as long as the rounds last: for minutes ext4 looks at every inode that
// was freed before it takes one, so who deletes between two rounds measures that.
func (b *bench) data(ctx context.Context, p peer) error {
	h, ok := p.(holder)
	if !ok {
		return nil
	}
	small, large, err := b.env.payload()
	if err != nil {
		return err
	}
	name := b.held[p]
	if name == "" {
		name = b.newName()
		b.held[p] = name
		err = b.launch(ctx, p, name)
	} else {
		b.note(p, name, true)
		err = p.Start(ctx, name)
	}
	if err != nil {
		return err
	}
	if err := booted(ctx, p, name); err != nil {
		return err
	}
	round := b.newName() // of snapshots and directories
	if err := b.transfers(ctx, h, name, "/root/"+round, small, large); err != nil {
		return err
	}
	if err := b.stream(ctx, h, name); err != nil {
		return err
	}
	if err := b.plug(ctx, p, name); err != nil {
		return err
	}
	if err := p.Kill(ctx, name); err != nil {
		return err
	}
	b.note(p, name, false)
	return b.snapshots(ctx, h, name, round)
}

// transfers measures files on their way into a running instance and out of it.
func (b *bench) transfers(ctx context.Context, h holder, name, dir, small, large string) error {
	if err := b.timed(ctx, opPushSmall, h, func() error { return h.Push(ctx, name, small, dir+"/small") }); err != nil {
		return err
	}
	if err := b.rate(ctx, opPush, h, largeSize, func() error { return h.Push(ctx, name, large, dir+"/large") }); err != nil {
		return err
	}
	trees := filepath.Join(b.env.dir, filepath.Base(dir)) // stays until the end: see data
	if err := os.MkdirAll(trees+"/"+h.Name()+"/tar", 0o755); err != nil {
		return err
	}
	if err := b.timed(ctx, opPullSmall, h, func() error { return h.PullTree(ctx, name, dir+"/small/"+filepath.Base(small), trees+"/"+h.Name()) }); err != nil {
		return err
	}
	if h.Name() == oursName {
		to := trees + "/" + h.Name()
		if err := b.host(ctx, opTarSmall, "tar -C "+small+" -cf - . | tar -C "+to+"/tar -xpf -"); err != nil {
			return err
		}
		if err := b.host(ctx, opCopySmall, "cp -a "+small+" "+to+"/cp"); err != nil {
			return err
		}
	}
	back := filepath.Join(b.env.dir, "back")
	defer os.Remove(back)
	return b.rate(ctx, opPull, h, largeSize, func() error { return h.Pull(ctx, name, dir+"/large/"+filepath.Base(large), back) })
}

// host measures what the host's own tools do.
func (b *bench) host(ctx context.Context, o op, script string) error {
	settled(ctx)
	begin := time.Now()
	if out, err := exec.CommandContext(ctx, "sh", "-c", script).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", script, err, tail(out))
	}
	if took := time.Since(begin); o.unit() == "MB/s" {
		b.res.add(o, realName, writtenSize/1e6/took.Seconds())
	} else {
		b.res.time(o, realName, took)
	}
	return nil
}

// plug measures devices that a running instance is given.
func (b *bench) plug(ctx context.Context, p peer, name string) error {
	g, ok := p.(plugger)
	if !ok {
		return nil
	}
	const device = "bench0" // a NIC's is its name in the guest, of 15 letters at most
	for o, args := range g.Devices() {
		if err := b.timed(ctx, o, p, func() error { return g.Plug(ctx, name, device, args...) }); err != nil {
			return err
		}
		if err := g.Unplug(ctx, name, device); err != nil {
			return err
		}
	}
	return nil
}

// rate is timed, in bytes a second.
func (b *bench) rate(ctx context.Context, o op, p peer, size int64, f func() error) error {
	settled(ctx)
	begin := time.Now()
	if err := f(); err != nil {
		return err
	}
	b.res.add(o, p.Name(), float64(size)/1e6/time.Since(begin).Seconds())
	return nil
}

// stream measures the output of a command, read from a pipe.
func (b *bench) stream(ctx context.Context, h holder, name string) error {
	return b.rate(ctx, opStream, h, streamSize, func() error {
		cmd := h.Command(ctx, name, "/bin/dd", "if=/dev/zero", "bs=64k", "count="+strconv.Itoa(streamSize>>16))
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{out}, make([]byte, 64<<10))
		if err := errors.Join(err, cmd.Wait()); err != nil {
			return fmt.Errorf("%w: %s", err, tail(said.Bytes()))
		}
		if n != streamSize {
			return fmt.Errorf("exec gave %d bytes of %d", n, streamSize)
		}
		return nil
	})
}

// snapshots measures an instance that is stopped: kept, brought back and copied.
func (b *bench) snapshots(ctx context.Context, h holder, name, snap string) error {
	before, err := b.stored(h)
	if err != nil {
		return err
	}
	if err := b.timed(ctx, opSnapshot, h, func() error { return h.Snapshot(ctx, name, snap) }); err != nil {
		return err
	}
	if after, err := b.stored(h); err != nil {
		return err
	} else if h.Store() != "" {
		b.res.size(opSnapshotDisk, h.Name(), after-before)
	}
	if err := b.timed(ctx, opRestore, h, func() error { return h.Restore(ctx, name, snap) }); err != nil {
		return err
	}
	twin := b.newName()
	b.note(h, twin, false)
	if err := b.timed(ctx, opCopy, h, func() error { return h.Copy(ctx, name, twin) }); err != nil {
		return err
	}
	if err := h.Delete(ctx, twin); err != nil {
		return err
	}
	b.forget(h, twin)
	return nil
}

// stored is what a peer's directory takes on disk, 0 where it cannot be told.
func (b *bench) stored(p peer) (int64, error) {
	if p.Store() == "" {
		return 0, nil
	}
	return allocated(p.Store())
}

// runningSnapshot measures the snapshot of an instance that runs and has written a gibibyte, and what that takes to come out and go in.
func (b *bench) runningSnapshot(ctx context.Context, p peer) error {
	h, ok := p.(holder)
	if !ok {
		return nil
	}
	name := b.newName()
	if err := b.launch(ctx, p, name); err != nil {
		return err
	}
	if err := booted(ctx, p, name); err != nil {
		return err
	}
	if _, err := p.Exec(ctx, name, "/bin/dd", "if=/dev/urandom", "of=/root/data", "bs=1M", "count="+strconv.Itoa(writtenSize>>20), "conv=fsync"); err != nil {
		return err
	}
	for i := range 3 {
		if err := b.timed(ctx, opSnapshotRunning, p, func() error { return h.Snapshot(ctx, name, "bench"+strconv.Itoa(i)) }); err != nil {
			return err
		}
	}
	out, twin := filepath.Join(b.env.dir, "gib"), filepath.Join(b.env.dir, "twin")
	defer os.Remove(out)
	defer os.Remove(twin)
	for i := range 3 {
		if err := b.rate(ctx, opPullGiB, h, writtenSize, func() error { return h.Pull(ctx, name, "/root/data", out) }); err != nil {
			return err
		}
		if err := b.rate(ctx, opPushGiB, h, writtenSize, func() error { return h.Push(ctx, name, out, "/root/in"+strconv.Itoa(i)) }); err != nil {
			return err
		}
		if h.Name() == oursName {
			if err := b.host(ctx, opCopyGiB, "cp -a "+out+" "+twin); err != nil {
				return err
			}
		}
		if err := errors.Join(os.Remove(out), os.RemoveAll(twin)); err != nil {
			return err
		}
	}
	return b.remove(ctx, p, name)
}

// payload makes what is pushed, once: a directory of small files and a large file.
func (e *env) payload() (small, large string, err error) {
	small, large = filepath.Join(e.dir, "small"), filepath.Join(e.dir, "large")
	if _, err := os.Stat(large); err == nil {
		return small, large, nil
	}
	for i := range smallFiles {
		dir := filepath.Join(small, strconv.Itoa(i%20))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return small, large, err
		}
		data := bytes.Repeat([]byte(fmt.Sprintf("%d ", i)), smallSize/8+i%smallSize/4)
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), data, 0o644); err != nil {
			return small, large, err
		}
	}
	data := make([]byte, largeSize)
	for i := 0; i+8 < len(data); i += 8 {
		copy(data[i:], fmt.Sprintf("%08x", i*2654435761))
	}
	return small, large, os.WriteFile(large, data, 0o644)
}
