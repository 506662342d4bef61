package project

import (
	"fmt"

	"go.yaml.in/yaml/v4"
)

// serviceRef is a service of a file.
type serviceRef struct{ file, service string }

// extension is what is known of a service before it is put together with
// those that it extends.
type extension struct {
	nodes int          // its own
	bases []serviceRef // that it may extend
	line  int

	steps, all int // to the last base, and nodes with all bases; 0 until known
	open       bool
}

// noteExtensions keeps what the services of a document extend.
func (l *loading) noteExtensions(r referrer, doc *yaml.Node, entries map[string]extendsEntry) {
	services := mapped(doc, "services")
	if services == nil || services.Kind != mappingNode {
		return
	}
	if l.extensions == nil {
		l.extensions = map[serviceRef]*extension{}
	}
	for i := 0; i+1 < len(services.Content); i += 2 {
		name := services.Content[i]
		e := &extension{nodes: measure(services.Content[i+1]).nodes, line: name.Line}
		entry := entries[name.Value]
		switch {
		case entry.file != "":
			for _, path := range l.candidates(r, entry.file) {
				e.bases = append(e.bases, serviceRef{path, entry.service})
			}
		case entry.service != "":
			e.bases = []serviceRef{{r.file.name, entry.service}}
		}
		l.extensions[serviceRef{r.file.name, name.Value}] = e
	}
}

// checkExtends refuses services that extend one another in a long chain, and
// those that are too much once they are put together. Services that extend
// each other in a circle are left to compose-go, which names all of it.
func (l *loading) checkExtends() error {
	total := 0
	for ref, e := range l.extensions {
		l.putTogether(e)
		if total += e.all; e.steps > maxExtends || total > maxNodes {
			err := tooMuch("more than %d services that extend one another in a chain", maxExtends)
			if e.steps <= maxExtends {
				err = tooMuch("more than %d keys, values and list items once all services are put together with those they extend", maxNodes)
			}
			return l.fileTooMuch(ref.file, e.line, fmt.Errorf("services.%s.extends: %w", ref.service, err))
		}
	}
	return nil
}

func (l *loading) putTogether(e *extension) {
	if e.all > 0 || e.open {
		return
	}
	e.open = true
	steps, all := 0, 0
	for _, ref := range e.bases {
		if base := l.extensions[ref]; base != nil {
			l.putTogether(base)
			steps, all = max(steps, base.steps+1), max(all, base.all)
		}
	}
	e.steps, e.all, e.open = steps, min(all+e.nodes, maxNodes+1), false
}
