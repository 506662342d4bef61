package project

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// Load finds, reads and validates the project that o describes.
// Where file, line, service or key of a fault are known, the error is an
// *Error; ErrNoFile and ErrNoService tell those two apart.
func Load(ctx context.Context, o Options) (*Project, error) {
	go func() { _, _ = composeSchema() }() // needed once the files are read
	l := &loading{Options: o}
	err := l.run(ctx,
		pass{"take the environment", l.takeEnvironment},
		pass{"read the first env files", l.readEnvFiles},
		pass{"find the files", l.findFiles},
		pass{"find the project folder", l.findFolder},
		pass{"read the folder's env file", l.readEnvFiles},
		pass{"read the files", l.readFiles},
		pass{"choose the name", l.chooseName},
		pass{"build the model", l.buildModel},
		pass{"activate profiles", l.activateProfiles},
		pass{"bind the model", l.bindModel},
		pass{"resolve devices of volumes", l.resolveDevices},
		pass{"set replica counts", l.setScale},
		pass{"warn of keys not honoured", l.warnCoverage},
		pass{"order services", l.orderServices},
		pass{"check names", l.checkNames},
		pass{"check references", l.checkReferences},
		pass{"check cycles", l.checkCycle},
		pass{"check services", l.checkServices},
		pass{"check networks", l.checkNetworks},
		pass{"check volumes", l.checkVolumes},
		pass{"check secrets and configs", l.checkFileObjects},
		pass{"check published ports", l.checkPublished},
		pass{"check fixed addresses", l.checkAddresses},
		pass{"drop unused resources", l.dropUnused},
		pass{"hash services", l.hashServices},
	)
	if err != nil {
		return nil, err
	}
	return l.project, nil
}

// Name returns the project's name alone: from o.Name or COMPOSE_PROJECT_NAME
// without any file, else from the files and their folder. Without a name and
// a file the error is ErrNoFile.
func Name(ctx context.Context, o Options) (string, error) {
	l := &loading{Options: o}
	if err := l.run(ctx,
		pass{"take the environment", l.takeEnvironment},
		pass{"read the first env files", l.readEnvFiles},
		pass{"choose the name given", l.chooseGivenName},
	); err != nil || l.name != "" {
		return l.name, err
	}
	err := l.run(ctx,
		pass{"find the files", l.findFiles},
		pass{"find the project folder", l.findFolder},
		pass{"read the folder's env file", l.readEnvFiles},
		pass{"read the files", l.readFiles},
		pass{"choose the name", l.chooseName},
	)
	return l.name, err
}

// loading is a Load under way. Each pass reads what those before it left.
type loading struct {
	Options

	cwd   string // absolute
	env   types.Mapping
	files []source
	// referred are the files that those include or extend.
	referred   []source
	services   map[string][]*yaml.Node // see written
	extensions map[serviceRef]*extension
	folder     string // the project's, absolute

	name      string
	nameGiven bool // by option or environment, over any file

	spent spent

	model    map[string]any // merged, interpolated, canonical
	project  *Project
	logged   *capture // what compose-go warns of
	warnings []string
	warned   map[string]bool
}

type pass struct {
	name string
	do   func(context.Context) error
}

func (l *loading) run(ctx context.Context, passes ...pass) error {
	return captureWarnings(func(logged *capture) error {
		l.logged = logged
		for _, p := range passes {
			if err := ctx.Err(); err != nil {
				return err
			}
			start := time.Now()
			if err := p.do(ctx); err != nil {
				return err
			}
			for _, w := range logged.take() {
				l.warn("%s", w)
			}
			slog.DebugContext(ctx, "load project", "pass", p.name, "took", time.Since(start))
		}
		return nil
	})
}

func (l *loading) warn(format string, args ...any) {
	w := fmt.Sprintf(format, args...)
	if !l.warned[w] {
		if l.warned == nil {
			l.warned = map[string]bool{}
		}
		l.warned[w] = true
		l.warnings = append(l.warnings, w)
	}
}

// absolute returns path below the current folder, "~" being home.
func (l *loading) absolute(path string) string {
	if path == "~" || strings.HasPrefix(path, "~/") {
		if home := l.env["HOME"]; home != "" {
			path = filepath.Join(home, path[1:])
		}
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(l.cwd, path)
}

// setScale applies the replica counts of the command line.
func (l *loading) setScale(context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(l.Scale)) {
		s, ok := l.project.Services[name]
		if !ok {
			return &Error{Service: name, Msg: fmt.Sprintf("%v: %s: not found", ErrNoService, name), cause: ErrNoService} // the reference's words for --scale
		}
		if l.Scale[name] > maxReplicas {
			return &Error{Service: name, Key: "scale", Msg: fmt.Sprintf("service %q: scale: %d is more than %d", name, l.Scale[name], maxReplicas)}
		}
		if l.Scale[name] < 0 {
			return &Error{Service: name, Key: "scale", Msg: fmt.Sprintf("service %q: scale: must be greater than or equal to 0", name)}
		}
		s.SetScale(l.Scale[name])
		l.project.Services[name] = s
	}
	return nil
}

// dropUnused leaves out networks, volumes, secrets, configs and models that
// no active service uses.
func (l *loading) dropUnused(context.Context) error {
	if !l.AllResources && !l.NoInterpolate {
		l.project.Project = l.project.WithoutUnnecessaryResources()
	}
	return nil
}

func (l *loading) hashServices(context.Context) error {
	p := l.project
	p.Hashes = make(map[string]string, len(p.Services))
	for name, s := range p.Services {
		p.Hashes[name] = p.serviceHash(s)
	}
	p.Warnings = l.warnings
	return nil
}
