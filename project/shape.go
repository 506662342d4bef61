package project

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// marks counts the characters that make nodes: what a parser will allocate
// for can be told before it does.
func marks(content []byte) int {
	n := 0
	for i, c := range content {
		switch c {
		case ',', '[', '{', ':':
			n++
		case '-', '?':
			if i+1 == len(content) || content[i+1] == ' ' || content[i+1] == '\n' || content[i+1] == '\r' || content[i+1] == '\t' {
				n++
			}
		}
	}
	return n
}

// shape measures a document with its aliases spelled out.
type shape struct {
	nodes, variables int
	fault            error
	line             int // of the fault
}

// measure walks a document until something is beyond its limit.
func measure(doc *yaml.Node) shape {
	var s shape
	s.walk(doc, 0, 0)
	return s
}

func (s *shape) walk(n *yaml.Node, depth, line int) {
	if line == 0 || n.Line != 0 && n.Kind != yaml.AliasNode {
		line = n.Line
	}
	s.nodes++
	switch {
	case s.nodes > maxNodes:
		s.fail(line, "more than %d keys, values and list items, aliases spelled out", maxNodes)
	case depth > maxDepth:
		s.fail(line, "lists and mappings in each other more than %d deep", maxDepth)
	case n.Kind == yaml.AliasNode:
		s.walk(n.Alias, depth+1, line)
	case n.Kind == yaml.ScalarNode:
		s.variables += variables(n.Value)
		if nesting(n.Value) > maxNesting {
			s.fail(line, "variables in one another's defaults more than %d deep", maxNesting)
		}
	}
	for _, c := range n.Content {
		if s.fault != nil {
			return
		}
		s.walk(c, depth+1, line)
	}
}

func (s *shape) fail(line int, format string, args ...any) {
	if s.fault == nil {
		s.fault, s.line = tooMuch(format, args...), line
	}
}

// variables counts the places of a text where a variable is put in.
func variables(text string) int {
	return strings.Count(text, "$") - 2*strings.Count(text, "$$")
}

// nesting is how deep the variables of a text stand in one another's defaults.
func nesting(text string) int {
	depth, deepest := 0, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '$':
			if i+1 < len(text) && text[i+1] == '$' {
				i++
			} else if i+1 < len(text) && text[i+1] == '{' {
				depth++
				deepest = max(deepest, depth)
			}
		case '}':
			depth = max(depth-1, 0)
		}
	}
	return deepest
}
