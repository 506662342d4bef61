// Package scheduler is the reconciler: it compares a project with what is
// there, and does what is missing.
//
// Up, Down, Stop, Start and their kin are pure: a project and a Live go in, a
// Plan comes out, a graph of small steps that prints itself, each step with
// its reason. Run walks the graph. What steps do to the machine is behind Host,
// which the room host implements; nothing here knows containerd, a bridge or a
// file.
//
// Open plan.go first, then up.go; a kind of step is a file named step_….go.
package scheduler
