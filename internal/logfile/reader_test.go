package logfile

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// logLines writes lines as "o text" (stdout), "e text" (stderr), with "+" after
// the letter for partial ones, a second apart, and "!…" as they are.
func logLines(t *testing.T, path string, lines ...string) {
	t.Helper()
	var b []byte
	for i, l := range lines {
		if raw, ok := strings.CutPrefix(l, "!"); ok {
			b = append(append(b, raw...), '\n')
			continue
		}
		head, text, _ := strings.Cut(l, " ")
		e := Entry{Time: noon.Add(time.Duration(i) * time.Second), Stream: Stdout, Partial: strings.HasSuffix(head, "+"), Text: []byte(text)}
		if head[0] == 'e' {
			e.Stream = Stderr
		}
		b = Append(b, e)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// show is an entry in the form that logLines takes.
func show(e Entry) string {
	s := "o"
	if e.Stream == Stderr {
		s = "e"
	}
	if e.Partial {
		s += "+"
	}
	return s + " " + string(e.Text)
}

func read(t *testing.T, path string, o Options) []string {
	t.Helper()
	var got []string
	if err := Read(context.Background(), path, o, func(e Entry) error {
		got = append(got, show(e))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRead(t *testing.T) {
	all := Options{Tail: -1}
	tail := func(n int) Options { return Options{Tail: n} }
	for _, tt := range []struct {
		name  string
		lines string // by "|"
		o     Options
		want  string
	}{
		{"all", "o a|e b|o c", all, "o a|e b|o c"},
		{"the last line", "o a|e b|o c", tail(1), "o c"},
		{"the last two, of both streams", "o a|e b|o c", tail(2), "e b|o c"},
		{"none", "o a", tail(0), ""},
		{"more than there are", "o a|o b", tail(9), "o a|o b"},
		{"the pieces of a line count once", "o a|o+ b|o+ c|o d", tail(1), "o+ b|o+ c|o d"},
		{"another stream's line between the pieces", "o a|o+ b|e x|o c", tail(1), "o+ b|o c"},
		{"and counted itself", "o a|o+ b|e x|o c", tail(2), "o+ b|e x|o c"},
		{"an unfinished line is a line", "o a|o b|o+ c", tail(1), "o+ c"},
		{"garbled lines are passed over", "o a|!trash|!|o b", all, "o a|o b"},
		{"and not counted", "o a|!trash|o b|!2026", tail(2), "o a|o b"},
		{"a line too long to be ours", "o a|!" + strings.Repeat("x", 200<<10) + "|o b", tail(2), "o a|o b"},
		{"since", "o a|o b|o c", Options{Tail: -1, Since: noon.Add(time.Second)}, "o b|o c"},
		{"until", "o a|o b|o c", Options{Tail: -1, Until: noon.Add(time.Second)}, "o a|o b"},
		{"the last before", "o a|o b|o c", Options{Tail: 1, Until: noon.Add(time.Second)}, "o b"},
		{"no more than since", "o a|o b|o c", Options{Tail: 9, Since: noon.Add(time.Second)}, "o b|o c"},
		{"pieces joined", "o+ a|e x|o b|o+ c", Options{Tail: -1, Lines: true}, "e x|o ab|o+ c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			logLines(t, path, strings.Split(tt.lines, "|")...)
			if got := strings.Join(read(t, path, tt.o), "|"); got != tt.want {
				t.Errorf("got %.200s, want %s", got, tt.want)
			}
		})
	}
}

func TestReadRotated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	logLines(t, path+".2", "o a", "o b")
	logLines(t, path+".1", "o c", "o+ d")
	logLines(t, path, "o e", "o f")
	for _, tt := range []struct {
		tail int
		want string
	}{{-1, "o a|o b|o c|o+ d|o e|o f"}, {1, "o f"}, {2, "o+ d|o e|o f"}, {3, "o c|o+ d|o e|o f"}, {4, "o b|o c|o+ d|o e|o f"}} {
		if got := strings.Join(read(t, path, Options{Tail: tt.tail}), "|"); got != tt.want {
			t.Errorf("tail %d: got %s, want %s", tt.tail, got, tt.want)
		}
	}
}

func TestReadNothing(t *testing.T) {
	if got := read(t, filepath.Join(t.TempDir(), "none"), Options{Tail: -1}); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

// TestTailOfALongLog holds that the last lines cost no reading of the rest.
func TestTailOfALongLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var b []byte
	const count = 300000
	for i := range count {
		b = Append(b, Entry{Time: noon, Stream: Stdout, Text: fmt.Appendf(nil, "line %d", i)})
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	got := read(t, path, Options{Tail: 3})
	took := time.Since(began)
	if want := fmt.Sprintf("[o line %d o line %d o line %d]", count-3, count-2, count-1); fmt.Sprint(got) != want {
		t.Errorf("got %v", got)
	}
	t.Logf("took %v for %d MB", took, len(b)>>20)
}

// TestFollow follows a log that is rotated all the time, through its whole life.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	const count = 20000
	var done atomic.Bool
	var slow atomic.Int64 // what the reader has; the writer does not outrun it by more than its files hold
	go func() {
		w, err := OpenWriter(path, 20<<10, 5)
		if err != nil {
			t.Error(err)
			return
		}
		defer w.Close()
		defer done.Store(true)
		for i := range count {
			for int64(i)-slow.Load() > 800 {
				time.Sleep(100 * time.Microsecond)
			}
			line := Append(nil, Entry{Time: noon, Stream: Stdout, Text: fmt.Append(nil, i)})
			if w.Room() < int64(len(line)) {
				if err := w.Rotate(); err != nil {
					t.Error(err)
					return
				}
			}
			if err := w.Write(line); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	next := 0
	err := Read(t.Context(), path, Options{Tail: -1, Follow: true, Done: done.Load}, func(e Entry) error {
		if string(e.Text) != fmt.Sprint(next) {
			return fmt.Errorf("got %s, want %d", e.Text, next)
		}
		next++
		slow.Store(int64(next))
		return nil
	})
	if err != nil || next != count {
		t.Errorf("got %d, %v", next, err)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	logLines(t, path, "o a")
	ctx, cancel := context.WithCancel(context.Background())
	err := Read(ctx, path, Options{Tail: -1, Follow: true}, func(Entry) error {
		cancel()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestFollowGivesAPromptWithoutNewline(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	logLines(t, path, "o+ password: ")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got := ""
	_ = Read(ctx, path, Options{Tail: -1, Follow: true, Lines: true}, func(e Entry) error {
		got = show(e)
		cancel()
		return nil
	})
	if got != "o+ password: " {
		t.Errorf("got %q", got)
	}
}

func TestFollowSurvivesRewriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	logLines(t, path, "o a", "o b")
	var done atomic.Bool
	var got []string
	err := Read(t.Context(), path, Options{Tail: -1, Follow: true, Done: done.Load}, func(e Entry) error {
		got = append(got, show(e))
		if len(got) == 2 { // as a logger does that takes over from one that was killed
			logLines(t, path, "o a", "o b", "o c")
			done.Store(true)
		}
		return nil
	})
	if err != nil || fmt.Sprint(got) != "[o a o b o c]" {
		t.Errorf("got %v, %v", got, err)
	}
}
