package project

import (
	"slices"
	"strings"
	"sync"

	"github.com/sirupsen/logrus"
)

// capturing guards the standard logger of logrus, which compose-go warns
// through and which it cannot be told to leave.
var capturing sync.Mutex

// captureWarnings calls do, and gives it what is logged as warnings meanwhile.
// Lines with fields are not compose-go's and are logged as ever.
func captureWarnings(do func(*capture) error) error {
	capturing.Lock()
	defer capturing.Unlock()
	logger := logrus.StandardLogger()
	c := &capture{next: logger.Formatter}
	logger.SetFormatter(c)
	defer logger.SetFormatter(c.next)
	return do(c)
}

// capture is a logrus formatter that keeps warnings instead of writing them.
type capture struct {
	next     logrus.Formatter
	mu       sync.Mutex
	warnings []string // guarded by mu
}

// Format implements logrus.Formatter.
func (c *capture) Format(e *logrus.Entry) ([]byte, error) {
	if len(e.Data) > 0 || e.Level != logrus.WarnLevel {
		return c.next.Format(e)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.warnings = append(c.warnings, strings.TrimSpace(e.Message))
	return nil, nil
}

// take returns the warnings since the last call, sorted, since compose-go
// walks maps, and each once.
func (c *capture) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := slices.Compact(slices.Sorted(slices.Values(c.warnings)))
	c.warnings = nil
	return taken
}
