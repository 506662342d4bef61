package logfile

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 5, time.UTC)

func TestAppendAndParse(t *testing.T) {
	for _, tt := range []struct {
		name string
		e    Entry
		want string
	}{
		{"a line", Entry{noon, Stdout, false, []byte("hello")}, "2026-01-02T12:00:00.000000005Z stdout F hello\n"},
		{"no newline yet", Entry{noon, Stderr, true, []byte("a b")}, "2026-01-02T12:00:00.000000005Z stderr P a b\n"},
		{"an empty line", Entry{noon, Stdout, false, []byte{}}, "2026-01-02T12:00:00.000000005Z stdout F \n"},
		{"any bytes", Entry{noon, Stdout, false, []byte("\x00\xff\r")}, "2026-01-02T12:00:00.000000005Z stdout F \x00\xff\r\n"},
		{"another zone is written in UTC", Entry{noon.In(time.FixedZone("", 3600)), Stdout, false, []byte("x")}, "2026-01-02T12:00:00.000000005Z stdout F x\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			line := Append(nil, tt.e)
			if string(line) != tt.want {
				t.Fatalf("got %q, want %q", line, tt.want)
			}
			got, err := Parse(line)
			if err != nil || !got.Time.Equal(tt.e.Time) || got.Stream != tt.e.Stream || got.Partial != tt.e.Partial || !bytes.Equal(got.Text, tt.e.Text) {
				t.Errorf("parsed %+v, %v", got, err)
			}
		})
	}
}

func TestParseForeignTimes(t *testing.T) {
	for _, tt := range []struct{ name, line string }{
		{"trailing zeros left out", "2026-01-02T12:00:00.5Z stdout F x"},
		{"another zone", "2026-01-02T13:00:00.500000000+01:00 stdout F x"},
		{"zero bytes of a power cut before it", "\x00\x00\x002026-01-02T12:00:00.5Z stdout F x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := Parse([]byte(tt.line))
			if err != nil || !e.Time.Equal(noon.Truncate(time.Second).Add(500*time.Millisecond)) || string(e.Text) != "x" {
				t.Errorf("got %+v, %v", e, err)
			}
		})
	}
}

func TestParseGarbled(t *testing.T) {
	for _, line := range []string{
		"", "\n", "x", "\x00\x00", "2026-01-02T12:00:00.000000005Z", "2026-01-02T12:00:00.000000005Z ",
		"2026-01-02T12:00:00.000000005Z stdout", "2026-01-02T12:00:00.000000005Z stdout F",
		"2026-01-02T12:00:00.000000005Z stdin F x", "2026-01-02T12:00:00.000000005Z stdout X x",
		"2026-13-02T12:00:00.000000005Z stdout F x", "2026-01-02T12:0a:00.000000005Z stdout F x",
	} {
		if e, err := Parse([]byte(line)); !errors.Is(err, ErrGarbled) {
			t.Errorf("%q: %+v, %v", line, e, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("2026-01-02T12:00:00.000000005Z stdout F hello\n"))
	f.Add([]byte("2026-01-02T12:00:00Z stderr P \n"))
	f.Add([]byte("\x00\x00garbage"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i+1]
		}
		e, err := Parse(line)
		if err != nil || e.Time.Year() < 0 || e.Time.Year() > 9999 {
			return
		}
		again, err := Parse(Append(nil, e))
		if err != nil || !again.Time.Equal(e.Time) || again.Stream != e.Stream || again.Partial != e.Partial || !bytes.Equal(again.Text, e.Text) {
			t.Errorf("%q: %+v became %+v, %v", line, e, again, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	e := Entry{Time: time.Now(), Stream: Stdout, Text: bytes.Repeat([]byte("x"), 80)}
	var buf []byte
	for b.Loop() {
		buf = Append(buf[:0], e)
	}
}

func BenchmarkParse(b *testing.B) {
	line := Append(nil, Entry{Time: time.Now(), Stream: Stdout, Text: bytes.Repeat([]byte("x"), 80)})
	for b.Loop() {
		if _, err := Parse(line); err != nil {
			b.Fatal(err)
		}
	}
}
