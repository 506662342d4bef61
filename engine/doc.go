// Package engine is the project's containers and images on containerd: what
// runs, the OCI spec of a service, create, start, stop, remove, exec, attach,
// logs, events and images.
//
// It knows nothing of networks, volumes or plans: a network namespace comes as
// a path, a volume as a mount. containerd's errors end here; all above uses
// ErrNotFound and its neighbours. Read container.go first (what a container
// is), then create.go and start.go (how one comes to life).
package engine
