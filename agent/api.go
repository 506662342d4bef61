package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/compose-first/compose/engine"
)

// listen makes the socket on which commands ask the agent.
func listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("listen: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// serve answers commands until ctx ends.
func (a *agent) serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(Status{Version: a.Version, Containerd: a.Containerd, PID: os.Getpid(), Booting: a.restarts.booting(), Goroutines: runtime.NumGoroutine()})
	})
	mux.HandleFunc("POST /ready", func(w http.ResponseWriter, r *http.Request) {
		answer(w, whenThere(r.Context(), func(ctx context.Context) error { return a.ready(ctx, r.FormValue("id")) }))
	})
	mux.HandleFunc("POST /sync", func(w http.ResponseWriter, r *http.Request) {
		answer(w, whenThere(r.Context(), a.cache.sync))
	})
	mux.HandleFunc("POST /rest", func(http.ResponseWriter, *http.Request) { a.restarts.rest() })
	server := &http.Server{Handler: mux, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return ctx.Err()
}

func answer(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, engine.ErrNotFound):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// whenThere does what needs containerd, again while that does not answer: the
// agent is about to have it back.
func whenThere(ctx context.Context, act func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, backWithin)
	defer cancel()
	for {
		err := act(ctx)
		if !errors.Is(err, engine.ErrUnavailable) || pause(limited, firstReconnect) != nil {
			return err
		}
	}
}

// ready has a container's names served before it starts. A new agent waits for
// its connection first.
func (a *agent) ready(ctx context.Context, id string) error {
	for a.engine() == nil {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	c, err := a.engine().Inspect(ctx, id)
	if err != nil {
		return err
	}
	return a.names.ready(c)
}
