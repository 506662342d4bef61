package host

import (
	"context"
	"strings"
	"time"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/healthlog"
	"github.com/compose-first/compose/internal/logfile"
)

// Bounds of what an error shows of a container: lines, and the time to read them.
const (
	shownLines = 5
	readTime   = time.Second
)

// lastLines are the last lines that a container wrote; "" when they cannot be
// had: the error that they go with is what counts.
func (h *Host) lastLines(c engine.Container) string {
	ctx, cancel := context.WithTimeout(context.Background(), readTime)
	defer cancel()
	var lines []string
	_ = h.Engine.Logs(ctx, c.ID, engine.LogOptions{Tail: shownLines}, func(e logfile.Entry) error {
		lines = append(lines, strings.TrimRight(string(e.Text), "\r\n"))
		return nil
	})
	return strings.Join(lines, "\n")
}

// lastProbe is what the last probe of a container's health wrote.
func (h *Host) lastProbe(c engine.Container) string {
	log, err := healthlog.Read(h.Root.HealthLog(c.ID))
	if err != nil || len(log.Log) == 0 {
		return ""
	}
	return strings.TrimSpace(log.Log[len(log.Log)-1].Output)
}
