package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// table is the figures as they are printed.
type table struct {
	Rounds int
	rows   []row
}

// row is one figure: Value as measured, Floor "" where there is none, Goal
// what the project holds itself to.
type row struct{ Name, Value, Floor, Ratio, Goal string }

// timed adds a figure in time beside its floor; the ratio is of the medians.
func (t *table) timed(name string, values, floor []time.Duration, goal string) {
	r := row{Name: name, Value: span(values), Goal: goal}
	if len(floor) > 0 {
		r.Floor = span(floor)
		r.Ratio = fmt.Sprintf("%.2f", median(values).Seconds()/median(floor).Seconds())
	}
	t.rows = append(t.rows, r)
}

// sized adds a figure in memory, KiB by program, beside its floor.
func (t *table) sized(name string, kib, floor map[string]int, goal string) {
	t.rows = append(t.rows, row{
		Name: name, Value: parts(kib), Floor: parts(floor), Goal: goal,
		Ratio: fmt.Sprintf("%.2f", float64(total(kib))/float64(total(floor))),
	})
}

func (t *table) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "FIGURE (median of %d, min–max)\tMEASURED\tFLOOR\tRATIO\tGOAL\n", t.Rounds)
	for _, r := range t.rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Name, r.Value, r.Floor, r.Ratio, r.Goal)
	}
	_ = w.Flush()
	return b.String()
}

func total(kib map[string]int) int {
	sum := 0
	for _, n := range kib {
		sum += n
	}
	return sum
}

// parts is a sum and what it is made of: "80.1 MiB PSS (containerd 40.0, …)".
func parts(kib map[string]int) string {
	var each []string
	for _, name := range slices.Sorted(maps.Keys(kib)) {
		each = append(each, fmt.Sprintf("%s %.1f", name, float64(kib[name])/1024))
	}
	return fmt.Sprintf("%.1f MiB PSS (%s)", float64(total(kib))/1024, strings.Join(each, ", "))
}

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[len(s)/2]
}

func span(d []time.Duration) string {
	ms := func(d time.Duration) int64 { return d.Milliseconds() }
	return fmt.Sprintf("%d ms (%d–%d)", ms(median(d)), ms(slices.Min(d)), ms(slices.Max(d)))
}
