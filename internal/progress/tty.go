package progress

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/docker/go-units"
	"github.com/mattn/go-runewidth"

	"github.com/compose-first/compose/internal/escape"
)

// redraw is how often the lines are drawn anew: often enough for a smooth
// spinner and seconds with one decimal.
const redraw = 100 * time.Millisecond

// Escape sequences.
// Source: ECMA-48, 8.3 (CUU, EL, ED, SGR); xterm control sequences, DECTCEM.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	eraseLine  = "\x1b[K"
	eraseDown  = "\x1b[J"
	lineUp     = "\x1b[%dA\r"

	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	blue   = "\x1b[34m"
	plain  = "\x1b[0m"
)

var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// resource is what a line shows.
type resource struct {
	id       string
	event    Event
	began    time.Time
	ended    time.Time // zero while it is being worked on
	children map[string]Event
}

// ttyDisplay draws a head line and a line for each resource, in the order they
// were first heard of, and draws them again in place.
type ttyDisplay struct {
	mu        sync.Mutex // guards all below
	out       io.Writer
	operation string
	size      func() (int, int)
	color     bool
	dryRun    bool
	order     []*resource
	byID      map[string]*resource
	drawn     int // lines on the screen that are ours
	frame     int
	settled   bool
	closed    bool

	now  func() time.Time
	stop chan struct{}
	done chan struct{}
}

func newTTY(o Options) *ttyDisplay {
	d := &ttyDisplay{
		out: o.Out, operation: o.Operation, size: o.Size, color: o.Color, dryRun: o.DryRun,
		byID: map[string]*resource{}, now: time.Now,
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	go d.tick()
	return d
}

func (d *ttyDisplay) tick() {
	defer close(d.done)
	t := time.NewTicker(redraw)
	defer t.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-t.C:
			d.mu.Lock()
			d.frame++
			d.draw()
			d.mu.Unlock()
		}
	}
}

func (d *ttyDisplay) Emit(e Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
	case d.settled:
		if e.Status == Error || e.Status == Warning {
			fmt.Fprintln(d.out, plainLine(e))
		}
	case e.ParentID != "" && d.byID[e.ParentID] != nil:
		d.byID[e.ParentID].children[e.ID] = e
	default:
		d.update(e)
	}
}

func (d *ttyDisplay) update(e Event) {
	r := d.byID[e.ID]
	if r == nil {
		r = &resource{id: e.ID, began: d.now(), children: map[string]Event{}}
		d.byID[e.ID] = r
		d.order = append(d.order, r)
	}
	if !r.ended.IsZero() && e.Status == Working { // stopped, now being removed
		r.ended = time.Time{}
	}
	if e.Status != Working {
		r.ended = d.now()
	}
	r.event = e
}

func (d *ttyDisplay) Write(write func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.erase()
	write()
	if !d.closed && !d.settled {
		d.draw()
	}
}

func (d *ttyDisplay) Settle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed && !d.settled {
		d.finish()
	}
	d.settled = true
}

func (d *ttyDisplay) Close() {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	if !d.settled {
		d.finish()
	}
	d.closed = true
	d.mu.Unlock()
	close(d.stop)
	<-d.done
}

// finish draws once more, every resource however many rows there are, and
// leaves it on the screen.
func (d *ttyDisplay) finish() {
	size := d.size
	d.size = func() (int, int) { width, _ := size(); return width, math.MaxInt }
	d.draw()
	if d.drawn > 0 {
		io.WriteString(d.out, showCursor)
	}
	d.drawn = 0
}

// erase takes the lines off the screen.
func (d *ttyDisplay) erase() {
	if d.drawn == 0 {
		return
	}
	fmt.Fprintf(d.out, lineUp+eraseDown+showCursor, d.drawn)
	d.drawn = 0
}

// draw puts the lines on the screen over the last ones, in one write.
func (d *ttyDisplay) draw() {
	if d.closed || d.settled || len(d.order) == 0 {
		return
	}
	width, rows := d.size()
	lines := d.lines(width, rows)
	var b bytes.Buffer
	if d.drawn > 0 {
		fmt.Fprintf(&b, lineUp, d.drawn)
	}
	b.WriteString(hideCursor)
	for _, line := range lines {
		b.WriteString(line + eraseLine + "\n")
	}
	b.WriteString(eraseDown)
	d.drawn = len(lines)
	_, _ = d.out.Write(b.Bytes())
}

// lines are the head and as many resources as fit above the last row: those
// still worked on first, then the latest done, in their order.
func (d *ttyDisplay) lines(width, rows int) []string {
	done := 0
	for _, r := range d.order {
		if !r.ended.IsZero() {
			done++
		}
	}
	head := fmt.Sprintf("[+] %s %d/%d", d.operation, done, len(d.order))
	if d.dryRun {
		head = strings.TrimLeft(DryRunMark, " ") + head
	}
	shown, hidden := d.pick(rows - 2)
	lines := []string{cut(head, width)}
	idWidth := 0
	for _, r := range shown {
		idWidth = max(idWidth, runewidth.StringWidth(escape.Line(r.id)))
	}
	for _, r := range shown {
		lines = append(lines, d.line(r, idWidth, width))
	}
	if hidden > 0 {
		lines = append(lines, cut(fmt.Sprintf(" ... %d more", hidden), width))
	}
	return lines
}

// pick chooses at most room resources, keeping a line for the count of those
// left out.
func (d *ttyDisplay) pick(room int) (shown []*resource, hidden int) {
	room = max(room, 1)
	if len(d.order) <= room {
		return d.order, 0
	}
	room = max(room-1, 1)
	keep := map[*resource]bool{}
	for _, working := range []bool{true, false} {
		for i := len(d.order) - 1; i >= 0 && len(keep) < room; i-- {
			if r := d.order[i]; r.ended.IsZero() == working {
				keep[r] = true
			}
		}
	}
	for _, r := range d.order {
		if keep[r] {
			shown = append(shown, r)
		}
	}
	return shown, len(d.order) - len(shown)
}

// line is " ✔ ID  TEXT      0.1s", the seconds at the right edge.
func (d *ttyDisplay) line(r *resource, idWidth, width int) string {
	mark, color := d.mark(r)
	end := r.ended
	if end.IsZero() {
		end = d.now()
	}
	seconds := fmt.Sprintf("%.1fs", end.Sub(r.began).Seconds())
	body := fmt.Sprintf(" %s %s  %s", mark, runewidth.FillRight(escape.Line(r.id), idWidth), r.text())
	room := width - runewidth.StringWidth(seconds) - 2
	body = runewidth.FillRight(cut(body, room), max(room, 0))
	if d.color {
		body = strings.Replace(body, mark, color+mark+plain, 1)
		return body + " " + blue + seconds + plain
	}
	return body + " " + seconds
}

func (d *ttyDisplay) mark(r *resource) (mark, color string) {
	switch r.event.Status {
	case Done:
		return "✔", green
	case Warning:
		return "!", yellow
	case Error:
		return "✘", red
	}
	return spinner[d.frame%len(spinner)], blue
}

// text is the resource's state; while its parts are loaded, with their bytes.
func (r *resource) text() string {
	s := escape.Line(r.event.Text)
	if r.event.Details != "" {
		s += " " + escape.Line(r.event.Details)
	}
	if !r.ended.IsZero() {
		return s
	}
	current, total := r.event.Current, r.event.Total
	for _, c := range r.children {
		current, total = current+c.Current, total+c.Total
	}
	if total > 0 {
		s += fmt.Sprintf(" %s %s / %s", bar(current, total), units.HumanSize(float64(current)), units.HumanSize(float64(total)))
	}
	return s
}

// bar is ten cells, each full, or empty.
func bar(current, total int64) string {
	const cells = 10
	full := percent(current, total) * cells / 100
	return "[" + strings.Repeat("■", full) + strings.Repeat("·", cells-full) + "]"
}

// cut shortens s to width columns.
func cut(s string, width int) string {
	if width <= 0 {
		return ""
	}
	return runewidth.Truncate(s, width, "…")
}
