package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl/manager"
)

func TestPatch(t *testing.T) {
	file := func(mode, content string) *manager.FileState { return &manager.FileState{Mode: mode, Content: content} }
	got := patch([]manager.FileChange{
		{Path: "/etc/hostname", Before: file("0644", "old"), After: file("0644", "new\n")},
		{Path: "/etc/made", After: file("0600", "a\n")},
		{Path: "/etc/gone", Before: file("0644", "")},
		{Path: "/etc/resolv.conf", Before: &manager.FileState{Mode: "0777", Link: "../run/x"}, After: file("0644", "nameserver 192.0.2.1\n")},
		{Path: "/etc/link", After: &manager.FileState{Mode: "0777", Link: "there"}},
		{Path: "/etc/mode", Before: file("0644", "x\n"), After: file("0600", "x\n")},
	})
	const want = `diff --git a/etc/hostname b/etc/hostname
--- a/etc/hostname
+++ b/etc/hostname
@@ -1 +1 @@
-old
\ No newline at end of file
+new
diff --git a/etc/made b/etc/made
new file mode 100600
--- /dev/null
+++ b/etc/made
@@ -0,0 +1 @@
+a
diff --git a/etc/gone b/etc/gone
deleted file mode 100644
diff --git a/etc/resolv.conf b/etc/resolv.conf
deleted file mode 120000
--- a/etc/resolv.conf
+++ /dev/null
@@ -1 +0,0 @@
-../run/x
\ No newline at end of file
diff --git a/etc/resolv.conf b/etc/resolv.conf
new file mode 100644
--- /dev/null
+++ b/etc/resolv.conf
@@ -0,0 +1 @@
+nameserver 192.0.2.1
diff --git a/etc/link b/etc/link
new file mode 120000
--- /dev/null
+++ b/etc/link
@@ -0,0 +1 @@
+there
\ No newline at end of file
diff --git a/etc/mode b/etc/mode
old mode 100644
new mode 100600
`
	if got != want {
		t.Errorf("%s", got)
	}
}

// What other programs make of a patch is what was meant.
func TestPatchApplies(t *testing.T) {
	program, err := exec.LookPath("git")
	if err != nil {
		t.Skip("needs git")
	}
	random := rand.New(rand.NewPCG(1, 2))
	text := func(n int) string {
		var b strings.Builder
		for range random.IntN(n + 1) {
			fmt.Fprintf(&b, "line %d\n", random.IntN(12))
		}
		if random.IntN(4) == 0 {
			b.WriteString("end")
		}
		return b.String()
	}
	for n := range 40 {
		dir := t.TempDir()
		var changes []manager.FileChange
		for i := range 8 {
			c := manager.FileChange{Path: fmt.Sprint("/f", i), Before: &manager.FileState{Mode: "0644", Content: text(n)}, After: &manager.FileState{Mode: "0644", Content: text(n)}}
			if c.Before.Content == c.After.Content {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, c.Path), []byte(c.Before.Content), 0o644); err != nil {
				t.Fatal(err)
			}
			changes = append(changes, c)
		}
		if len(changes) == 0 {
			continue
		}
		cmd := exec.Command(program, "apply", "-p1", "-")
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(patch(changes))
		cmd.Env = []string{"GIT_CEILING_DIRECTORIES=" + filepath.Dir(dir), "PATH=" + os.Getenv("PATH")}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git apply: %v\n%s\n%s", err, out, patch(changes))
		}
		for _, c := range changes {
			if got, err := os.ReadFile(filepath.Join(dir, c.Path)); err != nil || string(got) != c.After.Content {
				t.Fatalf("%s: %v\n%q\nwant\n%q", c.Path, err, got, c.After.Content)
			}
		}
	}
}
