package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/lock"
)

// ErrNotRunning means that no agent answers.
var ErrNotRunning = errors.New("the agent does not answer")

// Client asks the agent of an engine. It is safe for concurrent use.
type Client struct {
	root layout.Root
	http *http.Client
}

// Find returns a client for the agent of root, running or not.
func Find(root layout.Root) *Client {
	socket := root.AgentSocket()
	return &Client{root: root, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
}

// Ready returns once names are served in the network namespace of a container
// that is created or running.
func (c *Client) Ready(ctx context.Context, containerID string) error {
	_, err := c.ask(ctx, http.MethodPost, "/ready?id="+url.QueryEscape(containerID))
	if err != nil {
		return fmt.Errorf("serve names: %w", err)
	}
	return nil
}

// Sync returns once the agent has acted upon all that containerd holds now.
func (c *Client) Sync(ctx context.Context) error {
	_, err := c.ask(ctx, http.MethodPost, "/sync")
	return err
}

// Alive returns nil when the agent answers, and containerd answers it.
func (c *Client) Alive(ctx context.Context) error {
	err := c.Sync(ctx)
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		return nil // it has looked, and told of something that it could not do
	}
	return err
}

// Stopped tells whether Stop was the last that happened to the agent.
func (c *Client) Stopped() bool {
	_, err := os.Stat(c.root.Pid("logger"))
	return errors.Is(err, fs.ErrNotExist)
}

// Rest has the agent restart no container any more, for its remaining life:
// what ends from now on is to stay so. One that does not know how, of another
// build, is stopped. It is no error when no agent runs.
func (c *Client) Rest(ctx context.Context) error {
	_, err := c.ask(ctx, http.MethodPost, "/rest")
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		return c.Stop(ctx)
	}
	if err != nil && !errors.Is(err, ErrNotRunning) {
		return fmt.Errorf("have the agent rest: %w", err)
	}
	return nil
}

// Stop ends logger and agent for good, as the engine is stopped: the next
// start of the agent counts as one of the engine. It returns once both are
// gone, and it is no error when none runs.
func (c *Client) Stop(ctx context.Context) error {
	turn, err := lock.Take(ctx, c.root.Lock("agent"), "compose agent", nil)
	if err != nil {
		return fmt.Errorf("stop the agent: %w", err)
	}
	defer turn.Release()
	if err := stopAll(ctx, c.root); err != nil {
		return err
	}
	for _, path := range []string{c.root.AgentSocket(), c.root.Pid("logger"), c.root.Pid("agent")} {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("stop the agent: %w", err)
		}
	}
	return forgetBoot(c.root)
}

// Status is what the agent says of itself.
type Status struct {
	Version    string `json:"version"`
	Containerd string `json:"containerd"` // socket path
	PID        int    `json:"pid"`
	Booting    bool   `json:"booting"`    // containers are still to be started by a boot
	Goroutines int    `json:"goroutines"` // what it has under way, for whoever suspects that it hoards
}

// answerLimit is how long an agent may take to say which one it is before it is
// taken to be stuck. It does so at once.
const answerLimit = 10 * time.Second

// Status asks the agent, and returns ErrNotRunning without one.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	limited, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	b, err := c.ask(limited, http.MethodGet, "/version")
	if ctx.Err() == nil && limited.Err() != nil {
		return s, fmt.Errorf("%w within %v", ErrNotRunning, answerLimit)
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%w as expected: %w", ErrNotRunning, err)
	}
	return s, nil
}

// ask sends a request to the agent and returns its answer.
func (c *Client) ask(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, &refusal{strings.TrimSpace(string(b))}
	}
	return b, nil
}

// refusal is an agent's answer that something could not be done.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }
