package sysctl

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Schedule is when something is to be done again and again: cron expressions. The zero value is never.
type Schedule struct {
	Text    string
	AtStart bool // at each start of the instance, besides its times
	times   []cronTimes
}

// cronTimes is one expression: for each field the values that are right.
type cronTimes struct {
	minutes, hours, days, months, weekdays uint64 // bit n: n is right
	anyDay, anyWeekday                     bool   // the field was a star
}

// cronField is what one field of an expression may say.
type cronField struct {
	name      string
	low, high int
	words     []string // for low, low+1, …
}

func cronFields() []cronField {
	return []cronField{
		{name: "minute", low: 0, high: 59}, {name: "hour", low: 0, high: 23}, {name: "day of the month", low: 1, high: 31},
		{name: "month", low: 1, high: 12, words: strings.Fields("jan feb mar apr may jun jul aug sep oct nov dec")},
		{name: "day of the week", low: 0, high: 7, words: strings.Fields("sun mon tue wed thu fri sat")},
	}
}

// ScheduleAliases are the names that stand for expressions.
func ScheduleAliases() map[string]string {
	return map[string]string{"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
		"@monthly": "0 0 1 * *", "@annually": "0 0 1 1 *", "@yearly": "0 0 1 1 *"}
}

// ParseSchedule reads a cron expression of five fields (minute, hour, day of the month, month, day of the week) with lists,
// ranges, steps and English names, or aliases separated by commas (@hourly, @daily, …, @startup). "" and @never are never. The
// error is of kind Invalid.
func ParseSchedule(text string) (Schedule, error) {
	s := Schedule{Text: text}
	trimmed := strings.TrimSpace(text)
	if trimmed == "" || trimmed == "@never" {
		return s, nil
	}
	expressions := []string{trimmed}
	if strings.HasPrefix(trimmed, "@") {
		expressions = nil
		for alias := range strings.SplitSeq(trimmed, ",") {
			alias = strings.TrimSpace(alias)
			if alias == "@startup" {
				s.AtStart = true
				continue
			}
			expression, ok := ScheduleAliases()[alias]
			if !ok {
				return s, E(Invalid, "%q is no name of a schedule: write @hourly, @daily, @weekly, @monthly, @yearly, @startup or @never", alias)
			}
			expressions = append(expressions, expression)
		}
	}
	for _, expression := range expressions {
		c, err := parseCron(expression)
		if err != nil {
			return s, err
		}
		s.times = append(s.times, c)
	}
	if len(expressions) > 0 && s.Next(time.Unix(0, 0)).IsZero() {
		return s, E(Invalid, "%q is never: no such day comes", text)
	}
	return s, nil
}

func parseCron(text string) (cronTimes, error) {
	words := strings.Fields(text)
	if len(words) != 5 {
		return cronTimes{}, E(Invalid, `%q is no schedule: write five fields (minute, hour, day, month, day of the week), such as "30 2 * * *", or a name such as @daily`, text)
	}
	var sets [5]uint64
	for i, f := range cronFields() {
		for part := range strings.SplitSeq(words[i], ",") {
			set, err := f.parse(part)
			if err != nil {
				return cronTimes{}, err
			}
			sets[i] |= set
		}
	}
	c := cronTimes{minutes: sets[0], hours: sets[1], days: sets[2], months: sets[3], weekdays: sets[4]}
	c.weekdays |= c.weekdays >> 7 & 1 // 7 is Sunday too
	c.anyDay, c.anyWeekday = strings.HasPrefix(words[2], "*"), strings.HasPrefix(words[4], "*")
	return c, nil
}

// parse reads one part of a field: *, a value or a range, each with a step or without.
func (f cronField) parse(part string) (uint64, error) {
	wrong := func() (uint64, error) {
		return 0, E(Invalid, `%q is no %s: write values from %d to %d, ranges (%[3]d-%[4]d), lists of them, or "*", each with a step ("*/5") or without`, part, f.name, f.low, f.high)
	}
	span, stepText, stepped := strings.Cut(part, "/")
	step := 1
	if stepped {
		n, err := strconv.ParseUint(stepText, 10, 8)
		if err != nil || n == 0 {
			return wrong()
		}
		step = int(n)
	}
	from, to := f.low, f.high
	if span != "*" {
		first, last, ranged := strings.Cut(span, "-")
		var ok bool
		if from, ok = f.value(first); !ok {
			return wrong()
		}
		switch {
		case ranged:
			if to, ok = f.value(last); !ok || to < from {
				return wrong()
			}
		case !stepped:
			to = from
		}
	}
	var set uint64
	for n := from; n <= to; n += step {
		set |= 1 << n
	}
	return set, nil
}

func (f cronField) value(text string) (int, bool) {
	if i := slices.Index(f.words, strings.ToLower(text)); i >= 0 {
		return f.low + i, true
	}
	n, err := strconv.ParseUint(text, 10, 8) // takes no signs
	return int(n), err == nil && int(n) >= f.low && int(n) <= f.high
}

// Never reports whether it has no time at all.
func (s Schedule) Never() bool { return len(s.times) == 0 }

// Next returns the first time after t, in t's time zone, or zero where there is none. What the change to summer time leaves
// out comes as much later as the clock was moved.
func (s Schedule) Next(t time.Time) time.Time {
	var first time.Time
	for _, c := range s.times {
		if next := c.next(t); first.IsZero() || !next.IsZero() && next.Before(first) {
			first = next
		}
	}
	return first
}

// next looks at the days of eight years and a bit: two 29ths of February are never farther apart.
func (c cronTimes) next(t time.Time) time.Time {
	year, month, day := t.Date()
	for n := range 9 * 366 {
		noon := time.Date(year, month, day+n, 12, 0, 0, 0, t.Location())
		if !c.on(noon) {
			continue
		}
		for hour := range 24 {
			for minute := 0; c.hours>>hour&1 == 1 && minute < 60; minute++ {
				if c.minutes>>minute&1 == 0 {
					continue
				}
				if at := time.Date(year, month, day+n, hour, minute, 0, 0, t.Location()); at.After(t) {
					return at
				}
			}
		}
	}
	return time.Time{}
}

// on reports whether the day is right. Where both its fields say something, one of them is enough.
func (c cronTimes) on(day time.Time) bool {
	inMonth, inWeek := c.days>>day.Day()&1 == 1, c.weekdays>>int(day.Weekday())&1 == 1
	right := inMonth && inWeek
	if !c.anyDay && !c.anyWeekday {
		right = inMonth || inWeek
	}
	return right && c.months>>int(day.Month())&1 == 1
}
