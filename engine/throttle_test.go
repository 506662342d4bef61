package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
)

// calls makes n calls of a method at once, each of which takes as long, and
// returns how many were under way at once at most.
func calls(limit grpc.UnaryClientInterceptor, method string, n int, takes time.Duration) int {
	var under, most atomic.Int64
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
		now := under.Add(1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
		time.Sleep(takes)
		under.Add(-1)
		return nil
	}
	var all sync.WaitGroup
	for range n {
		all.Go(func() { _ = limit(context.Background(), method, nil, nil, nil, invoke) })
	}
	all.Wait()
	return int(most.Load())
}

func TestThrottle(t *testing.T) {
	const most, limit, many = 4, time.Second, 40
	for _, tt := range []struct {
		name, method string
		takes        time.Duration
		want         int
	}{
		{"calls for tasks wait for others", "/containerd.services.tasks.v1.Tasks/Start", limit / 100, most},
		{"and for records", "/containerd.services.containers.v1.Containers/Create", limit / 100, most},
		{"not for ever for what hangs", "/containerd.services.tasks.v1.Tasks/Get", many * limit, many},
		{"the end of a process is waited for at once", "/containerd.services.tasks.v1.Tasks/Wait", limit / 100, many},
		{"what costs containerd nothing, too", "/containerd.services.version.v1.Version/Version", limit / 100, many},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := calls(throttle(most, limit), tt.method, many, tt.takes); got != tt.want {
					t.Errorf("%d calls were under way at once, want %d", got, tt.want)
				}
			})
		})
	}
}
