package engine

import (
	"context"
	"runtime"
	"strings"
	"time"

	"google.golang.org/grpc"
)

// containerd works on each call at once, and never gives back what it needed
// for as many goroutines as it once had. Hundreds of calls at a time are not
// answered sooner than a few for each processor, and left it a third larger.

// throttlePatience is how long a call waits for others to be answered. Those of
// a shim that hangs must not hold up the rest.
const throttlePatience = time.Second

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

// throttle lets most calls be under way at once, and one more for each that
// has waited for patience.
func throttle(most int, patience time.Duration) grpc.UnaryClientInterceptor {
	turns := make(chan struct{}, most)
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if !isThrottled(method) {
			return invoke(ctx, method, req, reply, cc, opts...)
		}
		enough := time.NewTimer(patience)
		defer enough.Stop()
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
		case <-enough.C:
		case <-ctx.Done(): // the call will say so
		}
		return invoke(ctx, method, req, reply, cc, opts...)
	}
}
