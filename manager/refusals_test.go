package manager_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/compattest"
	"github.com/sysctl-os/sysctl/manager"
)

var update = flag.Bool("update", false, "write testdata/refusals anew")

// Every sentence with which the compat table refuses, as a launch and a start say it, before anything is changed; and every
// note, as a check says it.
func TestEveryRefusal(t *testing.T) {
	var said bytes.Buffer
	for _, e := range compattest.Examples(t) {
		fmt.Fprintf(&said, "# %s\n", e.Words())
		if !e.Refusal {
			fmt.Fprintf(&said, "note: %s: %s\nway: %s\n\n", e.Remark.ID, e.Remark.Why, e.Remark.Way)
			continue
		}
		h := newHouse(t)
		h.w.host, h.w.os = e.Host, e.Guest
		if e.Guest.ID == "" {
			h.w.os.ID = "x" // a template has one
		}
		config := map[string]string{}
		for id, c := range e.Choices {
			config["compat."+id] = string(c)
		}
		_, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web1", Start: true, Config: config})
		kind(t, err, sysctl.Unsupported)
		if !strings.HasSuffix(err.Error(), e.Remark.Why) || sysctl.HintOf(err) != e.Remark.Way {
			t.Errorf("%v (%s); want %s (%s)", err, sysctl.HintOf(err), e.Remark.Why, e.Remark.Way)
		}
		if left := h.w.left(); left != "" || len(h.names(t)) != 0 || len(h.w.calls) != 0 {
			t.Errorf("%s: left %q, %v, did %v", e.Remark.ID, left, h.names(t), h.w.calls)
		}
		fmt.Fprintf(&said, "%v\nhint: %s\n", err, sysctl.HintOf(err))
		if _, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web1", Config: config}); err != nil {
			t.Fatalf("an instance that does not start here can be made here: %v", err)
		}
		calls := len(h.w.calls)
		err = h.Start(t.Context(), "web1", manager.StartOptions{})
		kind(t, err, sysctl.Unsupported)
		if did := h.w.changed(calls); len(did) > 0 {
			t.Errorf("a refused start did %v", did)
		}
		fmt.Fprintf(&said, "%v\nhint: %s\n\n", err, sysctl.HintOf(err))
	}
	const file = "testdata/refusals"
	if *update {
		if err := os.WriteFile(file, said.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || !bytes.Equal(want, said.Bytes()) {
		t.Errorf("%s is out of date (%v): go test ./manager -run Refusal -update\n%s", file, err, said.Bytes())
	}
}
