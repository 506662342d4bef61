package project

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
)

// explain completes an error of compose-go, which knows no lines and at times
// not even the key, with file, line, service and key, as far as its text tells
// or the files betray them.
func explain(err error, files []source) error {
	var done *Error
	if err == nil || errors.As(err, &done) {
		return err
	}
	if limit := (*limitError)(nil); errors.As(err, &limit) {
		return explainLimit(err, limit, files)
	}
	e := &Error{Msg: plainer(err.Error()), cause: err}
	defer func() { e.Msg = clip(e.Msg) }()
	if m := parseFault.FindStringSubmatch(e.Msg); m != nil {
		e.File = m[1]
		e.Line, e.Column = faultLine(e.Msg)
		e.Msg = duplicateFault.ReplaceAllString(e.Msg, "mapping key $1 already defined at line $2")
		return e
	}
	path := faultPath(e.Msg)
	if path == "" {
		path = blame(e.Msg, files)
		if path != "" {
			e.Msg = path + ": " + e.Msg
		}
	}
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

// explainLimit names the place of what is too much; compose-go tells it with
// an error for each further place.
func explainLimit(err error, limit *limitError, files []source) error {
	e := &Error{Msg: limit.Error(), cause: err}
	if path := faultPath(err.Error()); path != "" {
		at := locate(files, path)
		e.File, e.Line = at.file, at.line
		e.Service, e.Key = splitPath(path, files)
		e.Msg = path + ": " + e.Msg
	}
	return e
}

var (
	parseFault     = regexp.MustCompile(`(?s)^failed to parse (.+?): `)
	lineFault      = regexp.MustCompile(`\bline (\d+)(?:, column (\d+))?`)
	duplicateFault = regexp.MustCompile(`(?s)yaml: construct errors:\s*line \d+: line \d+: mapping key ("[^"]*") already defined at line (\d+).*`)
	duplicateLine  = regexp.MustCompile(`line (\d+): mapping key`)

	falseSchema  = regexp.MustCompile(`(validating .+?:) (\S+)\.([^\s.]+) false schema`)
	unknownKey   = regexp.MustCompile(`validating .+?: (\S*) ?additional properties '([^']+)'`)
	schemaFault  = regexp.MustCompile(`^validating .+?: (\S+) `)
	serviceFault = regexp.MustCompile(`^(?:service|job) "?([a-zA-Z0-9._-]+)"? (.*)`)
	extendsFault = regexp.MustCompile(`^cannot extend service "([^"]+)"`)
	includeFault = regexp.MustCompile("^(?:`include`|include )|^open |is not a file$")
	anyPath      = regexp.MustCompile(`\b((?:services|networks|volumes|configs|secrets|models|include)(?:\.[^\s:'"]+|\[\d+\])+)`)
)

// plainer words what compose-go's validator says of keys that are not in the
// schema as users know it from Docker Compose.
func plainer(msg string) string {
	return falseSchema.ReplaceAllString(msg, "$1 $2 additional properties '$3' not allowed")
}

// faultLine reads the place of a YAML fault. A column that the parser leaves
// out is the first.
func faultLine(msg string) (line, column int) {
	if m := duplicateLine.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		return line, 0
	}
	m := lineFault.FindStringSubmatch(msg)
	if m == nil {
		return 0, 0
	}
	line, _ = strconv.Atoi(m[1])
	column, _ = strconv.Atoi(m[2])
	return line, max(column, 1)
}

// serviceKeys are the keys that texts about a whole service speak of.
var serviceKeys = []struct{ text, key string }{
	{"depends on", ".depends_on"},
	{"refers to undefined network", ".networks"},
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
	if m := extendsFault.FindStringSubmatch(msg); m != nil {
		return "services." + m[1] + ".extends"
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
	if includeFault.MatchString(msg) {
		return "include"
	}
	return ""
}

// blame looks for the short form that an error without any place is about: it
// parses those in the files again, until one fails with the same words.
func blame(msg string, files []source) (path string) {
	for _, f := range files {
		for _, doc := range f.docs {
			services := mapped(doc, "services")
			if services == nil || services.Kind != mappingNode {
				continue
			}
			for i := 0; i+1 < len(services.Content); i += 2 {
				service := services.Content[i+1]
				for key, parse := range shortParsers {
					list := mapped(service, key)
					if list == nil {
						continue
					}
					for n, item := range list.Content {
						if err := parse(item.Value); item.Kind == scalarNode && err != nil && strings.Contains(msg, err.Error()) {
							return fmt.Sprintf("services.%s.%s[%d]", services.Content[i].Value, key, n)
						}
					}
				}
			}
		}
	}
	return ""
}

// shortParsers fail as compose-go does on short forms of lists.
var shortParsers = map[string]func(string) error{
	"ports": func(s string) error {
		_, err := types.ParsePortConfig(s)
		return err
	},
	"volumes": func(s string) error {
		_, err := format.ParseVolume(s)
		return err
	},
}
