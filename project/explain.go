package project

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

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
	if m := parseFault().FindStringSubmatch(e.Msg); m != nil {
		e.File = m[1]
		e.Line, e.Column = faultLine(e.Msg)
		e.Msg = duplicateFault().ReplaceAllString(e.Msg, "mapping key $1 already defined at line $2")
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
	if at.line > 0 { // which says the file already
		e.Msg = strings.TrimSpace(validating().ReplaceAllString(e.Msg, ""))
	}
	if bounds, ok := ranges[e.Key]; ok && e.Service != "" && strings.HasSuffix(e.Msg, "must be a string") {
		e.Msg = fmt.Sprintf("service %q: %s: %sis not %s", e.Service, e.Key, valueOf(files, e.Service, e.Key), bounds)
	}
	return e
}

// ranges are the service keys of which the schema wants a string or a number
// within bounds. Its validator says no more of another number than that it is
// no string.
// Source: Compose Specification, compose-spec.json.
var ranges = map[string]string{
	"cpu_count":     "a whole number from 0 on",
	"cpu_percent":   "a whole number from 0 to 100",
	"oom_score_adj": "a whole number from -1000 to 1000",
}

// valueOf is what a service's key has in the last file that sets it, and a
// blank; "" when none does.
func valueOf(files []source, service, key string) string {
	for _, f := range slices.Backward(files) {
		for _, doc := range f.docs {
			node := doc
			for _, name := range []string{"services", service, key} {
				if node != nil {
					node = mapped(node, name)
				}
			}
			if node != nil && node.Kind == scalarNode {
				return node.Value + " "
			}
		}
	}
	return ""
}

var validating = pattern(`^validating [^\n]+?: `)

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

// pattern is a regular expression, compiled when it is first used: most commands
// have nothing to explain.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

var (
	parseFault     = pattern(`(?s)^failed to parse (.+?): `)
	lineFault      = pattern(`\bline (\d+)(?:, column (\d+))?`)
	duplicateFault = pattern(`(?s)yaml: construct errors:\s*line \d+: line \d+: mapping key ("[^"]*") already defined at line (\d+).*`)
	duplicateLine  = pattern(`line (\d+): mapping key`)

	falseSchema  = pattern(`(validating .+?:) (\S+)\.([^\s.]+) false schema`)
	unknownKey   = pattern(`validating .+?: (\S*) ?additional properties '([^']+)'`)
	schemaFault  = pattern(`^validating .+?: (\S+) `)
	serviceFault = pattern(`^(?:service|job) "?([a-zA-Z0-9._-]+)"? (.*)`)
	extendsFault = pattern(`^cannot extend service "([^"]+)"`)
	includeFault = pattern("^(?:`include`|include )|^open |is not a file$")
	invalidName  = pattern(`: (services|networks|volumes|secrets|configs|models): invalid name "([^"]*)"`)
	wrongSection = pattern(`^(services|networks|volumes|secrets|configs|models|include) must be`)
	anyPath      = pattern(`\b((?:services|networks|volumes|configs|secrets|models|include)(?:\.[^\s:'"]+|\[\d+\])+)`)
)

// plainer words what compose-go says for people who write files: what a value
// should be, rather than which function could not read it.
func plainer(msg string) string {
	msg = falseSchema().ReplaceAllString(msg, "$1 $2 additional properties '$3' not allowed")
	for _, w := range wordings {
		msg = w.form().ReplaceAllString(msg, w.plain)
	}
	return msg
}

var wordings = []struct {
	form  func() *regexp.Regexp
	plain string
}{
	{pattern(`error while interpolating (\S+): failed to cast to expected type: strconv\.(?:Atoi|ParseInt|ParseUint): parsing ("(?:[^"\\]|\\.)*"): [a-z ]+`), "$1: $2 is not a whole number"},
	{pattern(`error while interpolating (\S+): failed to cast to expected type: strconv\.ParseFloat: parsing ("(?:[^"\\]|\\.)*"): [a-z ]+`), "$1: $2 is not a number"},
	{pattern(`error while interpolating (\S+): failed to cast to expected type: invalid boolean: (.*)`), `$1: "$2" is not a boolean: true or false`},
	{pattern(`error while interpolating (\S+): (?:failed to cast to expected type: )?`), "$1: "},
	{pattern(`\b(interval|timeout|start_period|start_interval|stop_grace_period) must be a string`), `$1 must be a time with its unit, as in "5s"`},
	{pattern(`time: (?:unknown unit .* in|missing unit in|invalid) duration ("(?:[^"\\]|\\.)*")`), `$1 is not a time with its unit, as in "1m30s"`},
	{pattern(`\bmust be a array`), "must be a list"},
	{pattern(`: (services|networks|volumes|secrets|configs|models) additional properties '([^']*)' not allowed`), `: $1: invalid name "$2": only letters, digits and . _ - are allowed`},
}

// faultLine reads the place of a YAML fault. A column that the parser leaves
// out is the first.
func faultLine(msg string) (line, column int) {
	if m := duplicateLine().FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		return line, 0
	}
	m := lineFault().FindStringSubmatch(msg)
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
	if m := unknownKey().FindStringSubmatch(msg); m != nil {
		return strings.TrimPrefix(m[1]+"."+m[2], ".")
	}
	if m := invalidName().FindStringSubmatch(msg); m != nil {
		return m[1] + "." + m[2]
	}
	if m := wrongSection().FindStringSubmatch(msg); m != nil {
		return m[1]
	}
	if m := schemaFault().FindStringSubmatch(msg); m != nil {
		return m[1]
	}
	if m := extendsFault().FindStringSubmatch(msg); m != nil {
		return "services." + m[1] + ".extends"
	}
	if m := serviceFault().FindStringSubmatch(msg); m != nil {
		path := "services." + m[1]
		for _, k := range serviceKeys {
			if strings.HasPrefix(m[2], k.text) {
				return path + k.key
			}
		}
		return path
	}
	if m := anyPath().FindStringSubmatch(msg); m != nil {
		return strings.TrimRight(m[1], ".,")
	}
	if includeFault().MatchString(msg) {
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
