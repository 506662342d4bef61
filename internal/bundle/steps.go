package bundle

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"
)

// stepsLimit is how long it may take to end the steps of a killed builder.
const stepsLimit = 30 * time.Second

// stepID is how BuildKit names the containers of its steps.
// Source: github.com/moby/buildkit, identity.NewID: 25 digits of base 36.
var stepID = regexp.MustCompile(`^[0-9a-z]{25}$`)

// endSteps ends the build steps that run on although their buildkitd was
// killed: nobody waits for them any more. It must not run then.
func (b *Bundle) endSteps(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, stepsLimit)
	defer cancel()
	client, err := containerd.New(address, containerd.WithDefaultNamespace(namespace))
	if err != nil {
		return fmt.Errorf("look for steps of a killed builder: %w", err)
	}
	defer client.Close()
	all, err := client.Containers(ctx)
	if err != nil {
		return fmt.Errorf("look for steps of a killed builder: %w", err)
	}
	for _, c := range all {
		if !stepID.MatchString(c.ID()) {
			continue
		}
		if err := b.endStep(ctx, c); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("end step %s of a killed builder: %w", c.ID(), err)
		}
	}
	return nil
}

// endStep ends one step, if it is of this engine.
func (b *Bundle) endStep(ctx context.Context, c containerd.Container) error {
	spec, err := c.Spec(ctx)
	if err != nil {
		return err
	}
	if spec.Linux == nil || !strings.HasPrefix(spec.Linux.CgroupsPath, b.Root.Cgroup()+"/") {
		return nil
	}
	task, err := c.Task(ctx, nil)
	if err == nil {
		_, err = task.Delete(ctx, containerd.WithProcessKill)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return errors.Join(err, c.Delete(ctx))
	}
	return c.Delete(ctx)
}
