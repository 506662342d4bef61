package table

import (
	"bytes"
	"testing"
	"time"
)

type row struct {
	Name string
	Size int
}

var spec = Spec{Default: "{{.Name}}\t{{.Size}}", Headers: map[string]string{"Size": "BYTES"}}

func TestWrite(t *testing.T) {
	rows := []row{{"alpha", 1}, {"<beta>", 20}}
	for _, tt := range []struct {
		name, format string
		rows         []row
		want         string
	}{
		{"the default table", "", rows, "NAME      BYTES\nalpha     1\n<beta>    20\n"},
		{"an empty table has its head", "table", nil, "NAME      BYTES\n"},
		{"a table of one's own", `table {{.Size}}\t{{upper .Name}}`, rows[:1], "BYTES     NAME\n1         ALPHA\n"},
		{"json is a line each", "json", rows, `{"Name":"alpha","Size":1}` + "\n" + `{"Name":"<beta>","Size":20}` + "\n"},
		{"no json for nothing", "json", nil, ""},
		{"a template is a line each", "{{.Name}}={{.Size}}", rows, "alpha=1\n<beta>=20\n"},
		{"tabs", `{{.Name}}\t{{.Size}}`, rows[:1], "alpha\t1\n"},
		{"escapes inside an action are the template's", `{{printf "%s\t%d" .Name .Size}}`, rows[:1], "alpha\t1\n"},
		{"json of a row", "{{json .}}", rows[:1], `{"Name":"alpha","Size":1}` + "\n"},
		{"a cut", "{{truncate .Name 2}}", rows[:1], "al\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Write(&b, tt.format, spec, tt.rows); err != nil {
				t.Fatal(err)
			}
			if b.String() != tt.want {
				t.Errorf("got %q, want %q", b.String(), tt.want)
			}
		})
	}
}

// A value can neither steer the terminal nor pass for a row or a column.
func TestWriteEscapes(t *testing.T) {
	rows := []row{{"a\x1b[2J\nb\tc\u202e\xff", 1}}
	const shown = `a\x1b[2J\nb c\u202e\xff`
	for format, want := range map[string]string{
		"":          "NAME                      BYTES\n" + shown + "   1\n",
		"{{.Name}}": shown + "\n",
		"{{with .Name}}{{.}}{{end}}{{if .Size}}{{$n := .Name}}{{$n}}{{end}}": shown + shown + "\n",
		`{{printf "%s\t%d" .Name .Size}}`:                                    shown + "\t1\n",
		"{{truncate .Name 2}}":                                               `a\x1b` + "\n",
		"{{json .Name}}":                                                     `"a\u001b[2J\nb\tc\u202e\ufffd"` + "\n",
		"json":                                                               `{"Name":"a\u001b[2J\nb\tc` + "\u202e" + `\ufffd","Size":1}` + "\n",
	} {
		var b bytes.Buffer
		if err := Write(&b, format, spec, rows); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Errorf("%s: got %q, want %q", format, b.String(), want)
		}
	}
	var b bytes.Buffer
	if err := WriteText(&b, []string{"NAME"}, [][]string{{rows[0].Name}}); err != nil {
		t.Fatal(err)
	}
	if want := "NAME\n" + shown + "\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, format := range []string{"{{.Nope}}", "table {{.Nope}}", "{{", "{{frob .Name}}"} {
		for _, rows := range [][]row{nil, {{"a", 1}}} {
			err := Write(&bytes.Buffer{}, format, spec, rows)
			if err == nil || !bytes.HasPrefix([]byte(err.Error()), []byte("template parsing error: ")) {
				t.Errorf("%q of %d rows: got %v", format, len(rows), err)
			}
		}
	}
}

func TestEllipsis(t *testing.T) {
	for in, want := range map[string]string{"short": "short", "exactly": "exactly", "too long": "too lo…", "日本語日本語日本": "日本語日本語…"} {
		if got := Ellipsis(in, 7); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if got, want := Ago(now.Add(-90*time.Second), now), "About a minute ago"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
