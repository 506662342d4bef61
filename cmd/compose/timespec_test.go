package main

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct{ name, in, want string }{
		{"a duration is before now", "42m", "2026-03-01T11:18:00Z"},
		{"RFC 3339 with a zone", "2026-01-02T03:04:05.5+01:00", "2026-01-02T02:04:05.5Z"},
		{"without seconds", "2026-01-02T03:04Z", "2026-01-02T03:04:00Z"},
		{"Unix seconds", "1767322800", "2026-01-02T03:00:00Z"},
		{"Unix seconds with a fraction", "1767322800.25", "2026-01-02T03:00:00.25Z"},
		{"nothing is no bound", "", "0001-01-01T00:00:00Z"},
		{"words are refused", "yesterday", `"yesterday" is no time: use RFC 3339, a date, Unix seconds or a duration such as 42m`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseTime(tt.in, now)
			text := got.UTC().Format(time.RFC3339Nano)
			if err != nil {
				text = err.Error()
			}
			if text != tt.want {
				t.Errorf("got %s, want %s", text, tt.want)
			}
		})
	}
	if got, err := parseTime("2026-01-02", now); err != nil || !got.Equal(time.Date(2026, 1, 2, 0, 0, 0, 0, time.Local)) {
		t.Errorf("a date alone: got %v, %v", got, err)
	}
}

func TestParseTail(t *testing.T) {
	for in, want := range map[string]int{"all": -1, "": -1, "x": -1, "-3": -1, "0": 0, "7": 7} {
		if got := parseTail(in); got != want {
			t.Errorf("%q: got %d, want %d", in, got, want)
		}
	}
}
