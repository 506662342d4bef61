package agent

import (
	"context"
	"errors"

	"github.com/compose-first/compose/internal/layout"
)

// Client asks the agent of an engine.
type Client struct {
	root layout.Root
}

// Ensure makes sure that the logger and the agent of root run, and in this
// version: others are replaced. binary is the path of the compose binary.
// Commands that call it at once start one pair.
func Ensure(ctx context.Context, root layout.Root, binary, version string) (*Client, error) {
	return nil, errors.ErrUnsupported
}

// Find returns a client for the agent of root, running or not.
func Find(root layout.Root) *Client { return &Client{root: root} }

// Version returns the version of the running agent.
func (c *Client) Version(ctx context.Context) (string, error) { return "", errors.ErrUnsupported }

// Ready returns once names are served in the network namespace of a container
// that is created or running.
func (c *Client) Ready(ctx context.Context, containerID string) error { return errors.ErrUnsupported }

// Sync returns once the agent has acted upon all that containerd holds now.
func (c *Client) Sync(ctx context.Context) error { return errors.ErrUnsupported }

// Stop ends logger and agent, and returns once both are gone. It is no error
// when none runs.
func (c *Client) Stop(ctx context.Context) error { return errors.ErrUnsupported }
