package engine

import (
	"context"
	"io"
	"log/slog"

	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
)

// quiet keeps what containerd's client says while it works off the terminal:
// it goes to our own log, for those who debug.
func quiet(ctx context.Context) context.Context {
	l := logrus.New()
	l.SetOutput(io.Discard)
	l.SetLevel(logrus.DebugLevel)
	l.AddHook(debugHook{})
	return log.WithLogger(ctx, logrus.NewEntry(l))
}

// debugHook passes entries on to slog.
type debugHook struct{}

func (debugHook) Levels() []logrus.Level { return logrus.AllLevels }

func (debugHook) Fire(e *logrus.Entry) error {
	args := []any{"level", e.Level.String()}
	for k, v := range e.Data {
		args = append(args, k, v)
	}
	slog.Debug("containerd: "+e.Message, args...)
	return nil
}
