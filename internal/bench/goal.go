package main

import "fmt"

// goal is what we aim at for one measure: at most (of a rate: at least) factor × the reference + plus. It is
// printed, never asserted: the machine may be busy.
type goal struct {
	op     op
	text   string
	ref    op     // "": an absolute goal of plus
	peer   string // whose ref
	factor float64
	plus   float64
}

const (
	oursName = "sysctl"
	lxcName  = "lxc"
	realName = "system"
)

var goals = [...]goal{
	{op: opLaunch, text: "≤ 0.85 × lxc", ref: opLaunch, peer: lxcName, factor: 0.85},
	{op: opReady, text: "≤ 0.75 × lxc", ref: opReady, peer: lxcName, factor: 0.75},
	{op: opStart, text: "≤ 0.9 × lxc", ref: opStart, peer: lxcName, factor: 0.9},
	{op: opStop, text: "≤ 0.25 × lxc", ref: opStop, peer: lxcName, factor: 0.25},
	{op: opAfter, text: "≤ 0.25 × lxc", ref: opAfter, peer: lxcName, factor: 0.25},
	{op: opKill, text: "≤ 0.25 × lxc", ref: opKill, peer: lxcName, factor: 0.25},
	{op: opDelete, text: "≤ removing the upper + 30 ms", ref: opRemove, peer: lxcName, factor: 1, plus: 30},
	{op: opBurst, text: "≤ 0.8 × lxc", ref: opBurst, peer: lxcName, factor: 0.8},
	{op: opExec, text: "≤ 1.5 × lxc", ref: opExec, peer: lxcName, factor: 1.5},
	{op: opMemory, text: "≤ 2000 KiB", plus: 2000},
	{op: opDisk, text: "≤ 400 KiB", plus: 400},
	{op: opSnapshot, text: "≤ 40 ms", plus: 40},
	{op: opSnapshotDisk, text: "≤ 64 KiB of empty directories", plus: 64},
	{op: opRestore, text: "≤ 40 ms", plus: 40},
	{op: opCopy, text: "≤ 40 ms", plus: 40},
	{op: opPushSmall, text: "≤ 100 ms", plus: 100},
	{op: opPushSmall, text: "≥ 0.8 × as fast as tar", ref: opTarSmall, peer: realName, factor: 1 / 0.8},
	{op: opPullSmall, text: "≥ 0.8 × as fast as cp", ref: opCopySmall, peer: realName, factor: 1 / 0.8},
	{op: opPushGiB, text: "≥ 0.8 × cp", ref: opCopyGiB, peer: realName, factor: 0.8},
	{op: opPullGiB, text: "≥ 0.8 × cp", ref: opCopyGiB, peer: realName, factor: 0.8},
	{op: opPush, text: "≥ 1500 MB/s", plus: 1500},
	{op: opPull, text: "≥ 1500 MB/s", plus: 1500},
	{op: opStream, text: "≥ 800 MB/s", plus: 800},
	{op: opList, text: "≤ 60 ms", plus: 60},
	{op: opInfo, text: "≤ 40 ms", plus: 40},
	{op: opVersion, text: "≤ 15 ms", plus: 15},
	{op: opHandOn, text: "≤ the system's own + 5 ms", ref: opReal, peer: realName, factor: 1, plus: 5},
}

// goalFor returns the goals' text and how we stand: "met", "missed" with what it would take, or "" where something was not
// measured.
func goalFor(o op, r *results) (text, mark string) {
	for _, g := range goals {
		if g.op != o {
			continue
		}
		m := g.mark(r)
		switch {
		case text == "":
			text, mark = g.text, m
		case mark == "met" || mark == "" && m != "met":
			text, mark = text+", "+g.text, m
		default:
			text += ", " + g.text
		}
	}
	return text, mark
}

func (g goal) mark(r *results) string {
	have, ok := r.median(g.op, oursName)
	if !ok {
		return ""
	}
	limit := g.plus
	if g.ref != "" {
		ref, ok := r.median(g.ref, g.peer)
		if !ok {
			return ""
		}
		limit += g.factor * ref
	}
	if have <= limit && g.op.unit() != "MB/s" || have >= limit && g.op.unit() == "MB/s" {
		return "met"
	}
	return fmt.Sprintf("missed: limit %.4g", limit)
}
