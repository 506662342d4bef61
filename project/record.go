package project

import (
	"net/netip"
	"time"
)

// Record is all that must be known of a container, besides its OCI spec and
// labels, to run it again: after a stop, a crash or a reboot, with no Compose
// file at hand. It is written once, when the container is created.
type Record struct {
	Project string `json:"project"`
	Service string `json:"service"`
	Number  int    `json:"number,omitempty"` // 0 for a one-off
	OneOff  bool   `json:"oneoff,omitempty"`

	// NetworkMode is "" when Networks says it all; else "none", "host", or
	// "container:ID" for the network of another container.
	NetworkMode string       `json:"network_mode,omitempty"`
	Networks    []Attachment `json:"networks,omitempty"` // in interface order: eth0, eth1, …
	Ports       []Port       `json:"ports,omitempty"`
	DNS         DNS          `json:"dns"`
	Hostname    string       `json:"hostname"`
	Domainname  string       `json:"domainname,omitempty"`
	ExtraHosts  []HostEntry  `json:"extra_hosts,omitempty"`
	Links       []Link       `json:"links,omitempty"`

	// PIDMode and IPCMode are "", "host", or "container:ID".
	PIDMode string `json:"pid_mode,omitempty"`
	IPCMode string `json:"ipc_mode,omitempty"`

	Restart   Restart      `json:"restart"`
	Health    *Health      `json:"health,omitempty"` // nil: no check
	DependsOn []Dependency `json:"depends_on,omitempty"`

	StopSignal string        `json:"stop_signal,omitempty"` // "" is SIGTERM
	StopGrace  time.Duration `json:"stop_grace"`

	Log    Log         `json:"log"`
	TTY    bool        `json:"tty,omitempty"`
	Stdin  bool        `json:"stdin,omitempty"`
	Files  []File      `json:"files,omitempty"`  // secrets and configs
	Mounts []MountInfo `json:"mounts,omitempty"` // volumes and binds, for listing and for volumes_from

	Expose  []string `json:"expose,omitempty"` // "80/tcp", from the file and the image
	Command string   `json:"command"`          // as ps shows it, entrypoint first
	Image   string   `json:"image"`            // reference as the user wrote it
	Attach  bool     `json:"attach"`           // attached up prints its output

	// FileLabel is the SELinux label of its files, with the categories that are
	// its own; "" where the host had no SELinux when it was created.
	FileLabel string `json:"file_label,omitempty"`
}

// Attachment is one interface of a container on one network.
type Attachment struct {
	Network   string       `json:"network"`   // full name, "shop_default"
	Interface string       `json:"interface"` // "eth0"
	Address   netip.Prefix `json:"address"`   // with the subnet's length; zero without IPv4
	Address6  netip.Prefix `json:"address6"`
	MAC       string       `json:"mac,omitempty"`
	Aliases   []string     `json:"aliases,omitempty"` // besides the service, container and short id names
	Gateway   bool         `json:"gateway,omitempty"` // the default route goes this way
}

// Port is one published port of the container's service. A range in the file
// is one Port each.
type Port struct {
	HostIP       netip.Addr `json:"host_ip"`                 // zero: every local address
	Published    uint16     `json:"published"`               // 0: a free one is chosen when the service starts
	PublishedEnd uint16     `json:"published_end,omitempty"` // with Published, a range to choose one free port from
	Target       uint16     `json:"target"`
	Protocol     string     `json:"protocol"`       // "tcp" or "udp"
	Mode         string     `json:"mode,omitempty"` // "" or "ingress": balanced over replicas; "host": this container alone
}

// DNS is a container's resolver settings.
type DNS struct {
	Servers []string `json:"servers,omitempty"`
	Search  []string `json:"search,omitempty"`
	Options []string `json:"options,omitempty"`
}

// HostEntry is a line of /etc/hosts.
type HostEntry struct {
	Name    string `json:"name"`
	Address string `json:"address"` // an address, or "host-gateway"
}

// Link makes another service answer to a further name, for this container only.
type Link struct {
	Service string `json:"service"`
	Alias   string `json:"alias"`
}

// Names of restart policies.
// Source: Compose Specification, 05-services.md, restart.
const (
	RestartNo            = "no"
	RestartAlways        = "always"
	RestartUnlessStopped = "unless-stopped"
	RestartOnFailure     = "on-failure"
)

// Restart is a restart policy; Max bounds the restarts of on-failure, 0 is no
// bound.
type Restart struct {
	Name string `json:"name"`
	Max  int    `json:"max,omitempty"`
}

// Again reports whether a container that ended with exitCode, after so many
// restarts, is to run again, as far as its policy is concerned.
func (r Restart) Again(exitCode, restarts int) bool {
	switch r.Name {
	case RestartAlways, RestartUnlessStopped:
		return true
	case RestartOnFailure:
		return exitCode != 0 && (r.Max == 0 || restarts < r.Max)
	}
	return false
}

// Health is a health check with all defaults filled in.
type Health struct {
	Test          []string      `json:"test"` // "CMD" or "CMD-SHELL" first
	Interval      time.Duration `json:"interval"`
	Timeout       time.Duration `json:"timeout"`
	Retries       int           `json:"retries"`
	StartPeriod   time.Duration `json:"start_period,omitempty"`
	StartInterval time.Duration `json:"start_interval,omitempty"`
}

// Log says how a container's output is kept.
type Log struct {
	Driver  string `json:"driver"`             // "json-file", "local" or "none"
	MaxSize int64  `json:"max_size,omitempty"` // bytes a file; 0: no bound
	MaxFile int    `json:"max_file,omitempty"` // files kept, the current one included; 0 is 1
}

// File is a secret or config as its container sees it.
type File struct {
	Kind   string `json:"kind"`             // "secret" or "config"
	Name   string `json:"name"`             // key in the Compose file
	Source string `json:"source,omitempty"` // host path; "": the content is kept by volumes under Name
	Target string `json:"target"`           // absolute path in the container
	UID    uint32 `json:"uid,omitempty"`
	GID    uint32 `json:"gid,omitempty"`
	Mode   uint32 `json:"mode"` // permission bits, 0444 by default

	// AsIs is a file with a Source whose grant sets neither owner nor mode: the
	// container sees it as it is on the host.
	AsIs bool `json:"as_is,omitempty"`
}

// MountInfo is a volume, bind or tmpfs of a container, as listings show it.
type MountInfo struct {
	Type      string   `json:"type"`           // "volume", "bind", "tmpfs"
	Name      string   `json:"name,omitempty"` // volume name
	Source    string   `json:"source,omitempty"`
	Target    string   `json:"target"`
	Options   []string `json:"options,omitempty"`
	Anonymous bool     `json:"anonymous,omitempty"`
}

// Conditions of a dependency.
// Source: Compose Specification, 05-services.md, depends_on.
const (
	ConditionStarted   = "service_started"
	ConditionHealthy   = "service_healthy"
	ConditionCompleted = "service_completed_successfully"
)

// Dependency is one entry of a service's depends_on, implied ones included.
type Dependency struct {
	Service   string `json:"service"`
	Condition string `json:"condition"`
	Restart   bool   `json:"restart,omitempty"`
	Required  bool   `json:"required"`
}
