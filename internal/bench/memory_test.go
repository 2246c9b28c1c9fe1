package main

import (
	"os"
	"os/exec"
	"testing"
)

func TestHostMemoryCountsKeepersOnly(t *testing.T) {
	const name = "bench-of-nobody"
	child := exec.Command("sh", "-c", "read line", name) // its command line has the name
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer stdin.Close()

	// As if the child were the guest's init: in our own pid namespace, so it counts as guest.
	got, err := hostMemory(name, child.Process.Pid, nil)
	if err != nil || got != 0 {
		t.Errorf("a process of the guest counted: %d, %v", got, err)
	}
	if _, err := hostMemory(name, 1<<30, nil); err == nil {
		t.Error("a process that does not exist has memory")
	}
	if own, err := pss(os.Getpid()); err != nil || own <= 0 {
		t.Errorf("pss of this process: %d, %v", own, err)
	}
	if _, err := field([]byte("Pss:  12 kB\n"), "Rss:"); err == nil {
		t.Error("a missing label was found")
	}
}
