package project

import (
	"strings"

	"github.com/compose-spec/compose-go/v2/tree"
)

// keyTree finds which of many dotted patterns a path matches, step by step
// while a model is walked: "*" is any key or list item, "[]" a list item.
// Matching each path against each pattern, as compose-go does, costs more
// than all the rest of loading.
type keyTree[T any] struct {
	children map[string]*keyTree[T]
	value    T
	ends     bool // a pattern ends here
}

func newKeyTree[T any](patterns map[tree.Path]T) *keyTree[T] {
	root := &keyTree[T]{}
	for pattern, value := range patterns {
		n := root
		for step := range strings.SplitSeq(string(pattern), ".") {
			if n.children == nil {
				n.children = map[string]*keyTree[T]{}
			}
			if n.children[step] == nil {
				n.children[step] = &keyTree[T]{}
			}
			n = n.children[step]
		}
		n.value, n.ends = value, true
	}
	return root
}

// keyState are the places in a keyTree that a path leads to. It holds two at
// most times: one by name, one by "*".
type keyState[T any] []*keyTree[T]

// next follows one key, or "[]" for a list item.
func (s keyState[T]) next(key string) keyState[T] {
	if len(s) == 0 {
		return nil
	}
	var out keyState[T]
	for _, n := range s {
		if c := n.children[key]; c != nil {
			out = append(out, c)
		}
		if c := n.children[tree.PathMatchAll]; c != nil && key != tree.PathMatchAll {
			out = append(out, c)
		}
	}
	return out
}

// match returns the value of a pattern that the path matches whole.
func (s keyState[T]) match() (value T, ok bool) {
	for _, n := range s {
		if n.ends {
			return n.value, true
		}
	}
	return value, false
}
