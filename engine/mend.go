package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"

	"github.com/compose-first/compose/project"
)

// copyAnnotation is where a container's spec has a copy of what was recorded of
// it at its creation: what somebody garbles is mended from it.
const copyAnnotation = "compose.copy"

// recorded is that copy.
type recorded struct {
	Labels map[string]string `json:"labels"`
	Record json.RawMessage   `json:"record"`
}

// encodeCopy is the annotation of a container to be.
func encodeCopy(labels map[string]string, record typeurl.Any) (string, error) {
	b, err := json.Marshal(recorded{Labels: labels, Record: record.GetValue()})
	if err != nil {
		return "", fmt.Errorf("encode copy of the record: %w", err)
	}
	return string(b), nil
}

// readCopy returns the copy that a container's spec has.
func readCopy(spec typeurl.Any) (recorded, error) {
	var s struct {
		Annotations map[string]string `json:"annotations"`
	}
	var r recorded
	if spec == nil {
		return r, errors.New("there is no spec")
	}
	if err := json.Unmarshal(spec.GetValue(), &s); err != nil {
		return r, err
	}
	text, ok := s.Annotations[copyAnnotation]
	if !ok {
		return r, errors.New("its spec has no copy")
	}
	return r, json.Unmarshal([]byte(text), &r)
}

// Mended is a container of which something was put right.
type Mended struct {
	Name string
	What []string // "record", or labels by their keys
}

// MendAll puts right what somebody garbled in the records of all containers.
func (c *Client) MendAll(ctx context.Context) ([]Mended, error) {
	all, err := c.containers.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", edge(err))
	}
	var mended []Mended
	var errs []error
	for _, r := range all {
		m, err := c.mend(ctx, r)
		errs = append(errs, err)
		if len(m.What) > 0 {
			mended = append(mended, m)
		}
	}
	return mended, errors.Join(errs...)
}

// Mend is MendAll for one container. That it is gone is no error.
func (c *Client) Mend(ctx context.Context, id string) (Mended, error) {
	r, err := c.containers.Get(ctx, id)
	if err = edge(err); isNotFound(err) {
		return Mended{}, nil
	}
	if err != nil {
		return Mended{}, fmt.Errorf("look at the record of %s: %w", short(id), err)
	}
	return c.mend(ctx, r)
}

func (c *Client) mend(ctx context.Context, r containers.Container) (Mended, error) {
	was, err := readCopy(r.Spec)
	if err != nil {
		return Mended{}, nil // another client's, or one whose copy is garbled itself
	}
	change, paths := repairs(r, was)
	if c.runsUnnoted(ctx, r) {
		change.Labels[project.LabelStartedAt] = time.Now().UTC().Format(time.RFC3339Nano)
		paths = append(paths, "labels."+project.LabelStartedAt)
	}
	if len(paths) == 0 {
		return Mended{}, nil
	}
	m := Mended{Name: was.Labels[project.LabelName], What: paths}
	if _, err := c.containers.Update(ctx, change, paths...); err != nil {
		if err = edge(err); isNotFound(err) {
			return Mended{}, nil
		}
		return Mended{}, fmt.Errorf("mend %s: %w", m.Name, err)
	}
	return m, nil
}

// runsUnnoted reports whether a container runs that nobody seems to have
// started: were that so when it ends, no restart policy would act.
func (c *Client) runsUnnoted(ctx context.Context, r containers.Container) bool {
	if r.Labels[project.LabelStartedAt] != "" {
		return false
	}
	t, err := c.getTask(ctx, r.ID)
	return err == nil && t != nil && t.Status == task.Status_RUNNING
}

// repairs is what of a container's record differs from its copy, and the paths
// of it as containerd names them.
func repairs(r containers.Container, was recorded) (change containers.Container, paths []string) {
	change = containers.Container{ID: r.ID, Labels: map[string]string{}}
	for _, key := range slices.Sorted(maps.Keys(was.Labels)) {
		if r.Labels[key] != was.Labels[key] {
			change.Labels[key] = was.Labels[key]
			paths = append(paths, "labels."+key)
		}
	}
	if ext := r.Extensions[project.RecordExtension]; ext == nil || !bytes.Equal(ext.GetValue(), was.Record) {
		any := encoded(recordType, was.Record)
		change.Extensions = map[string]typeurl.Any{project.RecordExtension: any}
		paths = append(paths, "extensions."+project.RecordExtension)
	}
	return change, paths
}
