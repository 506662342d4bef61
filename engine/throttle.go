package engine

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// containerd works on each call at once, and never gives back what it needed
// for as many goroutines as it once had. Hundreds of calls at a time are not
// answered sooner than a few for each processor, and left it a third larger.

// turnLimit is how long a call has its turn. One that takes longer waits more
// than it makes containerd work; it may be for a shim that hangs, and must not
// hold up the rest.
const turnLimit = 5 * time.Second

// callsAtOnce is how many calls that make containerd work a client has under
// way: as many as keep the processors busy while some wait for disks.
func callsAtOnce() int { return max(16, 4*runtime.NumCPU()) }

// throttled are the services whose calls make containerd work.
var throttled = []string{
	"/containerd.services.tasks.v1.Tasks/",
	"/containerd.services.containers.v1.Containers/",
	"/containerd.services.snapshots.v1.Snapshots/",
}

// isThrottled tells whether a call waits for its turn: not one whose answer is
// the end of a process.
func isThrottled(method string) bool {
	for _, service := range throttled {
		if call, ok := strings.CutPrefix(method, service); ok {
			return call != "Wait"
		}
	}
	return false
}

// throttle lets most calls be under way at once, and more once those have been
// for longer than limit.
func throttle(most int, limit time.Duration) grpc.UnaryClientInterceptor {
	turns := make(chan struct{}, most)
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if !isThrottled(method) {
			return invoke(ctx, method, req, reply, cc, opts...)
		}
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
		over := sync.OnceFunc(func() { <-turns })
		defer over()
		defer time.AfterFunc(limit, over).Stop()
		return invoke(ctx, method, req, reply, cc, opts...)
	}
}
