package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/project"
)

func TestLogPrinter(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	for _, tt := range []struct {
		name  string
		style logStyle
		want  string
	}{
		{"names are padded to the longest", logStyle{prefix: true}, "db-1       | ready\nbackend-1  | hello\n"},
		{"without names", logStyle{}, "ready\nhello\n"},
		{"with times", logStyle{prefix: true, timestamps: true},
			"db-1       | 2026-01-02T03:04:05.6Z ready\nbackend-1  | 2026-01-02T03:04:05.6Z hello\n"},
		{"a colour for each service", logStyle{prefix: true, color: true},
			"\x1b[33mdb-1       | \x1b[0mready\n\x1b[36mbackend-1  | \x1b[0mhello\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			f, err := os.Create(out)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			p := newLogPrinter(tt.style, f, f, func(write func()) { write() })
			p.announce("backend-1", "backend")
			p.announce("db-1", "db")
			p.line("db-1", "db", "stdout", at, "ready")
			p.line("backend-1", "backend", "stderr", at, "hello\r")
			got, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestShortName(t *testing.T) {
	record := project.Record{Project: "shop", Service: "web", Number: 2}
	for full, want := range map[string]string{"shop-web-2": "web-2", "shop_web_2": "web_2", "frontend": "frontend"} {
		if got := shortName(engine.Container{Name: full, Record: record}); got != want {
			t.Errorf("%s: got %s, want %s", full, got, want)
		}
	}
}

func TestRestarts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		policy project.Restart
		code   int
		count  int
		byHand bool
		want   bool
	}{
		{"no policy", project.Restart{Name: "no"}, 1, 0, false, false},
		{"always", project.Restart{Name: "always"}, 0, 0, false, true},
		{"always, but stopped by hand", project.Restart{Name: "always"}, 143, 0, true, false},
		{"on failure", project.Restart{Name: "on-failure"}, 1, 9, false, true},
		{"on failure, but it was none", project.Restart{Name: "on-failure"}, 0, 0, false, false},
		{"on failure, as often as allowed", project.Restart{Name: "on-failure", Max: 2}, 1, 2, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := engine.Container{Record: project.Record{Restart: tt.policy}, RestartCount: tt.count, Stopped: tt.byHand}
			if got := restarts(c, tt.code); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
