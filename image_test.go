package sysctl

import (
	"encoding/json"
	"testing"
)

// A guest reads back as it was written, and under the names that databases may still have.
func TestGuestJSON(t *testing.T) {
	want := Guest{ID: "debian", Init: "systemd", InitVersion: "252", Libc: "glibc", LibcVersion: "2.36"}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(b), `{"id":"debian","init":"systemd","initVersion":"252","libc":"glibc","libcVersion":"2.36"}`} {
		var got Guest
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.InitVersion != "252" || got.LibcVersion != "2.36" || got.Init != "systemd" || got.ID != "debian" {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}
