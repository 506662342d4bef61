// Package e2e is the command line as its users see it: scripts in testdata,
// one behaviour each, run against a private engine of the built binary. A
// script has a project of its own, named after its file, that is taken down
// at its end; what it did is shown when it failed.
//
// `go test ./e2e -run 'Scripts/logs'` runs one script, and with -update it
// rewrites the files that `cmp` compares with.
package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/compose-first/compose/internal/enginetest"
)

var update = flag.Bool("update", false, "rewrite what scripts compare with")

// engine is that of all tests, started once.
var engine *enginetest.Engine

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(withEngine(m))
}

// withEngine runs the tests and then checks that nothing is left of them.
func withEngine(m *testing.M) int {
	ctx := context.Background()
	e, err := enginetest.New(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the engine:", err)
		return 1
	}
	engine = e
	code := 1
	if err := os.Chmod(e.Root, 0o711); err != nil { // users other than root are to find the binary
		fmt.Fprintln(os.Stderr, "open the engine's folder:", err)
	} else if err := e.LoadBusybox(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "load busybox:", err)
	} else {
		code = m.Run()
	}
	if err := errors.Join(clean(ctx, e), e.Close(ctx)); err != nil {
		fmt.Fprintln(os.Stderr, "after the last test:", err)
		return 1
	}
	return code
}

func TestScripts(t *testing.T) {
	t.Parallel()
	deadline, _ := t.Deadline() // none: zero
	testscript.Run(t, testscript.Params{
		Deadline:            deadline,
		Dir:                 "testdata",
		Setup:               setup,
		Cmds:                commands,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
	})
}

// setup gives a script its project and a free port, and takes the project down
// at its end.
func setup(env *testscript.Env) error {
	name := strings.TrimPrefix(filepath.Base(env.WorkDir), "script-")
	port, err := freePort()
	if err != nil {
		return err
	}
	for _, kv := range engine.Environment() {
		key, value, _ := strings.Cut(kv, "=")
		switch key {
		case "COMPOSE_ENGINE_ROOT", "COMPOSE_LIBEXEC", "PATH", "HOME":
			env.Setenv(key, value)
		}
	}
	env.Setenv("COMPOSE_BINARY", engine.Binary)
	env.Setenv("COMPOSE_PROJECT_NAME", name)
	env.Setenv("PORT", strconv.Itoa(port))
	env.Setenv("ESC", "\x1b[2J\u202e")
	env.Defer(func() { takeDown(env.T(), name) })
	return nil
}

// takeDown removes all of a project, and shows first what there was of it when
// its script failed.
func takeDown(t testscript.T, name string) {
	ctx := context.Background()
	if f, ok := t.(interface{ Failed() bool }); ok && f.Failed() {
		for _, args := range [][]string{{"ps", "-a"}, {"logs", "--timestamps", "--tail", "20"}} {
			r := engine.Run(ctx, "/", nil, append([]string{"-p", name}, args...)...)
			t.Log(fmt.Sprintf("> compose -p %s %s\n%s%s", name, strings.Join(args, " "), r.Stdout, r.Stderr))
		}
	}
	r := engine.Run(ctx, "/", nil, "-p", name, "down", "-v", "--remove-orphans", "-t", "0")
	if r.Code != 0 {
		t.Log(fmt.Sprintf("down: exit %d\n%s", r.Code, r.Stderr))
		t.FailNow()
	}
}

// freePort is a TCP port of all addresses that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
