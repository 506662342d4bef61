package table

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/docker/go-units"

	"github.com/compose-first/compose/internal/escape"
)

// WriteText prints rows under headers, padded to columns.
func WriteText(w io.Writer, headers []string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 10, 1, 3, ' ', 0)
	for _, row := range append([][]string{headers}, rows...) {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(tw, "\t")
			}
			fmt.Fprint(tw, escape.Line(cell))
		}
		fmt.Fprintln(tw)
	}
	return tw.Flush()
}

// Ellipsis shortens s to width characters, the last one "…".
func Ellipsis(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:max(width-1, 0)]) + "…"
}

// Ago is how long before now t was: "3 seconds ago".
func Ago(t, now time.Time) string { return units.HumanDuration(now.Sub(t)) + " ago" }

// Age is the time from t to now: "3 seconds".
func Age(t, now time.Time) string { return units.HumanDuration(now.Sub(t)) }
