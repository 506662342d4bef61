package project

import (
	"regexp"
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

var indexForm = regexp.MustCompile(`^(?:\[(\d{1,6})\]|(\d{1,6}))(.*)$`)

// leadingIndex splits "[2].x" or "2.x" into 2 and ".x".
func leadingIndex(path string) (index int, rest string, ok bool) {
	m := indexForm.FindStringSubmatch(path)
	if m == nil || m[2] != "" && m[3] != "" && m[3][0] != '.' {
		return 0, "", false
	}
	index, err := strconv.Atoi(m[1] + m[2])
	return index, m[3], err == nil
}

// explain completes an error of compose-go with file, line, service and key,
// as far as its text tells them.
func explain(err error, files []source) error {
	if err == nil {
		return nil
	}
	msg := cleanLines(err.Error())
	e := &Error{Msg: msg, cause: err}
	if m := parseFault.FindStringSubmatch(msg); m != nil {
		e.File = m[1]
		if l := lineFault.FindStringSubmatch(msg); l != nil {
			e.Line, _ = strconv.Atoi(l[1])
		}
		return e
	}
	path := faultPath(msg)
	if path == "" {
		if len(files) == 1 {
			e.File = files[0].name
		}
		return e
	}
	at := locate(files, path)
	e.File, e.Line = at.file, at.line
	e.Service, e.Key = splitPath(path, files)
	return e
}

var (
	parseFault   = regexp.MustCompile(`(?s)^failed to parse (.+?): `)
	lineFault    = regexp.MustCompile(`\bline (\d+)`)
	unknownKey   = regexp.MustCompile(`^validating .+?: (\S*) ?additional properties '([^']+)'`)
	schemaFault  = regexp.MustCompile(`^validating .+?: (\S+) `)
	serviceFault = regexp.MustCompile(`^(?:service|job) "?([a-zA-Z0-9._-]+)"? (.*)`)
	anyPath      = regexp.MustCompile(`\b((?:services|networks|volumes|configs|secrets|models|include)(?:\.[^\s:'"]+|\[\d+\])+)`)
)

// serviceKeys are the keys that texts about a whole service speak of.
var serviceKeys = []struct{ text, key string }{
	{"depends on", ".depends_on."},
	{"refers to undefined network", ".networks."},
	{"refers to undefined volume", ".volumes"},
	{"refers to undefined config", ".configs"},
	{"refers to undefined secret", ".secrets"},
	{"refers to undefined build secret", ".build.secrets"},
}

// faultPath returns the dotted path that a text of compose-go is about, or "".
func faultPath(msg string) string {
	if m := unknownKey.FindStringSubmatch(msg); m != nil {
		return strings.TrimPrefix(m[1]+"."+m[2], ".")
	}
	if m := schemaFault.FindStringSubmatch(msg); m != nil {
		return m[1]
	}
	if m := serviceFault.FindStringSubmatch(msg); m != nil {
		path := "services." + m[1]
		for _, k := range serviceKeys {
			if strings.HasPrefix(m[2], k.text) {
				return path + k.key
			}
		}
		return path
	}
	if m := anyPath.FindStringSubmatch(msg); m != nil {
		return strings.TrimRight(m[1], ".,")
	}
	return ""
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

// cleanLines makes text that may quote a file safe to print: control
// characters but line ends and tabs become "?".
func cleanLines(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unprintable(r) {
			return '?'
		}
		return r
	}, s)
}
