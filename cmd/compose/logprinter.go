package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/compose-first/compose/internal/escape"
)

// logStyle is how lines of container output are printed.
type logStyle struct {
	color      bool
	prefix     bool
	timestamps bool
}

// logPrinter prints the output of several containers, each line whole, behind
// the name of its container, in the colour of its service.
type logPrinter struct {
	style  logStyle
	out    *os.File
	errs   *os.File // of standard error lines; may be out
	around func(write func())

	mu     sync.Mutex // guards all below, and the writing
	width  int        // of the longest name seen
	colors map[string]string
}

func newLogPrinter(style logStyle, out, errs *os.File, around func(func())) *logPrinter {
	return &logPrinter{style: style, out: out, errs: errs, around: around, colors: map[string]string{}}
}

// palette are the colours of services, in the order of their appearance: the
// six of a terminal but black and white, then bright.
// Source: ECMA-48, 8.3.117 (SGR).
var palette = []string{"36", "33", "32", "35", "34", "96", "93", "92", "95", "94"}

// announce makes room for the names that lines will begin with, and gives the
// services their colours in this order, whichever speaks first.
func (p *logPrinter) announce(name, service string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.width = max(p.width, runewidth.StringWidth(name))
	p.colorOf(service)
}

// line prints text, a line or several, of a container. It is printed as it
// is: a container may colour its own output.
func (p *logPrinter) line(name, service, stream string, at time.Time, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.width = max(p.width, runewidth.StringWidth(name))
	w := io.Writer(p.out)
	if stream == "stderr" {
		w = p.errs
	}
	var b strings.Builder
	p.head(&b, name, service)
	if p.style.timestamps {
		b.WriteString(at.UTC().Format(time.RFC3339Nano) + " ")
	}
	b.WriteString(strings.TrimSuffix(text, "\r"))
	if p.style.color && strings.Contains(text, "\x1b[") {
		b.WriteString("\x1b[0m")
	}
	b.WriteByte('\n')
	p.around(func() { _, _ = io.WriteString(w, b.String()) })
}

// head writes "web-1  | ".
func (p *logPrinter) head(b *strings.Builder, name, service string) {
	if !p.style.prefix {
		return
	}
	padded := runewidth.FillRight(escape.Line(name), p.width) + "  | "
	if p.style.color {
		padded = "\x1b[" + p.colorOf(service) + "m" + padded + "\x1b[0m"
	}
	b.WriteString(padded)
}

// event prints a line on a container between those of the containers:
// "web-1 exited with code 3".
func (p *logPrinter) event(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.around(func() { fmt.Fprintln(p.out, escape.Line(fmt.Sprintf(format, args...))) })
}

func (p *logPrinter) colorOf(service string) string {
	c, ok := p.colors[service]
	if !ok {
		c = palette[len(p.colors)%len(palette)]
		p.colors[service] = c
	}
	return c
}
