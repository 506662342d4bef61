package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/opencontainers/selinux/go-selinux"
	"github.com/opencontainers/selinux/go-selinux/label"
)

// selinuxLabels are the SELinux labels of a container: of its processes, "" for
// one that is not confined, and of its files. The zero value is a host without.
type selinuxLabels struct{ process, file string }

func (l selinuxLabels) none() bool { return l == selinuxLabels{} }

// hostLabels are what the host's policy has for containers; none where SELinux
// is off, or its policy knows of no containers. A file beside the policy names
// them, also where no module of the policy defines them, as on Debian 12.
// Source: containers/container-selinux, container_contexts.
func hostLabels() (selinuxLabels, error) {
	process, file, err := label.InitLabels(nil) // with categories that mean nothing
	if err != nil || process == "" || file == "" || checkLabels(process, file) != nil {
		return selinuxLabels{}, err
	}
	return selinuxLabels{process, file}, nil
}

// PolicyHasContainers tells whether the host's SELinux policy has labels for
// containers.
func PolicyHasContainers() (bool, error) {
	labels, err := hostLabels()
	return !labels.none(), err
}

// Labelled tells whether containers here have SELinux labels.
func (c *Client) Labelled() (bool, error) {
	host, err := c.host()
	return !host.SELinux.none(), err
}

// FileLabel is the SELinux label of the files of a container that is to be
// made of cfg, the same as Create writes into its record; "" without SELinux.
func (c *Client) FileLabel(ctx context.Context, cfg CreateConfig) (string, error) {
	if labelled, err := c.Labelled(); err != nil || !labelled {
		return "", err
	}
	host, err := c.host()
	if err != nil {
		return "", err
	}
	joined, err := c.joinedLabel(ctx, cfg)
	if err != nil {
		return "", err
	}
	options, err := parseSecurityOptions(cfg.Service.SecurityOpt)
	if err != nil {
		return "", err
	}
	labels, err := containerLabels(specInput{CreateConfig: cfg, host: host, joinedLabel: joined}, options.label)
	return labels.file, err
}

// labelOptions are the label= entries of security_opt.
type labelOptions struct {
	disabled bool
	parts    map[string]string // by the keys of labelParts; nil when none is given
}

// labelParts can be set; filetype is that of the container's files.
// Source: Docker, docker run --security-opt.
var labelParts = []string{"user", "role", "type", "level", "filetype"}

func (o labelOptions) given() bool { return o.disabled || o.parts != nil }

// add reads one entry.
func (o *labelOptions) add(entry string) error {
	if entry == "disable" {
		o.disabled = true
		return nil
	}
	key, value, ok := strings.Cut(entry, ":")
	if !ok || !slices.Contains(labelParts, key) || value == "" {
		return fmt.Errorf("security_opt: label %q is none of user:, role:, type:, level:, filetype: and disable", entry)
	}
	if o.parts == nil {
		o.parts = map[string]string{}
	}
	o.parts[key] = value
	return nil
}

// selinux sets the labels of the container's processes and files.
func (b *specBuilder) selinux(o labelOptions) error {
	if b.host.SELinux.none() {
		if o.parts != nil && !o.disabled {
			b.warn("security_opt: label: the host has no SELinux labels for containers")
		}
		return nil
	}
	labels, err := containerLabels(b.specInput, o)
	if err != nil {
		return err
	}
	b.spec.Process.SelinuxLabel, b.spec.Linux.MountLabel = labels.process, labels.file
	return nil
}

// containerLabels decides on the labels of a container.
// Source: Docker, generateSecurityOpt; go-selinux, InitLabels.
func containerLabels(in specInput, o labelOptions) (selinuxLabels, error) {
	if in.host.SELinux.none() {
		return selinuxLabels{}, nil
	}
	process, err := selinux.NewContext(in.host.SELinux.process)
	if err != nil {
		return selinuxLabels{}, fmt.Errorf("SELinux label of containers: %w", err)
	}
	file, err := selinux.NewContext(in.host.SELinux.file)
	if err != nil {
		return selinuxLabels{}, fmt.Errorf("SELinux label of containers' files: %w", err)
	}
	unconfined := in.Service.Privileged || in.Record.PIDMode == "host" || in.Record.IPCMode == "host"
	switch {
	case o.disabled, unconfined && !o.given():
		setLevel(file, unconfinedLevel)
		return selinuxLabels{file: file.Get()}, nil
	case in.joinedLabel != "" && !o.given():
		if process, err = selinux.NewContext(in.joinedLabel); err != nil {
			return selinuxLabels{}, fmt.Errorf("SELinux label of the container that is joined: %w", err)
		}
		file["user"], file["level"] = process["user"], process["level"]
	default:
		own := categories(in.ID)
		setLevel(process, own)
		setLevel(file, own)
		setParts(process, file, o.parts)
	}
	return selinuxLabels{process.Get(), file.Get()}, nil
}

// setLevel changes the level of a label, where the policy has levels.
func setLevel(c selinux.Context, level string) {
	if c["level"] != "" {
		c["level"] = level
	}
}

// setParts makes labels as security_opt says. Files share user and level with
// the processes that use them.
func setParts(process, file selinux.Context, parts map[string]string) {
	maps.Copy(process, parts)
	for _, key := range []string{"user", "level"} {
		if value := parts[key]; value != "" {
			file[key] = value
		}
	}
	if value := parts["filetype"]; value != "" {
		file["type"] = value
	}
}

// Of the 1024 categories, containers share all but the last two, which the
// files of unconfined containers have: nobody confined may use these.
// Source: go-selinux, PrivContainerMountLabel.
const (
	ownCategories   = 1022
	unconfinedLevel = "s0:c1022,c1023"
)

// categories is a level with two categories of a container's own. They follow
// from its id: whoever asks, and whenever, the answer is the same.
func categories(id string) string {
	sum := sha256.Sum256([]byte(id))
	a := binary.BigEndian.Uint64(sum[:]) % ownCategories
	b := binary.BigEndian.Uint64(sum[8:]) % (ownCategories - 1)
	if b >= a { // any but a
		b++
	}
	return fmt.Sprintf("s0:c%d,c%d", min(a, b), max(a, b))
}

// joinedLabel is the label of the container whose pid or ipc namespace is
// joined, which a container has to have as well to be of any use there; "" when
// it joins none, one that has none, or its own options say which it has.
func (c *Client) joinedLabel(ctx context.Context, cfg CreateConfig) (string, error) {
	options, err := parseSecurityOptions(cfg.Service.SecurityOpt)
	if err != nil || options.label.given() {
		return "", err
	}
	if labelled, err := c.Labelled(); err != nil || !labelled {
		return "", err
	}
	var labels []string
	for _, id := range []string{joined(cfg.Record.PIDMode), joined(cfg.Record.IPCMode)} {
		if id == "" {
			continue
		}
		one, err := c.processLabel(ctx, id)
		if err != nil {
			return "", fmt.Errorf("SELinux label of %s: %w", short(id), err)
		}
		labels = append(labels, one)
	}
	switch {
	case len(labels) == 0 || slices.Contains(labels, ""):
		return "", nil
	case labels[0] != labels[len(labels)-1]:
		return "", errors.New("pid and ipc join containers with different SELinux labels: choose one with label=level: in security_opt")
	}
	return labels[0], nil
}

// processLabel is the label of a container's processes.
func (c *Client) processLabel(ctx context.Context, id string) (string, error) {
	r, err := c.containers.Get(ctx, id)
	if err != nil {
		return "", edge(err)
	}
	spec, err := decodeSpec(r.Spec)
	if err != nil || spec.Process == nil {
		return "", err
	}
	return spec.Process.SelinuxLabel, nil
}

// checkLabels asks the kernel whether its policy knows the labels: runc would
// only say that an argument is invalid. Where SELinux is off there is nobody to ask.
func checkLabels(labels ...string) error {
	if !selinux.GetEnabled() {
		return nil
	}
	for _, l := range labels {
		if l == "" {
			continue
		}
		if err := selinux.SecurityCheckContext(l); err != nil {
			return fmt.Errorf("security_opt: label: the SELinux policy of the host has no %s: %w", l, err)
		}
	}
	return nil
}

// labelMounts gives the mounts of a container's root the label of its files.
// Source: containerd's client, NewTask.
func labelMounts(mounts []mount.Mount, fileLabel string) []mount.Mount {
	if fileLabel == "" {
		return mounts
	}
	labelled := slices.Clone(mounts)
	for i, m := range mounts {
		labelled[i].Options = append(slices.Clone(m.Options), label.FormatMountLabel("", fileLabel))
	}
	return labelled
}
