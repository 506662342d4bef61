package progress

import (
	"encoding/json"
	"io"
	"sync"
)

// jsonDisplay writes each event as an object on a line of its own.
type jsonDisplay struct {
	mu     sync.Mutex
	out    io.Writer
	dryRun bool
	closed bool
}

// jsonEvent is an event as scripts read it. Keys without a value are left out.
type jsonEvent struct {
	DryRun   bool   `json:"dry-run,omitempty"`
	ID       string `json:"id,omitempty"`
	ParentID string `json:"parent_id,omitempty"`
	Status   Status `json:"status,omitempty"`
	Text     string `json:"text,omitempty"`
	Details  string `json:"details,omitempty"`
	Current  int64  `json:"current,omitempty"`
	Total    int64  `json:"total,omitempty"`
	Percent  int    `json:"percent,omitempty"`
}

func (d *jsonDisplay) Emit(e Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	_ = encoder(d.out).Encode(jsonEvent{
		DryRun: d.dryRun, ID: e.ID, ParentID: e.ParentID, Status: e.Status, Text: e.Text,
		Details: e.Details, Current: e.Current, Total: e.Total, Percent: percent(e.Current, e.Total),
	})
}

func (d *jsonDisplay) Write(write func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	write()
}

// Settle changes nothing: a reader of JSON wants every event.
func (d *jsonDisplay) Settle() {}

func (d *jsonDisplay) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

// WriteJSONError writes an error as a JSON line.
func WriteJSONError(w io.Writer, message string) {
	_ = encoder(w).Encode(struct {
		Error   bool   `json:"error"`
		Message string `json:"message"`
	}{true, message})
}

// WriteJSONMessage writes a message of a level ("warning", "info") as a JSON line.
func WriteJSONMessage(w io.Writer, level, message string) {
	_ = encoder(w).Encode(struct {
		Level   string `json:"level"`
		Message string `json:"message"`
	}{level, message})
}

func encoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}

// percent is 0 to 100; 0 when the total is not known.
func percent(current, total int64) int {
	if total <= 0 || current <= 0 {
		return 0
	}
	return int(min(current, total) * 100 / total)
}
