package scheduler

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// show prints a plan with what its lines leave out: after "<" the steps that a
// step needs, after "~" those whose end it awaits, "?" for an optional step,
// "!" for one that completes what is half done.
func show(p Plan) string {
	var b strings.Builder
	for i, n := range p.Nodes {
		fmt.Fprintf(&b, "%d %s", i+1, n.Step)
		numbers(&b, " <", n.After)
		numbers(&b, " ~", n.Soft)
		if n.Optional {
			b.WriteString(" ?")
		}
		if n.Through {
			b.WriteString(" !")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func numbers(b *strings.Builder, mark string, list []int) {
	for k, j := range list {
		if k == 0 {
			b.WriteString(mark)
		} else {
			b.WriteByte(',')
		}
		fmt.Fprint(b, j+1)
	}
}

// unindent takes the indentation of a test row off its lines.
func unindent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

func TestPlanPrints(t *testing.T) {
	p := Plan{Nodes: []Node{
		{Step: CreateNetwork{Key: "default", Name: "shop_default", Because: "new"}},
		{Step: CreateContainer{Create: Create{Service: "web", Number: 1, Name: "shop-web-1"}, Because: "new"}, After: []int{0}},
		{Step: RemoveNetwork{Name: "shop_old"}, Soft: []int{1}},
	}}
	want := unindent(`
		1 create network shop_default (new)
		2 create web-1 (new)
		3 remove network shop_old`)
	if got := p.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	wantJSON := `[{"step":"create network shop_default","id":"Network shop_default","reason":"new","after":[]},` +
		`{"step":"create web-1","id":"Container shop-web-1","reason":"new","after":[1]},` +
		`{"step":"remove network shop_old","id":"Network shop_old","after":[2]}]`
	if string(b) != wantJSON {
		t.Errorf("got  %s\nwant %s", b, wantJSON)
	}
}

func TestEmptyPlanIsAnEmptyArray(t *testing.T) {
	if b, err := json.Marshal(Plan{}); err != nil || string(b) != "[]" {
		t.Errorf("got %s, %v", b, err)
	}
}
