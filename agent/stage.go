package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/compose-first/compose/internal/process"
)

// What logger and agent write of themselves into their pid files.
const (
	stageStarting = "starting"
	stageReady    = "ready" // the logger has all pipes open, the agent serves names
)

// noteStage writes this process to a pid file, with how far it has come.
func noteStage(path, stage string) error {
	p, ok := process.Of(os.Getpid())
	if !ok {
		return errors.New("write pid file: no /proc")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	return p.WriteFile(path, stage)
}
