package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"

	"github.com/compose-spec/compose-go/v2/types"
	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/compose-first/compose/project"
)

// runtimeName is containerd's shim for runc.
const runtimeName = "io.containerd.runc.v2"

// specType is what containerd's own client calls an OCI runtime spec.
// Source: containerd, client, typeurl registration of the runtime spec.
const specType = "types.containerd.io/opencontainers/runtime-spec/1/Spec"

// CreateConfig is all that makes a container.
type CreateConfig struct {
	ID      string // NewID
	Name    string
	Service types.ServiceConfig // overrides of Command and Entrypoint are already in it
	Record  project.Record
	Labels  map[string]string // LabelName is added
	Image   Image
	Netns   string  // path of a network namespace; "" is the host's, or a new one with network mode "none"
	Mounts  []Mount // outer first
	// Propagation is that of the container's root: "" follows from the mounts.
	Propagation string
	ShimGroup   string // containers of one group share a shim; "" is a shim of its own
	Size        Size   // of the terminal at the first start; zero: not known

	// HostGateway is the address that "host-gateway" stands for in extra_hosts;
	// "" is the first address of the subnet with the default route.
	HostGateway string
}

// Mount is a plain OCI mount.
type Mount struct {
	Type    string // "bind", "tmpfs", …
	Source  string
	Target  string
	Options []string
}

// Create makes a container that is not started. ErrConflict if the id is taken.
//
// The container comes before its snapshot: what a crash leaves behind is
// always labelled, and a snapshot that a container names is safe from
// containerd's garbage collection.
func (c *Client) Create(ctx context.Context, cfg CreateConfig) (retErr error) {
	if err := c.noteAddress(); err != nil {
		return fmt.Errorf("create %s: %w", cfg.Name, err)
	}
	spec, err := c.spec(ctx, cfg)
	if err != nil {
		return fmt.Errorf("create %s: %w", cfg.Name, err)
	}
	cfg.Record.FileLabel = spec.Linux.MountLabel
	record, err := c.containerRecord(cfg, spec)
	if err != nil {
		return fmt.Errorf("create %s: %w", cfg.Name, err)
	}
	if err := c.writeFiles(cfg); err != nil {
		return fmt.Errorf("create %s: %w", cfg.Name, err)
	}
	defer func() {
		if retErr != nil && !isConflict(retErr) {
			_ = os.RemoveAll(c.cfg.Root.Container(cfg.ID))
		}
	}()
	if _, err := c.containers.Create(ctx, record); err != nil {
		return fmt.Errorf("create %s: %w", cfg.Name, edge(err))
	}
	defer func() {
		if retErr != nil {
			_ = c.containers.Delete(context.WithoutCancel(ctx), cfg.ID)
		}
	}()
	if err := c.prepareRootfs(ctx, cfg); err != nil {
		return fmt.Errorf("create %s: files of image %s: %w", cfg.Name, cfg.Image.Name, err)
	}
	return nil
}

// prepareRootfs makes the container's own layer on its image's. An image that
// came here by other hands may have to be unpacked first.
func (c *Client) prepareRootfs(ctx context.Context, cfg CreateConfig) error {
	_, err := c.snapshots.Prepare(ctx, cfg.ID, cfg.Image.ChainID)
	if err = edge(err); !isNotFound(err) {
		return err
	}
	if err := c.unpack(ctx, cfg.Image.Name, cfg.Image.Platform); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	_, err = c.snapshots.Prepare(ctx, cfg.ID, cfg.Image.ChainID)
	return edge(err)
}

// containerRecord is what containerd keeps of a container.
func (c *Client) containerRecord(cfg CreateConfig, spec *specs.Spec) (containers.Container, error) {
	record, err := recordExtension(cfg.Record)
	if err != nil {
		return containers.Container{}, err
	}
	labels := maps.Clone(cfg.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[project.LabelName] = cfg.Name
	if spec.Annotations[copyAnnotation], err = encodeCopy(labels, record); err != nil {
		return containers.Container{}, err
	}
	specAny, err := encodeSpec(spec)
	if err != nil {
		return containers.Container{}, err
	}
	options, err := typeurl.MarshalAny(c.runcOptions())
	if err != nil {
		return containers.Container{}, fmt.Errorf("encode runtime options: %w", err)
	}
	return containers.Container{
		ID:          cfg.ID,
		Labels:      labels,
		Image:       cfg.Image.Name,
		Runtime:     containers.RuntimeInfo{Name: runtimeName, Options: options},
		Spec:        specAny,
		SnapshotKey: cfg.ID,
		Snapshotter: c.cfg.Snapshotter,
		Extensions:  map[string]typeurl.Any{project.RecordExtension: record},
	}, nil
}

// runcOptions tell the shim which runc to use, and where runc keeps its state:
// apart from that of other engines.
func (c *Client) runcOptions() *runcoptions.Options {
	return &runcoptions.Options{BinaryName: c.cfg.RuncPath, Root: c.cfg.Root.Runc()}
}

func encodeSpec(s *specs.Spec) (typeurl.Any, error) {
	a, err := encodeJSON(specType, s)
	if err != nil {
		return nil, fmt.Errorf("encode spec: %w", err)
	}
	return a, nil
}

// encodeJSON wraps a value for containerd, which tells types apart by URL.
func encodeJSON(typeURL string, v any) (*anypb.Any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return encoded(typeURL, data), nil
}

func encoded(typeURL string, data []byte) *anypb.Any {
	return &anypb.Any{TypeUrl: typeURL, Value: data}
}

func decodeSpec(a typeurl.Any) (*specs.Spec, error) {
	var s specs.Spec
	if err := json.Unmarshal(a.GetValue(), &s); err != nil {
		return nil, fmt.Errorf("decode spec: %w", err)
	}
	return &s, nil
}

// spec makes the OCI spec of a container, and tells what it could not be given.
func (c *Client) spec(ctx context.Context, cfg CreateConfig) (*specs.Spec, error) {
	joined, err := c.joinedLabel(ctx, cfg)
	if err != nil {
		return nil, err
	}
	spec, warnings, err := c.specAndWarnings(ctx, cfg, joined)
	for _, w := range warnings {
		c.cfg.Warn(cfg.Name, w)
	}
	return spec, err
}

// Check returns the error that Create would have for what the service asks of
// its image and of the host: users, devices, capabilities, CPUs, profiles. It
// changes nothing, and needs no mounts, addresses or files.
func (c *Client) Check(ctx context.Context, cfg CreateConfig) error {
	if _, _, err := c.specAndWarnings(ctx, cfg, ""); err != nil {
		return err
	}
	return trySysctls(cfg.Service.Sysctls)
}

func (c *Client) specAndWarnings(ctx context.Context, cfg CreateConfig, joinedLabel string) (*specs.Spec, []string, error) {
	host, err := c.host()
	if err != nil {
		return nil, nil, err
	}
	who, err := c.identity(ctx, cfg.Image, wantedUser(cfg), cfg.Service.GroupAdd)
	if err != nil {
		return nil, nil, err
	}
	spec, warnings, err := buildSpec(specInput{
		CreateConfig: cfg, root: c.cfg.Root, host: host, who: who, initPath: c.cfg.InitPath, joinedLabel: joinedLabel,
	})
	if err != nil {
		return nil, warnings, err
	}
	return spec, warnings, checkLabels(spec.Process.SelinuxLabel, spec.Linux.MountLabel)
}
