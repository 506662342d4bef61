// Package table prints rows as a table, as JSON lines or through a Go
// template: what --format means for every command that lists something.
package table

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"text/tabwriter"
	"text/template"

	"github.com/compose-first/compose/internal/escape"
)

// Spec is how rows of one kind are listed.
type Spec struct {
	// Default is the template of the plain table: "{{.Name}}\t{{.Status}}".
	Default string
	// Headers names the columns: "RunningFor" is "CREATED". A field that is
	// not here is headed by its own name in capitals.
	Headers map[string]string
}

// Write prints rows, each a struct of one type, as format says: "" or "table"
// is the default table, "table TEMPLATE" a table of other columns, "json" an
// object a line, and anything else a template executed once a row.
func Write[R any](w io.Writer, format string, spec Spec, rows []R) error {
	switch {
	case format == "" || format == "table":
		return writeTable(w, spec, spec.Default, rows)
	case format == "json":
		return writeJSON(w, rows)
	case strings.HasPrefix(format, "table "):
		return writeTable(w, spec, strings.TrimSpace(strings.TrimPrefix(format, "table ")), rows)
	}
	return writeTemplate(w, format, rows)
}

func writeJSON[R any](w io.Writer, rows []R) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, r := range rows {
		if err := e.Encode(r); err != nil {
			return fmt.Errorf("write row: %w", err)
		}
	}
	return nil
}

func writeTemplate[R any](w io.Writer, text string, rows []R) error {
	t, err := compile(text)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return check[R](t)
	}
	for _, r := range rows {
		if err := execute(w, t, r); err != nil {
			return err
		}
	}
	return nil
}

func writeTable[R any](w io.Writer, spec Spec, text string, rows []R) error {
	t, err := compile(text)
	if err != nil {
		return err
	}
	if err := check[R](t); err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 10, 1, 3, ' ', 0)
	if err := execute(tw, t, headersOf[R](spec)); err != nil {
		return err
	}
	for _, r := range rows {
		if err := execute(tw, t, r); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// headers stands in for a row when the head of a table is printed.
type headers map[string]string

// Label heads a column made with {{.Label "key"}}.
func (headers) Label(key string) string {
	return strings.ToUpper(key[strings.LastIndexByte(key, '.')+1:])
}

func headersOf[R any](spec Spec) headers {
	h := headers{}
	t := reflect.TypeFor[R]()
	for i := range t.NumField() {
		name := t.Field(i).Name
		h[name] = strings.ToUpper(name)
		if s, ok := spec.Headers[name]; ok {
			h[name] = s
		}
	}
	return h
}

// check executes t on an empty row, so that a wrong field is an error even
// where there is nothing to list.
func check[R any](t *template.Template) error {
	var zero R
	return execute(io.Discard, t, zero)
}

// execute writes one line.
func execute(w io.Writer, t *template.Template, row any) error {
	var b bytes.Buffer
	if err := t.Execute(&b, row); err != nil {
		return fmt.Errorf("template parsing error: %w", err)
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}

// escapes are the sequences that a template may use for a tab and a line end.
var escapes = strings.NewReplacer(`\t`, "\t", `\n`, "\n")

// quoted finds the strings within a template's actions: their own escapes are
// left to the template.
var quoted = regexp.MustCompile(`\{\{.*?\}\}`)

func compile(text string) (*template.Template, error) {
	var b strings.Builder
	last := 0
	for _, at := range quoted.FindAllStringIndex(text, -1) {
		b.WriteString(escapes.Replace(text[last:at[0]]))
		b.WriteString(text[at[0]:at[1]])
		last = at[1]
	}
	b.WriteString(escapes.Replace(text[last:]))
	t, err := template.New("").Funcs(functions).Parse(b.String())
	if err != nil {
		return nil, fmt.Errorf("template parsing error: %w", err)
	}
	for _, sub := range t.Templates() {
		escapeActions(sub.Tree)
	}
	return t, nil
}

// functions are those of Docker's templates.
// Source: docs.docker.com, "Format command and log output".
var functions = template.FuncMap{
	"json":  toJSON,
	"join":  strings.Join,
	"split": func(v any, sep string) []string { return strings.Split(fmt.Sprint(v), sep) },
	"lower": func(v any) string { return strings.ToLower(fmt.Sprint(v)) },
	"upper": func(v any) string { return strings.ToUpper(fmt.Sprint(v)) },
	"title": func(v any) string {
		s := fmt.Sprint(v)
		if s == "" {
			return s
		}
		return strings.ToUpper(s[:1]) + s[1:]
	},
	"printf": func(format string, values ...any) text {
		return text(fmt.Sprintf(format, safe(values)...))
	},
	"println": func(values ...any) text { return text(fmt.Sprintln(safe(values)...)) },
	"pad": func(v any, before, after int) string {
		s := fmt.Sprint(v)
		if s == "" {
			return s
		}
		return strings.Repeat(" ", before) + s + strings.Repeat(" ", after)
	},
	"truncate": func(v any, n int) string {
		s := fmt.Sprint(v)
		if r := []rune(s); len(r) > n && n >= 0 {
			return string(r[:n])
		}
		return s
	},
	"cell": cell,
}

func toJSON(v any) (text, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return text(escape.Text(strings.TrimSpace(b.String()))), nil
}
