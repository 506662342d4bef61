// Package netplan holds the networks of the engine. Deciding is apart from
// doing: Define, ChoosePool and FreeAddress are pure, Store keeps one record a
// network, and Host makes the kernel agree with them: bridges, network
// namespaces, veth pairs and one nftables table. It leaves it to others to say
// which container is on which network (its Record does) and which replicas
// serve a port (the agent does).
//
// Open first: network.go for what a network is, then host.go.
package netplan

import (
	"errors"
	"net/netip"
	"time"

	"github.com/compose-first/compose/project"
)

// ErrNotFound means that there is no record of that network.
var ErrNotFound = errors.New("network not found")

// ErrPoolFull means that no free subnet, or no free address in a subnet, is left.
var ErrPoolFull = errors.New("address pool is full")

// Drivers that a network may have.
const (
	DriverBridge = "bridge"
	DriverHost   = "host" // its containers are on the host's own network
	DriverNone   = "none" // its containers have a loopback interface only
)

// Network is a network as its record keeps it.
type Network struct {
	Name    string `json:"name"`              // full name, "shop_default"
	Key     string `json:"key,omitempty"`     // key in the Compose file, "default"
	Project string `json:"project,omitempty"` // "" for one that no project owns
	ID      string `json:"id"`                // 12 hex digits, random
	Driver  string `json:"driver"`            // DriverBridge, DriverHost or DriverNone

	Internal   bool   `json:"internal,omitempty"`
	Bridge     string `json:"bridge,omitempty"` // interface name, at most 15 bytes; "" unless DriverBridge
	Pools      []Pool `json:"pools,omitempty"`  // at most one an address family
	MTU        int    `json:"mtu,omitempty"`    // bytes; 0: the kernel's default
	EnableIPv4 bool   `json:"enable_ipv4"`
	EnableIPv6 bool   `json:"enable_ipv6,omitempty"`

	Options    map[string]string `json:"options,omitempty"` // driver_opts as written
	Labels     map[string]string `json:"labels,omitempty"`
	Created    time.Time         `json:"created"`
	ConfigHash string            `json:"config_hash"` // of the definition alone: equal for equal files
}

// Pool is a subnet of a network.
type Pool struct {
	Subnet  netip.Prefix          `json:"subnet"`
	Gateway netip.Addr            `json:"gateway"` // the bridge's own address
	Range   netip.Prefix          `json:"range"`   // part of Subnet that addresses are chosen from; zero: all of it
	Aux     map[string]netip.Addr `json:"aux,omitempty"`
}

// Wire is one interface of a container, and the network it leads to.
type Wire struct {
	Attachment project.Attachment
	Network    Network
}

// AttachOptions change what Attach makes.
type AttachOptions struct {
	LoopbackOnly bool // network_mode none: lo and nothing else
	// PID is a process of the running container, 0 for none: when the namespace
	// is no longer bound at its path, it is bound again from there.
	PID int
}

// Published is a port of a service and the replicas that answer on it now.
type Published struct {
	Service  string // "project/service"
	Port     project.Port
	Backends []netip.AddrPort // container addresses; none: connections are refused at once
}
