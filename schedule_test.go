package sysctl_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the machine may have no zones

	"github.com/sysctl-os/sysctl"
)

func at(t *testing.T, text string, zone *time.Location) time.Time {
	t.Helper()
	when, err := time.ParseInLocation("2006-01-02 15:04:05", text, zone)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestScheduleNext(t *testing.T) {
	for _, c := range []struct{ schedule, after, want string }{
		{"* * * * *", "2026-11-30 16:33:00", "2026-11-30 16:34:00"},
		{"* * * * *", "2026-11-30 16:33:59", "2026-11-30 16:34:00"},
		{"*/20 * * * *", "2026-11-30 16:45:00", "2026-11-30 17:00:00"},
		{"5-59/20 2,4 * * *", "2026-11-30 02:25:00", "2026-11-30 02:45:00"},
		{"5-59/20 2,4 * * *", "2026-11-30 04:45:00", "2026-12-01 02:05:00"},
		{"10/25 * * * *", "2026-11-30 16:10:00", "2026-11-30 16:35:00"},
		{"30 2 * * *", "2026-12-31 02:30:00", "2027-01-01 02:30:00"},
		{"0 0 29 2 *", "2096-03-01 00:00:00", "2104-02-29 00:00:00"},
		{"0 0 31 * *", "2026-11-01 00:00:00", "2026-12-31 00:00:00"},
		{"0 12 * * mon-Fri", "2026-11-27 12:00:00", "2026-11-30 12:00:00"}, // from a Friday
		{"0 12 * * 7", "2026-11-30 00:00:00", "2026-12-06 12:00:00"},
		{"0 12 13 * fri", "2026-11-13 12:00:00", "2026-11-20 12:00:00"},  // either
		{"0 12 */2 * fri", "2026-11-13 12:00:00", "2026-11-27 12:00:00"}, // a star with a step is a star: both
		{"0 0 1 jan,JUL *", "2026-02-01 00:00:00", "2026-07-01 00:00:00"},
		{"@hourly", "2026-11-30 16:00:00", "2026-11-30 17:00:00"},
		{"@daily", "2026-11-30 16:00:00", "2026-12-01 00:00:00"},
		{"@midnight", "2026-11-30 16:00:00", "2026-12-01 00:00:00"},
		{"@weekly", "2026-11-30 16:00:00", "2026-12-06 00:00:00"},
		{"@monthly", "2026-11-30 16:00:00", "2026-12-01 00:00:00"},
		{"@yearly", "2026-11-30 16:00:00", "2027-01-01 00:00:00"},
		{"@yearly, @weekly", "2026-11-30 16:00:00", "2026-12-06 00:00:00"},
	} {
		s, err := sysctl.ParseSchedule(c.schedule)
		if err != nil {
			t.Errorf("%s: %v", c.schedule, err)
			continue
		}
		if got := s.Next(at(t, c.after, time.UTC)); !got.Equal(at(t, c.want, time.UTC)) {
			t.Errorf("%s after %s: %s, want %s", c.schedule, c.after, got, c.want)
		}
	}
}

// What the change to summer time leaves out comes later; what comes twice is done once.
func TestScheduleAndSummerTime(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := sysctl.ParseSchedule("30 2 * * *")
	for _, c := range []struct{ after, want string }{
		{"2026-03-28 02:30:00", "2026-03-29 03:30:00"},
		{"2026-03-29 03:30:00", "2026-03-30 02:30:00"},
		{"2026-10-24 02:30:00", "2026-10-25 02:30:00"},
		{"2026-10-25 02:30:00", "2026-10-26 02:30:00"},
	} {
		if got := s.Next(at(t, c.after, zone)); got.Format("2006-01-02 15:04:05") != c.want {
			t.Errorf("after %s: %s, want %s", c.after, got, c.want)
		}
	}
}

func TestScheduleRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"* * * *": "write five fields", "@often": "no name of a schedule", "@daily, 5": "no name of a schedule",
		"60 * * * *": `"60" is no minute: write values from 0 to 59`, "* 24 * * *": "is no hour", "* * 0 * *": "is no day of the month",
		"* * * 13 *": "is no month", "* * * * 8": "is no day of the week", "5-1 * * * *": "is no minute", "*/0 * * * *": "is no minute",
		"+1 * * * *": "is no minute", "1,,2 * * * *": "is no minute", "* * 31 2 *": "is never", "mon * * * *": "is no minute",
	} {
		if _, err := sysctl.ParseSchedule(text); sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"", " ", "@never"} {
		if s, err := sysctl.ParseSchedule(text); err != nil || !s.Never() || !s.Next(time.Now()).IsZero() {
			t.Errorf("%q: %v %v", text, s, err)
		}
	}
}

func TestExpiry(t *testing.T) {
	for text, want := range map[string]string{
		"30M": "2026-01-31 12:30:00", "12H": "2026-02-01 00:00:00", "7d": "2026-02-07 12:00:00", "2w": "2026-02-14 12:00:00",
		"1m": "2026-03-03 12:00:00", "1y": "2027-01-31 12:00:00", " 1d  12H ": "2026-02-02 00:00:00",
	} {
		e, err := sysctl.ParseExpiry(text)
		if got := e.After(at(t, "2026-01-31 12:00:00", time.UTC)); err != nil || !got.Equal(at(t, want, time.UTC)) {
			t.Errorf("%q: %v %v, want %s", text, got, err, want)
		}
	}
	if e, err := sysctl.ParseExpiry(""); err != nil || !e.After(time.Now()).IsZero() {
		t.Errorf("for ever: %v %v", e, err)
	}
	for _, text := range []string{"5", "d", "0d", "-1d", "1d 2d", "1x", "1.5d", "1D", "2000y", "999999999999d"} {
		if _, err := sysctl.ParseExpiry(text); sysctl.KindOf(err) != sysctl.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSnapshotName(t *testing.T) {
	now := at(t, "2026-11-30 16:33:05", time.UTC)
	taken := []string{"snap0", "snap7", "snapx", "day", "day-3", "2026-11-30", "a9z"}
	for pattern, want := range map[string]string{
		"": "snap8", "snap%d": "snap8", "new%d": "new0", "a%dz": "a10z", "day": "day-4", "night": "night",
		"{{creation_date}}": "2026-11-30_16-33-05", "{{ creation_date|date:'2006-01-02' }}": "2026-11-30-0",
		`auto-{{creation_date|date:"15.04"}}`: "auto-16.33", "{{creation_date|date:'Mon'}}-%d": "Mon-0",
	} {
		if err := sysctl.CheckPattern(pattern); pattern != "" && err != nil {
			t.Errorf("%q: %v", pattern, err)
		}
		if got := sysctl.SnapshotName(pattern, taken, now); got != want {
			t.Errorf("%q makes %q, want %q", pattern, got, want)
		}
	}
	for _, pattern := range []string{"%d%d", "{{name}}", "{{creation_date", "a b", "a/b", "{{creation_date|date:'15:04'}}", strings.Repeat("x", 300)} {
		if err := sysctl.CheckPattern(pattern); sysctl.KindOf(err) != sysctl.Invalid {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

func TestScheduleAtStart(t *testing.T) {
	s, err := sysctl.ParseSchedule("@startup")
	if err != nil || !s.AtStart || !s.Never() {
		t.Errorf("%+v, %v", s, err)
	}
	s, err = sysctl.ParseSchedule("@daily, @startup")
	if err != nil || !s.AtStart || s.Never() {
		t.Errorf("%+v, %v", s, err)
	}
	if s, _ := sysctl.ParseSchedule("@daily"); s.AtStart {
		t.Errorf("%+v", s)
	}
}
