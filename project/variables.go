package project

import (
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
)

// lookup bounds what the variables of all texts together put in: ten bytes
// can stand for a megabyte, and a thousand such for a gigabyte.
type lookup struct {
	of    template.Mapping
	spent *spent
	over  bool
}

func (b *lookup) get(name string) (string, bool) {
	v, ok := b.of(name)
	b.spent.expanded += len(v)
	if b.spent.expanded > maxExpanded {
		b.over = true
		return "", true
	}
	return v, ok
}

func (b *lookup) err() error {
	if b.over {
		return tooMuch("the variables put in more than %d MiB of text", maxExpanded>>20)
	}
	return nil
}

// substitute puts the values of variables in.
func (l *loading) substitute(text string, of template.Mapping) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	bounded := lookup{of: of, spent: &l.spent}
	out, err := template.Substitute(text, bounded.get)
	if bounded.over {
		return "", bounded.err()
	}
	return out, err
}

// countPort counts the ports that a short form of ports or expose means,
// before it is spelled out.
func (l *loading) countPort(text string) error {
	text, _, _ = strings.Cut(text, "/")
	text = text[strings.LastIndexByte(text, ':')+1:]
	first, last, isRange := strings.Cut(text, "-")
	n := 1
	if isRange {
		a, errA := strconv.Atoi(first)
		b, errB := strconv.Atoi(last)
		if errA == nil && errB == nil && a <= b && b <= 65535 { // else the parser says what is wrong
			n = b - a + 1
		}
	}
	if l.spent.ports += n; l.spent.ports > maxPorts {
		return tooMuch("more than %d ports in all services together", maxPorts)
	}
	return nil
}
