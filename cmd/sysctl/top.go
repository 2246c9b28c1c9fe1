package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

// topOptions is what top was asked for.
type topOptions struct {
	delay time.Duration
	count int // 0: it was not said
	by    string
	back  bool
	f     format
}

func (a *app) topCmd() *cobra.Command {
	o := topOptions{delay: 2 * time.Second, by: "cpu"}
	var once bool
	cmd := &cobra.Command{
		Use:   "top",
		Short: "watch what running instances use",
		Long: `Shows what each running instance uses, again and again: CPU (100% is one CPU) with its newest history, memory, what it
reads from and writes to disks and its network each second, and processes. Keys: c, m, i, n, a, p sort by CPU, memory,
disk (i/o), network, name or processes, r turns the order round, space looks at once, q or Ctrl-C ends.

Where standard output is no terminal, or with --once, one table is printed, of what is used within the delay; --count
prints several, in JSON one line for each.`,
		Example: `  sysctl top
  sysctl top --sort memory
  sysctl top --once
  sysctl top --count 5 --delay 1s --format json`,
		Args:              takes(0, 0),
		ValidArgsFunction: nothing,
	}
	cmd.Flags().DurationVarP(&o.delay, "delay", "d", o.delay, "time between two looks")
	cmd.Flags().IntVarP(&o.count, "count", "n", 0, "print `N` tables and end")
	cmd.Flags().BoolVar(&once, "once", false, "print one table and end, as --count 1")
	cmd.Flags().StringVar(&o.by, "sort", o.by, "`ORDER`: "+strings.Join(topOrders(), ", "))
	cmd.Flags().BoolVar(&o.back, "reverse", false, "the smallest first")
	mustComplete(cmd, "sort", fixed(topOrders()...))
	for _, flag := range []string{"delay", "count"} {
		mustComplete(cmd, flag, nothing)
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o.f = *out
		var bad sysctl.FieldErrors
		if o.delay < 100*time.Millisecond || o.delay > time.Hour {
			bad.Add("--delay", "must be from 100ms to 1h")
		}
		if cmd.Flags().Changed("count") && o.count < 1 {
			bad.Add("--count", "must be at least 1")
		}
		if !slices.Contains(topOrders(), o.by) {
			bad.Add("--sort", "%q is none of %s", o.by, strings.Join(topOrders(), ", "))
		}
		if err := bad.Err(); err != nil {
			return sysctl.Wrap(err, "top")
		}
		if once {
			o.count = 1
		}
		return a.with(cmd, func(ctx context.Context, b backend) error {
			dumb, _ := a.env("TERM")
			if o.count == 0 && o.f == "table" && isTerminal(a.stdin) && isTerminal(a.stdout) && dumb != "" && dumb != "dumb" {
				return sysctl.Wrap(a.watchTop(ctx, b, o), "top")
			}
			o.count = max(o.count, 1)
			return a.printTops(ctx, b, o)
		})
	}
	return a.verb(cmd, traits{})
}

// look takes a sample, sorted.
func (s *sampler) look(ctx context.Context, b backend, now func() time.Time, o topOptions) (topSample, error) {
	host, loads, err := b.Loads(ctx)
	if err != nil {
		return topSample{}, err
	}
	sample := s.next(now(), host, loads)
	sortTop(sample.Instances, o.by, o.back)
	return sample, nil
}

// printTops prints samples one after the other. The first look is only what the next one is compared with.
func (a *app) printTops(ctx context.Context, b backend, o topOptions) error {
	var s sampler
	if _, err := s.look(ctx, b, time.Now, o); err != nil {
		return err
	}
	tick := time.NewTicker(o.delay)
	defer tick.Stop()
	for n := 0; n < o.count; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		sample, err := s.look(ctx, b, time.Now, o)
		if err != nil {
			return err
		}
		if err := a.printTop(sample, o, n); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printTop(sample topSample, o topOptions, n int) error {
	if o.f == "json" && o.count != 1 {
		line, err := json.Marshal(sample)
		if err != nil {
			return err
		}
		return a.printLines(string(line))
	}
	if o.f == "yaml" && n > 0 {
		if err := a.printLines("---"); err != nil {
			return err
		}
	}
	v := topView(sample)
	v.headless = n > 0
	if o.f == "table" {
		if n > 0 {
			if err := a.printLines(""); err != nil {
				return err
			}
		}
		if !a.quiet {
			if err := a.printLines(topHead(sample.Host), ""); err != nil {
				return err
			}
		}
	}
	return a.print(o.f, v)
}

// topHead is the host's line.
func topHead(h topHost) string {
	words := []string{fmt.Sprintf("%d of %d instances run", h.Running, h.Instances), "cpu " + rateText(h.CPU, "%") + " of " + h.CPUs,
		fmt.Sprintf("memory %s of %s", bytesText(h.Memory), bytesText(h.MemoryMax))}
	for _, p := range h.Pressure {
		words = append(words, fmt.Sprintf("%s pressure %.1f%%", p.Of, p.Some10))
	}
	return strings.Join(words, ", ")
}

func topView(s topSample) view {
	v := view{columns: []string{"NAME", "STATUS", "CPU", "MEMORY", "LIMIT", "READ", "WRITE", "RECEIVED", "SENT", "PROCESSES", "UPTIME"}, value: s}
	for _, i := range s.Instances {
		limit := ""
		if i.MemoryMax > 0 {
			limit = bytesText(i.MemoryMax)
		}
		v.rows = append(v.rows, []string{i.Name, string(i.Status), rateText(i.CPU, "%"), bytesText(i.Memory), limit, rateText(i.Read, ""), rateText(i.Written, ""),
			rateText(i.Received, ""), rateText(i.Sent, ""), countText(i.Processes), durationText(i.Uptime)})
	}
	return v
}

// rateText writes a percentage, or bytes each second; negative is unknown.
func rateText(r float64, unit string) string {
	switch {
	case r < 0:
		return ""
	case unit != "":
		return fmt.Sprintf("%.1f%s", r, unit)
	}
	return bytesText(int64(r)) + "/s"
}

// leaveScreen shows the cursor and the screen that was there before.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
)

// watchTop shows samples on the whole terminal, until a key or a signal ends it.
func (a *app) watchTop(ctx context.Context, b backend, o topOptions) error {
	if err := a.tty.raw(a.stdin); err != nil {
		return err
	}
	defer a.tty.restore()
	a.tty.atRestore(a.stdout, leaveScreen)
	if err := a.write([]byte(enterScreen)); err != nil {
		return err
	}
	sizes, stop := windowSizes(a.stdout)
	defer stop()
	keys := make(chan byte)
	// Opened anew: not to wait for a key is a property of what is opened, which others share.
	typed, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", a.stdin.Fd()), os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	over := make(chan struct{})
	go readKeys(typed, keys, over)
	defer func() {
		close(over)
		typed.Close() // and nobody reads any more
	}()
	rows, cols := 24, 80
	var s sampler
	sample, err := s.look(ctx, b, time.Now, o)
	if err != nil {
		return err
	}
	tick := time.NewTicker(o.delay)
	defer tick.Stop()
	for {
		sortTop(sample.Instances, o.by, o.back)
		if err := a.write(drawTop(sample, o, rows, cols, a.plainText())); err != nil {
			return err
		}
		fresh := false
		select {
		case <-ctx.Done():
			return nil
		case size := <-sizes:
			if size.Rows > 0 && size.Cols > 0 {
				rows, cols = int(size.Rows), int(size.Cols)
			}
		case key, open := <-keys:
			switch {
			case !open || key == 'q' || key == 'Q' || key == 3: // Ctrl-C is a key in raw mode
				return nil
			case key == 'r':
				o.back = !o.back
			case key == ' ':
				fresh = true
			default:
				if n := strings.IndexByte("cminap", key); n >= 0 {
					o.by, o.back = topOrders()[n], false
				}
			}
		case <-tick.C:
			fresh = true
		}
		if fresh {
			if sample, err = s.look(ctx, b, time.Now, o); err != nil {
				if errors.Is(err, context.Canceled) {
					return nil
				}
				return err
			}
		}
	}
}

// readKeys passes on what is typed, until the terminal is gone or nobody wants it any more.
func readKeys(f *os.File, keys chan<- byte, done <-chan struct{}) {
	defer close(keys)
	buf := make([]byte, 1)
	for {
		if n, err := f.Read(buf); n == 0 || err != nil {
			return
		}
		select {
		case keys <- buf[0]:
		case <-done:
			return
		}
	}
}

// plainText reports that the terminal may not be able to show more than ASCII.
func (a *app) plainText() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v, _ := a.env(name); v != "" {
			return !strings.Contains(strings.ToUpper(strings.ReplaceAll(v, "-", "")), "UTF8")
		}
	}
	return true
}

// drawTop draws a sample from the top left corner on, no more than there is room for.
func drawTop(s topSample, o topOptions, rows, cols int, plain bool) []byte {
	v := topView(s)
	v.columns = slices.Insert(slices.Clone(v.columns), 3, "HISTORY")
	for i := range v.rows {
		v.rows[i] = slices.Insert(v.rows[i], 3, sparkline(s.Instances[i].history, plain))
	}
	var table bytes.Buffer
	writeTable(&table, v)
	order := o.by
	if o.back {
		order += ", reversed"
	}
	lines := append([]string{topHead(s.Host), s.Time.Format("15:04:05") + ", by " + order + " (c m i n a p, r); q ends", ""},
		strings.Split(strings.TrimSuffix(table.String(), "\n"), "\n")...)
	var out bytes.Buffer
	out.WriteString("\x1b[H")
	for i, line := range lines[:min(len(lines), rows)] {
		if i > 0 {
			out.WriteString("\r\n")
		}
		if text := []rune(line); len(text) > cols {
			line = string(text[:cols])
		}
		out.WriteString(line + "\x1b[K")
	}
	out.WriteString("\x1b[J")
	return out.Bytes()
}
