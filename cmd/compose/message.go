package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"google.golang.org/grpc/grpclog"

	"github.com/compose-first/compose/internal/escape"
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
		case isTerminal(a.stderr):
			mark := strings.ToUpper(level)[:4]
			if a.colors(a.stderr) {
				mark = "\x1b[33m" + mark + "\x1b[0m"
			}
			fmt.Fprintf(a.stderr, "%s[0000] %s\n", mark, escape.Text(text))
		default:
			fmt.Fprintf(a.err, "time=%q level=%s msg=%s\n", time.Now().Format(time.RFC3339), level, strconv.Quote(text))
		}
	})
}

// quietLibraries keeps what libraries log off the terminal: it goes to our own
// log, for those who debug.
func quietLibraries() {
	logrus.SetOutput(io.Discard)
	logrus.AddHook(debugHook{})
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
}

// debugHook passes entries of logrus on to slog.
type debugHook struct{}

func (debugHook) Levels() []logrus.Level { return logrus.AllLevels }

func (debugHook) Fire(e *logrus.Entry) error {
	args := []any{"level", e.Level.String()}
	for _, k := range slices.Sorted(maps.Keys(e.Data)) {
		args = append(args, k, e.Data[k])
	}
	slog.Debug("library: "+e.Message, args...)
	return nil
}

// warnings shows what the rooms warn of in their logs as this command's own
// warnings, and nothing less than that.
type warnings struct {
	app   *app
	attrs []slog.Attr
}

func (w warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (w warnings) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	add := func(at slog.Attr) bool {
		text += fmt.Sprintf(", %s: %s", at.Key, at.Value)
		return true
	}
	for _, at := range w.attrs {
		add(at)
	}
	r.Attrs(add)
	w.app.warn("%s", text)
	return nil
}

func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	w.attrs = append(slices.Clip(w.attrs), attrs...)
	return w
}

// WithGroup is for logs only: warnings have no room for groups.
func (w warnings) WithGroup(string) slog.Handler { return w }

// debugLog sends debug logs to standard error, between the lines of progress.
func (a *app) debugLog(level slog.Level) {
	if level <= slog.LevelDebug {
		logrus.SetLevel(logrus.DebugLevel)
	}
	h := slog.NewTextHandler(logWriter{a}, &slog.HandlerOptions{Level: level})
	slog.SetDefault(slog.New(h))
}

type logWriter struct{ app *app }

func (w logWriter) Write(line []byte) (n int, err error) {
	w.app.write(func() { n, err = w.app.err.Write(line) })
	return n, err
}
