package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	versionapi "github.com/containerd/containerd/api/services/version/v1"
	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/snapshots"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/compose-first/compose/internal/apparmor"
	"github.com/compose-first/compose/internal/layout"
)

// Namespace is the containerd namespace of everything ours.
const Namespace = "compose"

// defaultSnapshotter keeps the files of containers.
const defaultSnapshotter = "overlayfs"

// Bounds of waiting for containerd.
const (
	connectTimeout  = 5 * time.Second        // for the first answer
	reconnectDelay  = 250 * time.Millisecond // longest pause between two attempts to reconnect
	reconnectWithin = 10 * time.Second       // a read outlasts a restart of containerd this long
	shimPatience    = 30 * time.Second       // a read asks this long for what a shim does not answer
)

// Config says which containerd a Client talks to and where files are kept.
type Config struct {
	Address         string // socket path of containerd
	Root            layout.Root
	RuncPath        string // runc binary; "" lets the shim look in its PATH
	InitPath        string // init for services with init: true; "" is compose-init beside RuncPath
	DockerConfigDir string // folder of Docker's config.json; "" is Docker's own rule
	Snapshotter     string // "" is overlayfs

	// Warn is told what a container could not be given, such as a ulimit above
	// the host's; nil logs it.
	Warn func(container, message string)
}

// Client is a connection to containerd; safe for concurrent use.
type Client struct {
	cfg        Config
	conn       *containerd.Client
	containers containers.Store
	tasks      tasks.TasksClient
	snapshots  snapshots.Snapshotter
	images     images.Store
	version    string

	host       func() (hostFacts, error)  // looked at once
	apparmor   func() error               // loads the profile, once
	configs    cache[imageKey, Image]     // image configurations
	identities cache[string, *identities] // users and groups by image digest
	pulls      pulls
	gate       shimGate
	shimTurns  shimTurns
}

// Connect connects to the containerd at cfg.Address and checks that it is
// 1.7 or newer. The connection comes back by itself when containerd restarts.
func Connect(ctx context.Context, cfg Config) (*Client, error) {
	if cfg.Snapshotter == "" {
		cfg.Snapshotter = defaultSnapshotter
	}
	if cfg.InitPath == "" && cfg.RuncPath != "" {
		cfg.InitPath = filepath.Join(filepath.Dir(cfg.RuncPath), initBinary)
	}
	if cfg.Warn == nil {
		cfg.Warn = func(container, message string) { slog.Warn(message, "container", container) }
	}
	conn, err := containerd.New(strings.TrimPrefix(cfg.Address, "unix://"),
		containerd.WithDefaultNamespace(Namespace),
		containerd.WithExtraDialOpts([]grpc.DialOption{
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: reconnectDelay / 10, Multiplier: 2, MaxDelay: reconnectDelay},
				MinConnectTimeout: connectTimeout,
			}),
			grpc.WithChainUnaryInterceptor(retryReads, throttle(callsAtOnce(), turnLimit), traceCalls, freeCalls(cfg.Address)),
		}))
	if err != nil {
		return nil, fmt.Errorf("connect to containerd at %s: %w", cfg.Address, err)
	}
	c := &Client{
		cfg:        cfg,
		conn:       conn,
		containers: conn.ContainerService(),
		tasks:      conn.TaskService(),
		snapshots:  conn.SnapshotService(cfg.Snapshotter),
		images:     conn.ImageService(),
		host:       sync.OnceValues(lookAtHost),
		apparmor:   sync.OnceValue(apparmor.Load),
	}
	if err := c.checkVersion(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Version returns the version of the containerd that was connected to, "2.4.2".
func (c *Client) Version() string { return c.version }

// NewID returns a fresh container id: 64 random hex digits.
func NewID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// checkVersion asks containerd for its version, and refuses those before 1.7.
func (c *Client) checkVersion(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, noRetry{}, true), connectTimeout)
	defer cancel()
	v, err := c.conn.Version(ctx)
	if err != nil {
		return fmt.Errorf("no containerd answers at %s: %w", c.cfg.Address, edge(err))
	}
	c.version = strings.TrimPrefix(v.Version, "v")
	if tooOld(c.version) {
		return fmt.Errorf("containerd at %s is version %s, but 1.7 or newer is needed", c.cfg.Address, c.version)
	}
	return nil
}

// tooOld tells whether a version is before 1.7. One that cannot be read is a
// build of its own making, and is given the benefit of the doubt.
func tooOld(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	if err1 != nil || err2 != nil {
		return false
	}
	return a < 1 || a == 1 && b < 7
}

// noRetry is the context key of calls that fail at once when nobody answers.
type noRetry struct{}

// reads are the ends of the methods that can be asked again without harm.
var reads = []string{"/Get", "/List", "/Info", "/Stat", "/Mounts", "/Version", "/Wait", "/ListPids", "/Status", "/Usage"}

// retryReads asks again, while containerd restarts or a shim is slow to answer
// it, what changes nothing.
func retryReads(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	begun := time.Now()
	err := invoke(ctx, method, req, reply, cc, opts...)
	for gaveUp(ctx, err) && isRead(method) && time.Since(begun) < shimPatience {
		slog.DebugContext(ctx, "a shim does not answer containerd, asking again", "method", method)
		err = invoke(ctx, method, req, reply, cc, opts...)
	}
	if status.Code(err) != codes.Unavailable || ctx.Value(noRetry{}) != nil || !isRead(method) {
		return err
	}
	slog.DebugContext(ctx, "containerd does not answer, asking again", "method", method)
	if !answersAgain(ctx, cc) {
		return err
	}
	return invoke(ctx, method, req, reply, cc, opts...)
}

// gaveUp tells whether it was containerd that ran out of patience, with a shim.
func gaveUp(ctx context.Context, err error) bool {
	return ctx.Err() == nil && status.Code(err) == codes.DeadlineExceeded
}

// traceCalls logs how long containerd took for each call.
func traceCalls(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if !slog.Default().Enabled(ctx, slog.LevelDebug) {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	begun := time.Now()
	err := invoke(ctx, method, req, reply, cc, opts...)
	slog.DebugContext(ctx, "containerd", "call", method, "took", time.Since(begun), "code", status.Code(err))
	return err
}

// answersAgain waits until containerd serves, no longer than reconnectWithin.
func answersAgain(ctx context.Context, cc *grpc.ClientConn) bool {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, noRetry{}, true), reconnectWithin)
	defer cancel()
	for ctx.Err() == nil {
		_, err := versionapi.NewVersionClient(cc).Version(ctx, &emptypb.Empty{}, grpc.WaitForReady(true))
		if err == nil {
			return true
		}
	}
	return false
}

func isRead(method string) bool {
	for _, r := range reads {
		if strings.HasSuffix(method, r) {
			return true
		}
	}
	return false
}
