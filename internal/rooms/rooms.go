// Package rooms holds the walls of the architecture: which part of compose may
// import which, and which library is used from where, each with its reason.
// Its test reads the imports of the whole source tree and fails on a breach.
package rooms

import (
	"fmt"
	"slices"
	"strings"
)

// Module is the import path that all of compose lies under.
const Module = "github.com/compose-first/compose"

// Room is a top folder of the source tree with all below it.
type Room struct {
	Name   string
	May    []string // rooms it may import besides itself
	Reason string   // why no others
}

// Rooms are all rooms there are. A new one is added here, with its reason.
var Rooms = []Room{
	{"project", []string{"internal"}, "what a file says must be known without any engine"},
	{"scheduler", []string{"project", "internal"}, "a plan is decided on plain values; what steps need is an interface of its own"},
	{"engine", []string{"project", "internal"}, "netns paths, mounts and image names reach it as plain values"},
	{"netplan", []string{"project", "internal"}, "it sees namespaces and addresses, never containers"},
	{"volumes", []string{"project", "internal"}, "it gives out mounts and never sees a containerd client"},
	{"build", []string{"project", "internal"}, "an image that it built is found by its name"},
	{"host", []string{"project", "scheduler", "engine", "netplan", "volumes", "build", "internal"},
		"it joins what steps need of a machine; the agent uses it, so it cannot use the agent"},
	{"agent", []string{"project", "scheduler", "engine", "netplan", "volumes", "host", "internal"},
		"a supervisor that builds images or reads flags would no longer be small"},
	{"doctor", []string{"engine", "netplan", "volumes", "host", "internal"},
		"it looks at what there is, and plans nothing"},
	{"cmd", []string{"project", "scheduler", "engine", "netplan", "volumes", "build", "host", "agent", "doctor", "internal"},
		"commands wire the rooms; they do not depend on tests or examples"},
	{"internal", nil, "what has no meaning of its own knows no room"},
	{"e2e", []string{"internal"}, "it sees what users see: the binary"},
	{"bench", []string{"internal"}, "it measures the binary from outside"},
	{"examples", nil, "an example stands alone"},
}

// Library is a library, or a part of one, that only some rooms use.
type Library struct {
	Path   string
	Rooms  []string
	Reason string
}

// Libraries are those that mark a room's subject.
var Libraries = []Library{
	{"github.com/compose-spec/compose-go/v2/cli", []string{"project"}, "Compose files are read in one place"},
	{"github.com/compose-spec/compose-go/v2/loader", []string{"project"}, "Compose files are read in one place"},
	{"github.com/spf13/cobra", []string{"cmd"}, "flags end where the commands end"},
	{"github.com/moby/buildkit", []string{"build", "internal/bundle", "bench"}, "BuildKit is build's subject; the bundle asks it whether it serves, and a floor is the bare client"},
	{"github.com/vishvananda/netlink", []string{"netplan", "internal/enginetest"}, "interfaces and routes are netplan's subject; tests look for what it left"},
	{"github.com/google/nftables", []string{"netplan", "internal/enginetest"}, "packet filters are netplan's subject; tests look for what it left"},
	{"github.com/miekg/dns", []string{"netplan"}, "names are netplan's subject"},
	{"github.com/opencontainers/selinux", []string{"engine", "internal/filelabel", "doctor"}, "which label is the engine's to say, files get it in one way; the doctor looks"},
}

// Breach returns why the package at path from, relative to the module, may not
// import the package at path to; "" when it may. test tells that a test file
// imports it: tests may look at what they test by any library.
func Breach(from, to string, test bool) string {
	inside, ours := strings.CutPrefix(to, Module+"/")
	if !ours {
		if test {
			return ""
		}
		return libraryBreach(from, to)
	}
	name, target := top(from), top(inside)
	if name == target {
		return ""
	}
	i := slices.IndexFunc(Rooms, func(r Room) bool { return r.Name == name })
	if i < 0 {
		return fmt.Sprintf("room %s is not in the table of rooms", name)
	}
	if slices.Contains(Rooms[i].May, target) {
		return ""
	}
	return fmt.Sprintf("%s may not import %s: %s", name, target, Rooms[i].Reason)
}

func libraryBreach(from, to string) string {
	for _, l := range Libraries {
		if within(to, l.Path) && !slices.ContainsFunc(l.Rooms, func(room string) bool { return within(from, room) }) {
			return fmt.Sprintf("%s is used from %s alone: %s", l.Path, strings.Join(l.Rooms, " and "), l.Reason)
		}
	}
	return ""
}

// top is the first part of a path.
func top(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}

// within tells whether path is dir or below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}
