package project

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// place is a line of a file.
type place struct {
	file string
	line int
}

// locate returns the line of the key that path leads to: dotted, from the top
// of a file, list items as [0] or .0, as error texts write it. The last file
// that has all of path is meant, since it wins; else the one that has most of
// it. Without any part of path found, the result is zero.
func locate(files []source, path string) place {
	var best place
	deepest := 0
	for _, f := range slices.Backward(files) {
		for _, doc := range f.docs {
			if line, depth := descend(doc, path, 0); depth > deepest {
				deepest, best = depth, place{f.name, line}
			}
		}
	}
	return best
}

// descend follows path from n and returns the line of the last key found, and
// how many bytes of path led there.
func descend(n *yaml.Node, path string, hops int) (line, depth int) {
	const maxHops = 200 // more than any Compose file is deep; ends alias loops
	if hops > maxHops || path == "" {
		return 0, 0
	}
	step := func(at int, child *yaml.Node, rest string) (int, int) {
		used := len(path) - len(rest)
		rest = strings.TrimLeft(rest, ".")
		if l, d := descend(child, rest, hops+1); d > 0 {
			return l, used + d
		}
		return at, used
	}
	switch n.Kind {
	case yaml.AliasNode:
		return descend(n.Alias, path, hops+1)
	case yaml.SequenceNode:
		index, rest, ok := leadingIndex(path)
		if !ok || index >= len(n.Content) {
			return 0, 0
		}
		return step(n.Content[index].Line, n.Content[index], rest)
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if key.Tag == "!!merge" {
				continue
			}
			// A name may hold dots itself: the longest match wins.
			if rest, ok := strings.CutPrefix(path, key.Value); ok && key.Value != "" && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				if l, d := step(key.Line, value, rest); d > depth {
					line, depth = l, d
				}
			}
		}
		if depth > 0 {
			return line, depth
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Tag != "!!merge" {
				continue
			}
			sources := []*yaml.Node{n.Content[i+1]}
			if sources[0].Kind == yaml.SequenceNode {
				sources = sources[0].Content
			}
			for _, s := range sources {
				if l, d := descend(s, path, hops+1); d > depth {
					line, depth = l, d
				}
			}
		}
	}
	return line, depth
}

var indexForm = pattern(`^(?:\[(\d{1,6})\]|(\d{1,6}))(.*)$`)

// leadingIndex splits "[2].x" or "2.x" into 2 and ".x".
func leadingIndex(path string) (index int, rest string, ok bool) {
	m := indexForm().FindStringSubmatch(path)
	if m == nil || m[2] != "" && m[3] != "" && m[3][0] != '.' {
		return 0, "", false
	}
	index, err := strconv.Atoi(m[1] + m[2])
	return index, m[3], err == nil
}

// splitPath divides "services.web.ports[0]" into "web" and "ports[0]"; a path
// elsewhere is a key without a service.
func splitPath(path string, files []source) (service, key string) {
	rest, ok := strings.CutPrefix(path, "services.")
	if !ok {
		return "", path
	}
	// A service's name may hold dots: the longest prefix that is in a file.
	for i := len(rest); i > 0; i = strings.LastIndexAny(rest[:i], ".[") {
		for _, f := range files {
			for _, doc := range f.docs {
				if services := mapped(doc, "services"); services != nil && mapped(services, rest[:i]) != nil {
					return rest[:i], strings.TrimLeft(rest[i:], ".")
				}
			}
		}
	}
	service, key, _ = strings.Cut(rest, ".")
	return service, key
}

const (
	scalarNode  = yaml.ScalarNode
	mappingNode = yaml.MappingNode
)

// mapped returns the value of key in n, or nil.
func mapped(n *yaml.Node, key string) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}
