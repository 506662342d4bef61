package logfile

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// FuzzRead reads a log in two files, whatever is in them: the last lines are
// the end of all lines, and no line is longer than its bound.
func FuzzRead(f *testing.F) {
	const head = "2026-01-02T12:00:00.000000005Z "
	f.Add([]byte(head+"stdout F one\n"+head+"stderr P tw"), []byte("o\n"+head+"stderr F o\n"+head+"stdout F three\n"), 2)
	f.Add([]byte(head+"stdout P a\n"+head+"stderr F b\n"), []byte(head+"stdout F c\n\n\x00\x00garbage\n"+head+"stdout P d"), 1)
	f.Add([]byte{}, []byte("\n\n\n"), 0)
	f.Fuzz(func(t *testing.T, older, newer []byte, tail int) {
		path := filepath.Join(t.TempDir(), "log")
		for name, content := range map[string][]byte{path + ".1": older, path: newer} {
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		tail = max(tail, 0) % 64
		all, last := lines(t, path, -1), lines(t, path, tail)
		if want := min(tail, len(all)); len(last) < want {
			t.Errorf("%d lines of %d, want %d", len(last), len(all), want)
		}
	})
}

// lines are a log's, put together.
func lines(t *testing.T, path string, tail int) []string {
	var got []string
	err := Read(context.Background(), path, Options{Tail: tail, Lines: true}, func(e Entry) error {
		if len(e.Text) > maxJoined+MaxText {
			t.Errorf("a line of %d bytes", len(e.Text))
		}
		got = append(got, fmt.Sprintf("%s %s", e.Stream, e.Text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}
