// Package layout says where everything of one engine is kept: what survives
// a reboot under State, what does not under Run. No other package spells a
// path of the engine root.
package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// RootVariable moves the whole engine: State becomes its lib and Run its run
// folder, so that several engines live side by side.
const RootVariable = "COMPOSE_ENGINE_ROOT"

// Default roots.
// Source: Filesystem Hierarchy Standard 3.0, /var/lib and /run.
const (
	defaultState = "/var/lib/compose"
	defaultRun   = "/run/compose"
)

// SubnetLock is held while a subnet is chosen and taken. It is one for all
// engines of the machine: they share its routes.
// Source: Filesystem Hierarchy Standard 3.0, /run.
const SubnetLock = "/run/compose-subnets.lock"

// Root is the two folders of an engine.
type Root struct {
	State string // kept over a reboot
	Run   string // gone with a reboot
}

// FromEnvironment returns the root that RootVariable names, or the default.
// A relative path is an error: it would name another engine in each folder.
func FromEnvironment() (Root, error) {
	dir := os.Getenv(RootVariable)
	if dir == "" {
		return Default(), nil
	}
	if !filepath.IsAbs(dir) {
		return Root{}, fmt.Errorf("%s: %q is not an absolute path", RootVariable, dir)
	}
	return Below(dir), nil
}

// Default is the root without RootVariable.
func Default() Root { return Root{State: defaultState, Run: defaultRun} }

// Below is the root that RootVariable moves to dir.
func Below(dir string) Root {
	return Root{State: filepath.Join(dir, "lib"), Run: filepath.Join(dir, "run")}
}

// Tag is a short name of the engine, "" for the default root: it keeps apart
// what several engines make in the one kernel (nftables tables, cgroups).
func (r Root) Tag() string {
	if r.State == defaultState {
		return ""
	}
	sum := sha256.Sum256([]byte(r.State))
	return hex.EncodeToString(sum[:4])
}

// Cgroup is the parent of the engine's control groups, in every hierarchy.
func (r Root) Cgroup() string {
	if tag := r.Tag(); tag != "" {
		return "/compose-" + tag
	}
	return "/compose"
}

// Containerd and buildkitd.
func (r Root) ContainerdRoot() string   { return filepath.Join(r.State, "containerd") }
func (r Root) ContainerdState() string  { return filepath.Join(r.Run, "containerd") }
func (r Root) ContainerdSocket() string { return filepath.Join(r.Run, "containerd.sock") }
func (r Root) ContainerdConfig() string { return filepath.Join(r.Run, "containerd.toml") }
func (r Root) BuildkitRoot() string     { return filepath.Join(r.State, "buildkit") }
func (r Root) BuildkitSocket() string   { return filepath.Join(r.Run, "buildkitd.sock") }

// Temporary is the daemons' folder for temporary files and mounts.
func (r Root) Temporary() string { return filepath.Join(r.Run, "tmp") }

// AgentSocket is where the agent answers commands.
func (r Root) AgentSocket() string { return filepath.Join(r.Run, "agent.sock") }

// Pid names the file with the process id of a daemon: "containerd",
// "buildkitd", "logger" or "agent". DaemonLog names its log.
func (r Root) Pid(daemon string) string       { return filepath.Join(r.Run, daemon+".pid") }
func (r Root) DaemonLog(daemon string) string { return filepath.Join(r.State, "log", daemon+".log") }

// Lock names the lock file of a thing: "project-shop", "network-shop_default".
func (r Root) Lock(thing string) string { return filepath.Join(r.Run, "locks", thing+".lock") }

// Networks and Volumes hold a record for each network and a folder for each volume.
func (r Root) Networks() string { return filepath.Join(r.State, "networks") }
func (r Root) Volumes() string  { return filepath.Join(r.State, "volumes") }

// Container holds a container's hosts, hostname and resolv.conf and its log.
func (r Root) Container(id string) string    { return filepath.Join(r.State, "containers", id) }
func (r Root) ContainerLog(id string) string { return filepath.Join(r.Container(id), "log") }

// Unfinished notes that a container is being made or removed: "" is the folder
// of all notes and a slash.
func (r Root) Unfinished(id string) string { return filepath.Join(r.State, "unfinished") + "/" + id }

// Elsewhere notes the address of a containerd that is not ours and has containers
// of this engine: "" is the folder of all notes.
func (r Root) Elsewhere(note string) string { return filepath.Join(r.State, "elsewhere", note) }

// Files holds the secrets and configs of a container: the copies kept over a
// reboot, and those it sees, on a tmpfs.
func (r Root) KeptFiles(id string) string { return filepath.Join(r.State, "files", id) }
func (r Root) RunFiles() string           { return filepath.Join(r.Run, "files") }
func (r Root) Files(id string) string     { return filepath.Join(r.RunFiles(), id) }

// Subpaths is where folders inside volumes are mounted for a container that
// gets no more of a volume than that. "" names the folder of all containers.
func (r Root) Subpaths(id string) string { return filepath.Join(r.Run, "subpaths", id) }

// Netns is where a container's network namespace is bound.
func (r Root) Netns(id string) string { return filepath.Join(r.Run, "netns", id) }

// Streams holds the pipes between a container's shim and the logger.
func (r Root) StreamsDir() string       { return filepath.Join(r.Run, "streams") }
func (r Root) Streams(id string) string { return filepath.Join(r.StreamsDir(), id) }

// Runc is where runc keeps the state of running containers.
func (r Root) Runc() string { return filepath.Join(r.Run, "runc") }

// ExecDir holds the pipes of processes that were started in a running container.
func (r Root) ExecDir() string { return filepath.Join(r.Run, "exec") }

// SharedMemory is where the /dev/shm of another container is bound on its way
// into the container id, which shares its IPC namespace.
func (r Root) SharedMemory(id string) string { return filepath.Join(r.Run, "shm", id) }

// ImageMounts is where the files of images are mounted while somebody reads them.
func (r Root) ImageMounts() string { return filepath.Join(r.Run, "images") }

// RegistryHosts holds a folder with a hosts.toml for each registry that is
// reached by mirrors or certificates of its own.
func (r Root) RegistryHosts() string { return filepath.Join(r.State, "hosts") }

// HealthLog holds the last outputs of a container's health probes.
func (r Root) HealthLog(id string) string { return filepath.Join(r.Run, "health", id+".json") }

// LoggerSpool and LoggerState hold what the logger has taken from a container
// and not yet written to its log, so that it may be killed meanwhile.
func (r Root) LoggerSpool() string { return filepath.Join(r.Run, "logger.spool") }
func (r Root) LoggerState() string { return filepath.Join(r.Run, "logger.state") }

// BootMark names the boot of the machine in which the engine was last up.
func (r Root) BootMark() string { return filepath.Join(r.Run, "boot") }
