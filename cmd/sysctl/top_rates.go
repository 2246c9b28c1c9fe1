package main

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// topSample is one reading of top.
type topSample struct {
	Time      time.Time     `json:"time"`
	Host      topHost       `json:"host"`
	Instances []topInstance `json:"instances"`
}

// topHost is the host's line. Negative numbers are unknown.
type topHost struct {
	CPU       float64           `json:"cpu_percent"` // of one CPU
	CPUs      string            `json:"cpus"`
	Memory    int64             `json:"memory"`
	MemoryMax int64             `json:"memory_max"`
	Running   int               `json:"running"`
	Instances int               `json:"instances"`
	Pressure  []sysctl.Pressure `json:"pressure"`
}

// topInstance is an instance's line: rates are of the time since the sample before.
type topInstance struct {
	Name      string        `json:"name"`
	Status    sysctl.Status `json:"status"`
	CPU       float64       `json:"cpu_percent"` // of one CPU
	Memory    int64         `json:"memory"`
	MemoryMax int64         `json:"memory_max"` // 0: no limit
	Read      float64       `json:"read_per_second"`
	Written   float64       `json:"written_per_second"`
	Received  float64       `json:"received_per_second"`
	Sent      float64       `json:"sent_per_second"`
	Processes int64         `json:"processes"`
	Uptime    time.Duration `json:"uptime_ns"`

	history []float64 `json:"-"` // CPU of the newest samples, the oldest first
}

func (i topInstance) io() float64  { return i.Read + i.Written }
func (i topInstance) net() float64 { return i.Received + i.Sent }

// historyLength is how many samples a sparkline shows.
const historyLength = 20

// sampler turns readings into rates.
type sampler struct {
	at      time.Time
	host    sysctl.Resources
	before  map[int64]manager.Load
	history map[int64][]float64
}

// next takes a reading. The first one has no rates.
func (s *sampler) next(now time.Time, host manager.HostLoad, loads []manager.Load) topSample {
	seconds := now.Sub(s.at).Seconds()
	if s.before == nil {
		seconds = 0
	}
	rate := func(before, after int64) float64 {
		switch {
		case after < 0 || before < 0:
			return -1
		case seconds <= 0 || after < before: // it is another run
			return 0
		}
		return float64(after-before) / seconds
	}
	percent := func(before, after time.Duration) float64 {
		r := rate(int64(before), int64(after))
		return max(r/1e7, min(r, 0))
	}
	out := topSample{Time: now, Instances: []topInstance{}, Host: topHost{CPU: percent(s.host.CPU, host.Resources.CPU), CPUs: host.Resources.CPUs,
		Memory: host.Resources.Memory, MemoryMax: host.Resources.MemoryMax, Running: host.Running, Instances: host.Instances, Pressure: orEmpty(host.Resources.Pressure)}}
	before, history := map[int64]manager.Load{}, map[int64][]float64{}
	for _, l := range loads {
		old, known := s.before[l.ID]
		if !known {
			old = l // rates begin at its second sample
		}
		r, o := l.Resources, old.Resources
		i := topInstance{Name: l.Name, Status: l.Status, CPU: percent(o.CPU, r.CPU), Memory: r.Memory, MemoryMax: r.MemoryMax,
			Read: rate(o.Read, r.Read), Written: rate(o.Written, r.Written), Processes: r.Processes, Uptime: l.Uptime}
		i.Received, i.Sent = -1, -1
		if r.Networks != nil {
			rx, tx := through(r.Networks)
			rx0, tx0 := through(o.Networks)
			i.Received, i.Sent = rate(rx0, rx), rate(tx0, tx)
		}
		h := append(slices.Clone(s.history[l.ID]), max(0, i.CPU))
		history[l.ID], before[l.ID] = h[max(0, len(h)-historyLength):], l
		i.history = history[l.ID]
		out.Instances = append(out.Instances, i)
	}
	s.at, s.host, s.before, s.history = now, host.Resources, before, history
	return out
}

func through(list []sysctl.Traffic) (received, sent int64) {
	for _, t := range list {
		received, sent = received+t.Received, sent+t.Sent
	}
	return received, sent
}

// topOrders are what top can be sorted by; the first letter is the key.
func topOrders() []string { return []string{"cpu", "memory", "io", "net", "name", "processes"} }

// sortTop sorts the largest first, and names from a to z; back turns that round.
func sortTop(list []topInstance, by string, back bool) {
	slices.SortStableFunc(list, func(a, b topInstance) int {
		var order int
		switch by {
		case "cpu":
			order = cmp.Compare(b.CPU, a.CPU)
		case "memory":
			order = cmp.Compare(b.Memory, a.Memory)
		case "io":
			order = cmp.Compare(b.io(), a.io())
		case "net":
			order = cmp.Compare(b.net(), a.net())
		case "processes":
			order = cmp.Compare(b.Processes, a.Processes)
		}
		order = cmp.Or(order, strings.Compare(a.Name, b.Name))
		if back {
			return -order
		}
		return order
	})
}

// sparkline draws a history, scaled to a whole CPU or to its highest point.
func sparkline(history []float64, plain bool) string {
	marks := []rune("▁▂▃▄▅▆▇█")
	if plain {
		marks = []rune("_.-:=+*#")
	}
	top := 100.0
	for _, v := range history {
		top = max(top, v)
	}
	var b strings.Builder
	for _, v := range history {
		b.WriteRune(marks[min(len(marks)-1, int(v/top*float64(len(marks))))])
	}
	return strings.Repeat(" ", historyLength-len(history)) + b.String()
}
