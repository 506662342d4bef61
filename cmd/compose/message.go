package main

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/compose-first/compose/internal/progress"
)

// warn tells of something that is not as it should be, and does not stop the
// command.
func (a *app) warn(format string, args ...any) {
	a.message("warning", fmt.Sprintf(format, args...))
}

// info tells something that a reader of warnings wants to know too.
func (a *app) info(format string, args ...any) {
	a.message("info", fmt.Sprintf(format, args...))
}

// message writes a line of a level to standard error, in the form that goes
// with the progress beside it.
func (a *app) message(level, text string) {
	a.write(func() {
		switch {
		case a.mode == progress.JSON:
			progress.WriteJSONMessage(a.err, level, text)
		case isTerminal(a.err):
			mark := strings.ToUpper(level)[:4]
			if a.colors(a.err) {
				mark = "\x1b[33m" + mark + "\x1b[0m"
			}
			fmt.Fprintf(a.err, "%s[0000] %s\n", mark, progress.EscapeText(text))
		default:
			fmt.Fprintf(a.err, "time=%q level=%s msg=%s\n", time.Now().Format(time.RFC3339), level, strconv.Quote(text))
		}
	})
}

// debugLog sends debug logs to standard error, between the lines of progress.
func (a *app) debugLog(level slog.Level) {
	h := slog.NewTextHandler(logWriter{a}, &slog.HandlerOptions{Level: level})
	slog.SetDefault(slog.New(h))
}

type logWriter struct{ app *app }

func (w logWriter) Write(line []byte) (n int, err error) {
	w.app.write(func() { n, err = w.app.err.Write(line) })
	return n, err
}
