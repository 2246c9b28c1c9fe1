package compat

// Row is a row of the table as people read it (doc/compat.md).
type Row struct {
	ID       string
	Who      string // the guests it is for
	Does     string // what is done; "" of what no measure changes
	Without  string // what happens else
	Evidence string // where the fact is from
	Test     string // which shows it, as Answer.Test
	Cannot   bool   // a measure that some hosts or guests do not allow
}

// Rows are the measures, the reasons not to boot that no measure changes, and what a guest has to live with, in the order in
// which they are told.
func Rows() (measures, reasons, conditions []Row) {
	for _, m := range table() {
		measures = append(measures, Row{ID: m.ID, Who: m.who, Does: m.does, Without: m.without, Evidence: m.evidence, Test: m.test, Cannot: m.cannot != nil})
	}
	for _, r := range refusals() {
		reasons = append(reasons, Row{ID: r.id, Who: r.who, Evidence: r.evidence, Test: r.test})
	}
	for _, n := range notes() {
		conditions = append(conditions, Row{ID: n.id, Who: n.who, Evidence: n.evidence, Test: n.test})
	}
	return measures, reasons, conditions
}
