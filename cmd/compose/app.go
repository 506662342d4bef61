package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/term"

	"github.com/compose-first/compose/internal/escape"
	"github.com/compose-first/compose/internal/progress"
)

// app is what the parts of one command share: the streams, the global flags,
// the environment that settings are read from, and what is shown meanwhile.
type app struct {
	in             *os.File
	answers        *bufio.Reader // of in, for questions
	stdout, stderr *os.File      // as they are: for the containers' own output, and for the display
	out, err       io.Writer     // the same, and safe to write anything to: see escape
	name           string        // of the binary: "compose", or "docker-compose"
	args           []string      // for the lock file and the agent

	env     environment
	global  globals
	signals *signals
	mode    progress.Mode          // never Auto once the flags are read
	ahead   func() (*rooms, error) // see lookAhead; nil: not begun

	mu      sync.Mutex       // guards closers and display
	closers []func()         // called last to first at the end
	display progress.Display // of what is under way; nil before and after
}

// run runs a command line and returns its exit code.
func run(args []string, in, out, errs *os.File) int {
	a := &app{
		in: in, answers: bufio.NewReader(in), stdout: out, stderr: errs, out: escape.Writer(out), err: escape.Writer(errs),
		name: programName(args[0]), args: args[1:], mode: progress.Plain,
	}
	ctx, stop := a.catchSignals(context.Background())
	defer stop()
	slog.SetDefault(slog.New(warnings{app: a})) // and with it the log package
	quietLibraries()

	root := a.rootCommand()
	root.SetArgs(joinValues(root.Flags(), args[1:]))
	err := root.ExecuteContext(ctx)
	a.close()
	return a.exit(ctx, err)
}

// programName is the name that help shows: scripts call the binary
// docker-compose too.
func programName(path string) string {
	if base := filepath.Base(path); base == "docker-compose" {
		return base
	}
	return "compose"
}

// close ends the display and gives back what the command held.
func (a *app) close() {
	a.hide()
	if a.ahead != nil {
		_, _ = a.ahead() // its connection is to be closed, too
	}
	a.mu.Lock()
	closers := a.closers
	a.closers = nil
	a.mu.Unlock()
	for _, f := range slices.Backward(closers) {
		f()
	}
}

// atEnd has f called when the command ends, however it ends.
func (a *app) atEnd(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closers = append(a.closers, f)
}

// show starts the display of an operation, "up", and ends the one before.
func (a *app) show(operation string) progress.Display {
	a.hide()
	d := progress.New(progress.Options{
		Mode: a.mode, Operation: operation, Out: a.stderr, Size: a.errSize,
		Color: a.colors(a.stderr), DryRun: a.global.dryRun,
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.display = d
	return d
}

// shown is the display of what is under way, or nil.
func (a *app) shown() progress.Display {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.display
}

// hide ends the display.
func (a *app) hide() {
	a.mu.Lock()
	d := a.display
	a.display = nil
	a.mu.Unlock()
	if d != nil {
		d.Close()
	}
}

// write calls f while no display is on the screen.
func (a *app) write(f func()) {
	if d := a.shown(); d != nil {
		d.Write(f)
		return
	}
	f()
}

// errSize is the size of the terminal at standard error.
func (a *app) errSize() (width, rows int) {
	width, rows, err := term.GetSize(int(a.stderr.Fd()))
	if err != nil || width == 0 || rows == 0 {
		return 80, 24
	}
	return width, rows
}

// colors reports whether escapes may be written to f.
func (a *app) colors(f *os.File) bool {
	switch {
	case os.Getenv("NO_COLOR") != "", a.global.ansi == "never":
		return false
	case a.global.ansi == "always":
		return true
	}
	return isTerminal(f)
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// status is where short status lines go, as "No container to kill".
func (a *app) status() io.Writer {
	if truth(a.env.process("COMPOSE_STATUS_STDOUT")) {
		return a.out
	}
	return a.err
}
