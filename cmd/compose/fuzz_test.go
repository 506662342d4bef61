package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/escape"
	"github.com/compose-first/compose/internal/table"
	"github.com/compose-first/compose/project"
)

// FuzzRow lists a container, whatever its labels and its record say, in any
// format: a line of its own that steers no terminal, and JSON that is JSON.
func FuzzRow(f *testing.F) {
	f.Add(`{"com.docker.compose.service":"web","x":"\u001b[2J\n"}`, `{"image":"x\ny","command":"sh","ports":[{"target":80,"published":8080,"published_end":8090,"protocol":"tcp"}],"expose":["81/tcp","x"]}`, "{{.Labels}}\t{{.Ports}}")
	f.Add(`{}`, `{"mounts":[{"type":"volume","source":"/\u202e","target":"/x"}],"health":{}}`, `{{range $k := split .Ports ","}}{{$k}}{{end}}{{json .}}`)
	f.Add(`{}`, `{"expose":["/","-/","80"]}`, `table {{truncate .Name -1}}{{pad .ID 1 2}}{{title .State}}{{println .Names}}`)
	f.Fuzz(func(t *testing.T, labels, record, format string) {
		c := engine.Container{ID: "0123456789abcdef", State: engine.StateRunning}
		if json.Unmarshal([]byte(labels), &c.Labels) != nil || json.Unmarshal([]byte(record), &c.Record) != nil {
			return
		}
		if strings.Contains(format, "%") || strings.Contains(format, "pad") {
			return // widths of any size
		}
		c.Name, c.Health = c.Labels[project.LabelName], c.Labels[project.LabelHealth]
		rows := []psRow{newRow(c, time.Unix(0, 0), len(format)%2 == 0)}
		var b bytes.Buffer
		if err := table.Write(&b, "", psTable, rows); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(b.String(), "\n"); n != 2 {
			t.Errorf("%d lines for one container: %q", n, b.String())
		}
		if strings.ContainsFunc(b.String(), func(r rune) bool { return r != '\n' && !escape.Shows(r) }) {
			t.Errorf("%q", b.String())
		}
		b.Reset()
		if err := table.Write(escape.Writer(&b), "json", psTable, rows); err != nil {
			t.Fatal(err)
		}
		if !json.Valid(b.Bytes()) {
			t.Errorf("%q is no JSON", b.String())
		}
		_ = table.Write(&b, format, psTable, rows)
	})
}

// FuzzWords reads what flags take: filters, numbers of containers, times.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"name=^web", "status=running", "web=3", "web=-1", "=", "42m", "2026-01-02T12:00", "1767355200.5", "1.9e999", "0.9e9", "0.", "-1.5", "100", "all", "a,,b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if match, err := nameFilter([]string{s}); err == nil {
			match(s)
		}
		_ = (&psOptions{filters: []string{s}}).readFilters()
		if scale, err := parseScale([]string{s}, func(string) error { return errors.New("bad") }); err == nil {
			for name, n := range scale {
				if n < 0 || name == "" {
					t.Errorf("%q: %v", s, scale)
				}
			}
		}
		now := time.Unix(1_767_355_200, 0)
		if at, err := parseTime(s, now); err == nil && strings.Contains(s, ".") && !strings.ContainsAny(s, "-:hmsuµn") {
			seconds := s[:strings.IndexByte(s, '.')]
			_, notDuration := time.ParseDuration(seconds) // "0" is one
			whole, err := parseTime(seconds, now)
			if err == nil && notDuration != nil && (at.Before(whole) || at.Sub(whole) > time.Second) {
				t.Errorf("%q is %v, %v without its fraction", s, at, whole)
			}
		}
		if parseTail(s) < -1 {
			t.Errorf("%q", s)
		}
		splitList(s, ",")
	})
}
