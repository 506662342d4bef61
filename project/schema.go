package project

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/schema"
)

// accepts reports whether a model surely fits the schema of the Compose
// Specification. It reads compose-go's own copy of the schema with a small
// interpreter, which costs a fraction of compiling it. False means no more
// than that the full validator has to be asked.
func accepts(model map[string]any) bool {
	s, err := composeSchema()
	return err == nil && s.fits(model)
}

// composeSchema reads the schema. Its error means that the schema has words
// that are not known here.
var composeSchema = sync.OnceValues(func() (*rule, error) {
	var doc map[string]any
	if err := json.Unmarshal([]byte(schema.Schema), &doc); err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	defs, _ := doc["$defs"].(map[string]any)
	r := ruleReader{defs: defs, done: map[string]*rule{}, forms: map[string]*regexp.Regexp{}}
	return r.read(doc)
})

// rule is one schema of JSON Schema 2020-12, as far as the Compose
// Specification uses it.
type rule struct {
	never bool // the schema false

	types    map[string]bool // nil: any
	enum     []any
	pattern  *regexp.Regexp
	min, max *float64

	properties map[string]*rule
	patterns   []patternRule
	others     *rule // additionalProperties; nil: anything goes
	closed     bool  // unevaluatedProperties: false
	required   []string

	items  *rule
	unique bool
	allOf  []*rule
	anyOf  []*rule
	oneOf  []*rule
}

type patternRule struct {
	key  *regexp.Regexp
	rule *rule
}

type ruleReader struct {
	defs  map[string]any
	done  map[string]*rule          // by $ref; entered before it is read, for recursion
	forms map[string]*regexp.Regexp // compiled patterns; most schemas have the same
}

var errUnknownWord = errors.New("the schema has a word not known here")

func (r *ruleReader) read(v any) (*rule, error) {
	if b, ok := v.(bool); ok {
		return &rule{never: !b}, nil
	}
	def, ok := v.(map[string]any)
	if !ok {
		return nil, errUnknownWord
	}
	out := &rule{}
	return out, r.fill(out, def)
}

func (r *ruleReader) fill(out *rule, def map[string]any) (err error) {
	keep := func(one *rule, e error) *rule {
		err = errors.Join(err, e)
		return one
	}
	for _, word := range slices.Sorted(maps.Keys(def)) {
		v := def[word]
		switch word {
		case "$schema", "$id", "$defs", "title", "description", "default", "deprecated", "examples":
		case "$ref":
			out.allOf = append(out.allOf, keep(r.ref(v)))
		case "type":
			out.types = map[string]bool{}
			for _, t := range asList(v) {
				name, _ := t.(string)
				out.types[name] = true
			}
		case "enum":
			out.enum = asList(v)
		case "pattern":
			out.pattern = r.form(v, &err)
		case "minimum":
			out.min = keepNumber(v, &err)
		case "maximum":
			out.max = keepNumber(v, &err)
		case "properties":
			out.properties = map[string]*rule{}
			for name, sub := range asMap(v) {
				out.properties[name] = keep(r.read(sub))
			}
		case "patternProperties":
			for form, sub := range asMap(v) {
				out.patterns = append(out.patterns, patternRule{r.form(form, &err), keep(r.read(sub))})
			}
		case "additionalProperties":
			out.others = keep(r.read(v))
		case "unevaluatedProperties":
			if b, ok := v.(bool); !ok || b {
				return errUnknownWord
			}
			out.closed = true
		case "required":
			for _, name := range asList(v) {
				text, _ := name.(string)
				out.required = append(out.required, text)
			}
		case "items":
			out.items = keep(r.read(v))
		case "uniqueItems":
			out.unique, _ = v.(bool)
		case "allOf", "anyOf", "oneOf":
			var list []*rule
			for _, sub := range asList(v) {
				list = append(list, keep(r.read(sub)))
			}
			switch word {
			case "allOf":
				out.allOf = append(out.allOf, list...)
			case "anyOf":
				out.anyOf = list
			default:
				out.oneOf = list
			}
		default:
			return fmt.Errorf("%w: %s", errUnknownWord, word)
		}
	}
	return err
}

func (r *ruleReader) ref(v any) (*rule, error) {
	name, _ := v.(string)
	if done, ok := r.done[name]; ok {
		return done, nil
	}
	def, ok := r.defs[strings.TrimPrefix(name, "#/$defs/")].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: $ref %s", errUnknownWord, name)
	}
	out := &rule{}
	r.done[name] = out
	return out, r.fill(out, def)
}

func (r *ruleReader) form(v any, err *error) *regexp.Regexp {
	text, _ := v.(string)
	if re, ok := r.forms[text]; ok {
		return re
	}
	re, e := regexp.Compile(text)
	*err = errors.Join(*err, e)
	r.forms[text] = re
	return re
}

func keepNumber(v any, err *error) *float64 {
	f, ok := v.(float64)
	if !ok {
		*err = errors.Join(*err, errUnknownWord)
	}
	return &f
}

func asList(v any) []any {
	if list, ok := v.([]any); ok {
		return list
	}
	return []any{v}
}

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// fits reports whether v satisfies r. What is in doubt does not fit.
func (r *rule) fits(v any) bool {
	if r.never || r.types != nil && !r.typed(v) || r.enum != nil && !slices.Contains(r.enum, v) {
		return false
	}
	switch v := v.(type) {
	case string:
		if r.pattern != nil && !r.pattern.MatchString(v) {
			return false
		}
	case int:
		if !r.within(float64(v)) {
			return false
		}
	case int64:
		if !r.within(float64(v)) {
			return false
		}
	case uint64:
		if !r.within(float64(v)) {
			return false
		}
	case float32:
		if !r.within(float64(v)) {
			return false
		}
	case float64:
		if !r.within(v) {
			return false
		}
	case map[string]any:
		if !r.fitsMap(v) {
			return false
		}
	case []any:
		if !r.fitsList(v) {
			return false
		}
	}
	for _, sub := range r.allOf {
		if !sub.fits(v) {
			return false
		}
	}
	if r.anyOf != nil && !slices.ContainsFunc(r.anyOf, func(sub *rule) bool { return sub.fits(v) }) {
		return false
	}
	if r.oneOf == nil {
		return true
	}
	matches := 0
	for _, sub := range r.oneOf {
		if sub.fits(v) {
			matches++
		}
	}
	return matches == 1
}

// typed reports whether v has one of r's types. A Go type that the parser
// does not make for such a value is in doubt.
func (r *rule) typed(v any) bool {
	switch v := v.(type) {
	case nil:
		return r.types["null"]
	case bool:
		return r.types["boolean"]
	case string:
		return r.types["string"]
	case int, int64, uint64:
		return r.types["integer"] || r.types["number"]
	case float64:
		return r.types["number"] || r.types["integer"] && v == math.Trunc(v)
	case float32:
		return r.types["number"]
	case map[string]any:
		return r.types["object"]
	case []any:
		return r.types["array"]
	}
	return false
}

func (r *rule) within(n float64) bool {
	return !math.IsNaN(n) && !math.IsInf(n, 0) && (r.min == nil || n >= *r.min) && (r.max == nil || n <= *r.max)
}

func (r *rule) fitsMap(v map[string]any) bool {
	for _, name := range r.required {
		if _, ok := v[name]; !ok {
			return false
		}
	}
	for key, e := range v {
		sub, known := r.properties[key]
		if known && !sub.fits(e) {
			return false
		}
		for _, p := range r.patterns {
			if p.key.MatchString(key) {
				known = true
				if !p.rule.fits(e) {
					return false
				}
			}
		}
		if !known && r.others != nil {
			known = true
			if !r.others.fits(e) {
				return false
			}
		}
		if r.closed && !known && !r.names(key) {
			return false
		}
	}
	return true
}

// names reports whether a schema of r's allOf has a property key.
func (r *rule) names(key string) bool {
	return slices.ContainsFunc(r.allOf, func(sub *rule) bool {
		_, ok := sub.properties[key]
		return ok || sub.names(key) || slices.ContainsFunc(sub.patterns, func(p patternRule) bool { return p.key.MatchString(key) })
	})
}

func (r *rule) fitsList(v []any) bool {
	if r.items != nil {
		for _, e := range v {
			if !r.items.fits(e) {
				return false
			}
		}
	}
	return !r.unique || distinct(v)
}

// distinct reports whether all of v surely differ.
func distinct(v []any) bool {
	if len(v) < 2 {
		return true
	}
	seen := make(map[string]bool, len(v))
	for _, e := range v {
		text, err := json.Marshal(e) // sorts keys
		if err != nil || seen[string(text)] {
			return false
		}
		seen[string(text)] = true
	}
	return true
}
