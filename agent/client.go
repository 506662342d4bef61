package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

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

// Version returns the version of the running agent, ErrNotRunning without one.
func (c *Client) Version(ctx context.Context) (string, error) {
	s, err := c.status(ctx)
	return s.Version, err
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

// status is what the agent says of itself.
type status struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
	Booting bool   `json:"booting"` // containers are still to be started by a boot
}

func (c *Client) status(ctx context.Context) (status, error) {
	var s status
	b, err := c.ask(ctx, http.MethodGet, "/version")
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
		return nil, errors.New(strings.TrimSpace(string(b)))
	}
	return b, nil
}
