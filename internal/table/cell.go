package table

import (
	"fmt"
	"reflect"
	"text/template/parse"

	"github.com/compose-first/compose/internal/escape"
)

// text is what a function of templates has made safe to print.
type text string

// cell is the last function of every action: a value from elsewhere can
// neither steer the terminal nor pass for a row or a column of its own.
func cell(v any) text {
	if t, ok := v.(text); ok {
		return t
	}
	return text(escape.Line(fmt.Sprint(v)))
}

// safe makes the texts among values safe to print; a format around them is
// the user's.
func safe(values []any) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
		if k := reflect.ValueOf(v).Kind(); k < reflect.Bool || k > reflect.Complex128 { // no number
			out[i] = string(cell(v))
		}
	}
	return out
}

// escapeActions has all that a template prints go through cell.
func escapeActions(t *parse.Tree) {
	if t != nil && t.Root != nil {
		escapeList(t, t.Root)
	}
}

func escapeList(t *parse.Tree, list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 && !constant(n.Pipe) { // else it prints nothing, or what the user wrote
				name := parse.NewIdentifier("cell").SetTree(t).SetPos(n.Pos)
				n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{name}})
			}
		case *parse.IfNode:
			escapeList(t, n.List)
			escapeList(t, n.ElseList)
		case *parse.RangeNode:
			escapeList(t, n.List)
			escapeList(t, n.ElseList)
		case *parse.WithNode:
			escapeList(t, n.List)
			escapeList(t, n.ElseList)
		}
	}
}

func constant(p *parse.PipeNode) bool {
	return len(p.Cmds) == 1 && len(p.Cmds[0].Args) == 1 && p.Cmds[0].Args[0].Type() == parse.NodeString
}
