package main

import (
	"fmt"
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

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[len(s)/2]
}

func span(d []time.Duration) string {
	ms := func(d time.Duration) int64 { return d.Milliseconds() }
	return fmt.Sprintf("%d ms (%d–%d)", ms(median(d)), ms(slices.Min(d)), ms(slices.Max(d)))
}
