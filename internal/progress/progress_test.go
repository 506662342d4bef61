package progress

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// events are those of a small up.
var events = []Event{
	{ID: "Network shop_default", Status: Working, Text: "Creating"},
	{ID: "Network shop_default", Status: Done, Text: "Created"},
	{ID: "Image redis", Status: Working, Text: "Pulling"},
	{ID: "4f4fb700ef54", ParentID: "Image redis", Status: Working, Text: "Downloading", Current: 1 << 20, Total: 4 << 20},
	{ID: "4f4fb700ef54", ParentID: "Image redis", Status: Working, Text: "Downloading", Current: 2 << 20, Total: 4 << 20},
	{ID: "Container shop-web-1", Status: Error, Text: "Error", Details: "no \x1b[31msuch image"},
}

func TestPlain(t *testing.T) {
	var b bytes.Buffer
	d := New(Options{Mode: Plain, Out: &b})
	emit(d)
	const want = " Network shop_default Creating\n Network shop_default Created\n Image redis Pulling\n" +
		" 4f4fb700ef54 Downloading\n Container shop-web-1 Error no \\x1b[31msuch image\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestPlainDryRun(t *testing.T) {
	var b bytes.Buffer
	d := New(Options{Mode: Plain, Out: &b, DryRun: true})
	d.Emit(Event{ID: "Container shop-web-1", Status: Done, Text: "Created"})
	if got, want := b.String(), " DRY-RUN MODE -  Container shop-web-1 Created\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	d := New(Options{Mode: JSON, Out: &b, DryRun: true})
	d.Emit(events[3])
	d.Emit(Event{ID: "Container a", Status: Done, Text: "Started"})
	const want = `{"dry-run":true,"id":"4f4fb700ef54","parent_id":"Image redis","status":"Working","text":"Downloading","current":1048576,"total":4194304,"percent":25}` + "\n" +
		`{"dry-run":true,"id":"Container a","status":"Done","text":"Started"}` + "\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestQuiet(t *testing.T) {
	var b bytes.Buffer
	d := New(Options{Mode: Quiet, Out: &b})
	emit(d)
	d.Write(func() { b.WriteString("a warning\n") })
	if got, want := b.String(), "a warning\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTTY(t *testing.T) {
	var b bytes.Buffer
	d := ttyOf(&b, 60, 24)
	emit(d)
	got := screen(d.lines(60, 24))
	const want = `[+] up 2/3
 ✔ Network shop_default  Created                       0.0s
 ⠋ Image redis           Pulling [■■■■■·····] 2.097MB… 0.0s
 ✘ Container shop-web-1  Error no \x1b[31msuch image  0.0s`
	if normal(got) != normal(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A list longer than the terminal keeps what is under way and says how much
// is left out.
func TestTTYHeight(t *testing.T) {
	var b bytes.Buffer
	d := ttyOf(&b, 40, 6)
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		status := Done
		if id == "b" {
			status = Working
		}
		d.Emit(Event{ID: id, Status: status, Text: "text"})
	}
	got := screen(d.lines(40, 6))
	for _, want := range []string{"[+] up 5/6", " b ", " e ", " f ", "... 3 more"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n") + 1; n > 5 {
		t.Errorf("%d lines for a terminal of 6 rows", n)
	}
}

// However a display ends, the cursor is on again and no line of it is left
// half drawn.
func TestTTYRestoresCursor(t *testing.T) {
	for name, end := range map[string]func(Display){
		"closed":  func(d Display) { d.Close() },
		"settled": func(d Display) { d.Settle() },
		"written": func(d Display) { d.Settle(); d.Write(func() {}); d.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			d := ttyOf(&b, 60, 24)
			emit(d)
			end(d)
			got := b.String()
			if strings.LastIndex(got, showCursor) < strings.LastIndex(got, hideCursor) {
				t.Errorf("the cursor stays hidden: %q", got)
			}
			d.Close()
			before := b.Len()
			d.Emit(Event{ID: "late", Text: "late", Status: Done})
			if b.Len() != before {
				t.Error("an event after the end is shown")
			}
		})
	}
}

func TestParseMode(t *testing.T) {
	for in, want := range map[string]string{"": "auto", "none": "quiet", "tty": "tty", "x": `unsupported --progress value "x"`} {
		m, err := ParseMode(in)
		got := string(m)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func emit(d Display) {
	for _, e := range events {
		d.Emit(e)
	}
}

// ttyOf is a display whose clock stands still and that draws only when asked.
func ttyOf(b *bytes.Buffer, width, rows int) *ttyDisplay {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	d := &ttyDisplay{
		out: b, operation: "up", size: func() (int, int) { return width, rows },
		byID: map[string]*resource{}, now: func() time.Time { return at },
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	close(d.done)
	return d
}

func screen(lines []string) string { return strings.Join(lines, "\n") }

// normal lets the test show columns as a reader sees them.
func normal(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		out = append(out, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(out, "\n")
}
