package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// format is the value of --format.
type format string

func formats() []string { return []string{"table", "json", "yaml", "csv"} }

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "FORMAT" }

// Set implements pflag.Value.
func (f *format) Set(s string) error {
	if !slices.Contains(formats(), s) {
		return fmt.Errorf("must be one of %s", strings.Join(formats(), ", "))
	}
	*f = format(s)
	return nil
}

// formatFlag gives a command --format.
func formatFlag(cmd *cobra.Command) *format {
	f := format("table")
	cmd.Flags().Var(&f, "format", "how to print: table, json, yaml or csv")
	mustComplete(cmd, "format", fixed(formats()...))
	return &f
}

// view is one result in every shape it can be printed in.
type view struct {
	columns []string   // headings of rows; nil: rows are pairs of a name and a value
	rows    [][]string // for table and csv
	table   *view      // the table, where it is less than rows
	more    *view      // printed below the table, and not in csv
	text    string     // printed below that, as it is
	value   any        // for json and yaml

	headless bool // csv: without the heading, as a line of a longer table
}

// print writes v to standard output. Its errors are outputErrors.
func (a *app) print(f format, v view) error {
	var b bytes.Buffer
	switch f {
	case "json":
		writeJSON(&b, v.value)
	case "yaml":
		writeYAML(&b, v.value)
	case "csv":
		writeCSV(&b, v)
	default:
		writeTable(&b, v)
	}
	return a.write(b.Bytes())
}

// printLines writes each string as a line of data.
func (a *app) printLines(lines ...string) error {
	var b bytes.Buffer
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	return a.write(b.Bytes())
}

// write writes data to standard output.
func (a *app) write(b []byte) error {
	_, err := dataWriter{a.stdout}.Write(b)
	return err
}

// writeJSON writes v indented. Views hold only values that can be encoded.
func writeJSON(b *bytes.Buffer, v any) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
}

func writeCSV(b *bytes.Buffer, v view) {
	w := csv.NewWriter(b)
	heading := []string{"field", "value"}
	if v.columns != nil {
		heading = nil
		for _, c := range v.columns {
			heading = append(heading, strings.ReplaceAll(strings.ToLower(c), " ", "_"))
		}
	}
	if !v.headless {
		_ = w.Write(heading) // a Buffer takes everything
	}
	for _, row := range v.rows {
		if v.columns == nil {
			row = slices.Concat([]string{strings.ReplaceAll(row[0], " ", "_")}, row[1:])
		}
		_ = w.Write(row)
	}
	w.Flush()
}

func writeTable(b *bytes.Buffer, v view) {
	if v.table != nil {
		v.columns, v.rows = v.table.columns, v.table.rows
	}
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	rows := v.rows
	if v.columns != nil {
		rows = slices.Concat([][]string{v.columns}, rows)
	}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = clean(cell)
			if cell == "" && v.columns != nil {
				cells[i] = "-"
			}
		}
		if v.columns == nil {
			cells[0] += ":"
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	_ = w.Flush()
	if v.more != nil && len(v.more.rows) > 0 {
		b.WriteByte('\n')
		writeTable(b, *v.more)
	}
	if v.text != "" {
		b.WriteString("\n" + v.text)
	}
}

// pairs makes rows of a view without columns from names and values; what is empty is left out.
func pairs(nameAndValue ...string) [][]string {
	var rows [][]string
	for chunk := range slices.Chunk(nameAndValue, 2) {
		if chunk[1] != "" {
			rows = append(rows, chunk)
		}
	}
	return rows
}

// orEmpty keeps an empty list from being printed as null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// bytesText writes a number of bytes for people; negative is unknown.
func bytesText(n int64) string {
	if n < 0 {
		return ""
	}
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04")
}

func durationText(d time.Duration) string {
	switch {
	case d < 0:
		return ""
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < 48*time.Hour:
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func prefixText(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// countText writes a number; negative is unknown.
func countText(n int64) string {
	if n < 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
