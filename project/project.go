// Package project turns Compose files into a Project: found, parsed,
// validated, and completed with what only this orchestrator needs, which is
// the dependency graph, replica counts, configuration hashes, names, the
// record of each container and warnings about keys that are not honoured.
//
// Parsing, merging and interpolation are compose-go's. Nothing here talks to
// containerd or changes the machine. Read load.go first: Load is the table
// of contents.
package project

import (
	"io"

	"github.com/compose-spec/compose-go/v2/types"
)

// Version is the release that the label LabelVersion names. A release build
// sets it through the linker.
var Version = "0.1.0"

// Options say which files are loaded and how.
type Options struct {
	Files            []string // -f, in order; "-" is Stdin; none: COMPOSE_FILE, else discovery
	WorkingDir       string   // current folder; "" is the process's own
	ProjectDirectory string   // --project-directory; "" is the first file's folder
	Name             string   // -p; "" is COMPOSE_PROJECT_NAME, the files' name, the folder's name
	Profiles         []string // --profile; none: COMPOSE_PROFILES
	EnvFiles         []string // --env-file; none: COMPOSE_ENV_FILES, else .env

	// Services are those named on the command line: their profiles become
	// active, and a name that the files do not have is an error.
	Services []string

	Environment   []string  // the process's, as os.Environ returns it
	Stdin         io.Reader // read for the file "-"
	Compatibility bool      // "_" instead of "-" in container and image names
	AllResources  bool      // keep networks, volumes, secrets and configs that no active service uses
	Scale         map[string]int

	// For the config command.
	NoInterpolate   bool
	NoNormalize     bool
	NoResolvePaths  bool
	NoConsistency   bool
	NoEnvResolution bool
}

// Project is a loaded and validated project. It is not changed after Load
// and may be read by several goroutines.
type Project struct {
	*types.Project

	Hashes        map[string]string // configuration hash of each active service
	Warnings      []string          // in the order found, each once
	Compatibility bool
	EnvFiles      []string // absolute; the --env-file ones alone, not a default .env

	graph        graph
	raw          map[string]any // the model as written, without interpolation
	keepEnvFiles bool           // their variables are not in the services' environment
}
