package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/compose-first/compose/internal/enginetest"
)

// shop has what a project can leave behind: networks, a volume, a secret,
// published ports, health checks, replicas and an order.
const shop = `
services:
  db:
    image: busybox
    command: [sleep, "1000"]
    stop_signal: SIGKILL
    volumes: [data:/data]
    secrets: [key]
    healthcheck: {test: [CMD, "true"], interval: 1s}
    networks: [back]
  app:
    image: busybox
    command: [httpd, -f, -p, "80"]
    stop_signal: SIGKILL
    scale: 2
    restart: unless-stopped
    depends_on: {db: {condition: service_healthy}}
    networks: [front, back]
    ports: ["%d:80"]
    volumes: [/scratch]
  proxy:
    image: busybox
    command: [sleep, "1000"]
    stop_signal: SIGKILL
    depends_on: [app]
    networks: [front]
  image:
    build: {context: ., dockerfile_inline: "FROM busybox\nRUN true"}
    command: [sleep, "1000"]
    stop_signal: SIGKILL
networks: {front: {}, back: {internal: true}}
volumes: {data: {}}
secrets: {key: {environment: FAULT_KEY}}
`

// project writes a Compose file into a folder of its own.
func project(t *testing.T, e *enginetest.Engine, name, file string) string {
	t.Helper()
	dir := filepath.Join(e.Root, "work", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("FAULT_KEY=secret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// must runs a command that has to succeed.
func must(t *testing.T, ctx context.Context, e *enginetest.Engine, dir string, args ...string) enginetest.Result {
	t.Helper()
	r := e.Run(ctx, dir, nil, args...)
	if r.Code != 0 {
		t.Fatalf("compose %v: exit %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
	}
	return r
}

// A command killed at a random moment is finished by running it again, and
// down leaves nothing.
func TestKilledCommands(t *testing.T) {
	ctx, e := engine(t)
	dir := project(t, e, "shop", fmt.Sprintf(shop, 18080))
	must(t, ctx, e, dir, "up", "-d") // built, and everything warm
	commands := [][]string{
		{"up", "-d"}, {"down", "-v"}, {"up", "-d", "--force-recreate"}, {"up", "-d", "--scale", "app=4"},
		{"restart"}, {"up", "-d", "--scale", "app=1"}, {"build", "--no-cache"}, {"stop"},
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, seed))
	w := row{Fault: "SIGKILL of a command", Tried: times(20, 300)}
	for i := range w.Tried {
		command := commands[i%len(commands)]
		after := time.Duration(dice.IntN(600)) * time.Millisecond
		killAfter(t, ctx, e, dir, after, command...)
		r := e.Run(ctx, dir, nil, command...)
		if r.Code != 0 {
			w.Lost++
			t.Errorf("killed after %s, compose %v again: exit %d\n%s%s", after, command, r.Code, r.Stdout, r.Stderr)
		}
		must(t, ctx, e, dir, "down", "-v", "--remove-orphans")
		left, err := e.Leftovers(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) > 0 {
			w.Leaked++
			t.Errorf("compose %v killed after %s left %q", command, after, left)
		} else if r.Code == 0 {
			w.Survived++
		}
		must(t, ctx, e, dir, "up", "-d")
	}
	must(t, ctx, e, dir, "down", "-v", "--rmi", "local")
	table.add(w)
}

// killAfter starts a command and kills it after a while, if it has not ended.
func killAfter(t *testing.T, ctx context.Context, e *enginetest.Engine, dir string, after time.Duration, args ...string) {
	t.Helper()
	cmd := e.Command(ctx, dir, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait() // killed or not
	timer.Stop()
}
