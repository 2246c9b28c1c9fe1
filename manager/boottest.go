package manager

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
)

// How long a guest under test may take to boot and to halt where nothing else is said.
const (
	testBootTimeout    = 2 * time.Minute
	DefaultTestTimeout = 90 * time.Second
)

// TemplateTest is what became of a template's boot test.
type TemplateTest struct {
	Template string      `json:"template"`
	Image    string      `json:"image"`
	Instance string      `json:"instance"` // "" where it is gone
	Passed   bool        `json:"passed"`
	Checks   []TestCheck `json:"checks"`
}

// TestCheck is one thing that was looked at.
type TestCheck struct {
	Phase  string `json:"phase"` // boot, halt, restart, end
	Name   string `json:"check"`
	Passed bool   `json:"passed"`
	Found  string `json:"found"` // what is there, or what is wrong
}

// Failed counts the checks that failed.
func (t TemplateTest) Failed() int {
	n := 0
	for _, c := range t.Checks {
		if !c.Passed {
			n++
		}
	}
	return n
}

// TestTemplate boots the image that a launch of a template would take in an instance of its own, checks that it came up and what the
// template's test expects, has it halt by its init's own means, does all that again, and removes the instance, unless o.Keep: then
// that is as the test left it. That a check fails is no error. An error, or a ctx that ends, removes the instance too. A process
// that is killed leaves it: it is ephemeral, and deleted when it stops.
func (m *Manager) TestTemplate(ctx context.Context, o TestOptions) (TemplateTest, error) {
	t, err := m.testTemplate(ctx, o)
	return t, sysctl.Wrap(err, "test %s", o.Template)
}

func (m *Manager) testTemplate(ctx context.Context, o TestOptions) (result TemplateTest, err error) {
	t, _, err := m.Catalogue.Find(o.Template)
	if err != nil {
		return result, err
	}
	image, err := m.imageOf(ctx, t.Name, o.Progress, o.Note)
	if err != nil {
		return result, err
	}
	result = TemplateTest{Template: t.Name, Image: image.ID}
	inst, err := m.testInstance(ctx, t.Name, image.ID, o)
	if err != nil {
		return result, err
	}
	result.Instance = inst.Name
	bt := &bootTest{m: m, o: o, expect: t.Test, inst: inst}
	err = bt.all(ctx)
	result.Checks = bt.checks
	result.Passed = err == nil && result.Failed() == 0
	if o.Keep {
		return result, err
	}
	if gone := m.Delete(context.WithoutCancel(ctx), inst.Name, DeleteOptions{Force: true}); gone != nil && sysctl.KindOf(gone) != sysctl.NotFound {
		return result, cmp.Or(err, gone)
	}
	result.Instance = ""
	return result, err
}

// testInstance launches an instance under a name that nobody has.
func (m *Manager) testInstance(ctx context.Context, template, image string, o TestOptions) (sysctl.Instance, error) {
	for {
		name, err := m.freeName(ctx, "test"+template)
		if err != nil {
			return sysctl.Instance{}, err
		}
		plan, err := m.create(ctx, &CreateOptions{Source: image, Name: name, Ephemeral: !o.Keep, Start: true, Progress: o.Progress, Note: o.Note})
		if sysctl.KindOf(err) == sysctl.Exists {
			if _, none := m.DB.Instance(ctx, name); none == nil {
				continue // somebody else made up the same name at the same moment
			}
		}
		return plan.Instance, err
	}
}

// bootTest is one test in progress.
type bootTest struct {
	m      *Manager
	o      TestOptions
	expect sysctl.BootTest
	inst   sysctl.Instance
	phase  string
	checks []TestCheck
}

// note notes what one check found: wrong is "" where it passed.
func (b *bootTest) note(name, wrong, found string) {
	b.checks = append(b.checks, TestCheck{Phase: b.phase, Name: name, Passed: wrong == "", Found: oneLine(cmp.Or(wrong, found))})
}

// oneLine is a text of several lines as one.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// all does every phase. A guest that has not come up the first time is not booted a second time.
func (b *bootTest) all(ctx context.Context) error {
	b.phase = "boot"
	up, err := b.look(ctx)
	if err != nil {
		return err
	}
	if up {
		b.phase = "halt"
		if err := b.again(ctx); err != nil {
			return err
		}
		b.phase = "restart"
		if _, err := b.look(ctx); err != nil {
			return err
		}
	}
	b.phase = "end"
	_, unlock, err := b.m.lockInstance(ctx, b.inst.Name, b.o.Progress)
	defer unlock()
	if err != nil {
		return err
	}
	return b.halts(ctx)
}

// again halts the guest and boots it, under one lock.
func (b *bootTest) again(ctx context.Context) error {
	inst, unlock, err := b.m.lockInstance(ctx, b.inst.Name, b.o.Progress)
	defer unlock()
	if err != nil {
		return err
	}
	if err := b.halts(ctx); err != nil {
		return err
	}
	return b.m.start(ctx, inst, StartOptions{Progress: b.o.Progress})
}

// halts has the guest halt, and checks that it did so by its init's own signal. Its instance's lock is held.
func (b *bootTest) halts(ctx context.Context) error {
	var notes []string
	began := time.Now()
	err := b.m.stop(ctx, b.inst, StopOptions{Timeout: cmp.Or(b.o.Timeout, DefaultTestTimeout), Progress: b.o.Progress, Note: func(line string) { notes = append(notes, line) }})
	if err != nil {
		return err
	}
	sig := SignalName(b.m.haltSignal(b.inst.Guest))
	b.note("halts", strings.Join(notes, "; "), sig+", after "+time.Since(began).Round(100*time.Millisecond).String())
	return nil
}

// look waits until the guest is up and makes every check.
func (b *bootTest) look(ctx context.Context) (up bool, err error) {
	b.o.Progress.Report("wait until "+b.inst.Name+" has booted", 0, 0)
	up, err = b.waitUp(ctx)
	if err != nil {
		return false, err
	}
	b.o.Progress.Report("check "+b.inst.Name, 0, 0)
	for _, check := range []func(context.Context) error{b.failures, b.network, b.names, b.expected} {
		if err := check(ctx); err != nil {
			return up, err
		}
	}
	return up, nil
}
