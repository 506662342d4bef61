package e2e

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	versionapi "github.com/containerd/containerd/api/services/version/v1"
	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/compose-first/compose/internal/enginetest"
)

// ownEngine gives the script an engine root of its own, where nothing has run
// yet, and $IMAGES, an archive with busybox. At the end all of it goes.
func ownEngine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: ownengine")
	}
	repository, err := enginetest.Repository()
	ts.Check(err)
	root, err := os.MkdirTemp("/tmp", "ce") // short, for its sockets
	ts.Check(err)
	ts.Setenv("COMPOSE_ENGINE_ROOT", root)
	ts.Setenv("IMAGES", filepath.Join(repository, ".cache", "images", "busybox.tar"))
	project := ts.Getenv("COMPOSE_PROJECT_NAME")
	ts.Defer(func() {
		for _, args := range [][]string{{"-p", project, "down", "-t", "0", "-v"}, {"engine", "stop", "--force"}} {
			cmd := exec.Command(engine.Binary, args...)
			cmd.Env = append(engine.Environment(), "COMPOSE_ENGINE_ROOT="+root)
			if out, err := cmd.CombinedOutput(); err != nil {
				ts.Logf("%v: %v\n%s", args, err, out)
			}
		}
		if err := os.RemoveAll(root); err != nil {
			ts.Logf("%v", err)
		}
	})
}

// oldContainerd has a containerd of this version answer at a socket, as far as
// it takes to ask for its version.
func oldContainerd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: oldcontainerd SOCKET VERSION")
	}
	l, err := net.Listen("unix", ts.MkAbs(args[0]))
	ts.Check(err)
	server := grpc.NewServer()
	versionapi.RegisterVersionServer(server, versioned{version: args[1]})
	go func() { _ = server.Serve(l) }()
	ts.Defer(server.Stop)
}

// versioned answers what containerd's version is.
type versioned struct {
	versionapi.UnimplementedVersionServer
	version string
}

func (v versioned) Version(context.Context, *emptypb.Empty) (*versionapi.VersionResponse, error) {
	return &versionapi.VersionResponse{Version: v.version}, nil
}
