package faults

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
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
    healthcheck: {test: [CMD, "true"], interval: 100ms}
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
  image:
    build: {context: ., dockerfile_inline: "FROM busybox\nRUN true"}
    command: [sleep, "1000"]
    stop_signal: SIGKILL
    networks: [front]
networks: {front: {}, back: {internal: true}}
volumes: {data: {}}
secrets: {key: {environment: FAULT_KEY}}
`

// killed are the commands that die, each followed by itself, and what ps shows
// after that.
var killed = []struct{ command, want string }{
	{"up -d", "app running, app running, db running, image running"},
	{"up -d --force-recreate", "app running, app running, db running, image running"},
	{"scale app=4", "app running, app running, app running, app running, db running, image running"},
	{"restart", "app running, app running, app running, app running, db running, image running"},
	{"up -d --scale app=1", "app running, db running, image running"},
	{"build --no-cache", "app running, db running, image running"},
	{"stop", "app exited, db exited, image exited"},
	{"down -v", ""},
}

// policyActs is how soon a container runs that died with the command which
// started it: its restart policy sees to it, not the next command.
const policyActs = 5 * time.Second

// A command killed at a random moment is finished by running it again, and
// down leaves nothing.
func TestKilledCommands(t *testing.T) {
	f := begin(t, shared, "SIGKILL of a command", fmt.Sprintf(shop, freePort(t)))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, seed))
	f.must("build")
	took := map[string]time.Duration{}
	for i := range times(20, 300) {
		k := killed[i%len(killed)]
		args := strings.Fields(k.command)
		after := time.Duration(dice.Int64N(int64(max(took[k.command], 500*time.Millisecond))))
		f.try(func() {
			f.killAfter(after, args...)
			r := f.compose(args...)
			took[k.command] = r.Took
			if r.Code != 0 {
				f.Errorf("killed after %s, compose %s again: exit %d\n%s%s", after, k.command, r.Code, r.Stdout, r.Stderr)
			}
			f.until(policyActs, "after "+k.command+" there is "+k.want, func() bool { return f.states() == k.want })
			if args[0] == "down" {
				f.nothingLeft(args...)
			}
		})
		t.Logf("%s killed after %s: took %s", k.command, after, took[k.command])
	}
	f.must("down", "-v", "--rmi", "local")
}

// killAfter starts a command and kills it after a while, if it has not ended.
func (f *fault) killAfter(after time.Duration, args ...string) {
	f.Helper()
	f.endAfter(after, syscall.SIGKILL, args...)
}

// endAfter starts a command and sends it a signal after a while, if it has not
// ended.
func (f *fault) endAfter(after time.Duration, signal syscall.Signal, args ...string) {
	f.Helper()
	cmd := f.Command(f.ctx, f.dir, args...)
	if err := cmd.Start(); err != nil {
		f.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Signal(signal) })
	_ = cmd.Wait() // by the signal or by itself
	timer.Stop()
}

// moments is at how many moments of an up it is ended.
const moments = 20

// An up that a signal ends at any moment is finished by the next one, and down
// leaves nothing, whether it was asked to end or killed.
func TestEndedUp(t *testing.T) {
	f := begin(t, shared, "SIGINT and SIGKILL of up at 20 moments", fmt.Sprintf(`
services:
  db:
    image: busybox
    command: [sleep, "1000"]
    stop_signal: SIGKILL
    volumes: [data:/data]
    secrets: [key]
    healthcheck: {test: [CMD, "true"], interval: 100ms}
  web:
    image: busybox
    command: [sleep, "1000"]
    stop_signal: SIGKILL
    scale: 2
    depends_on: {db: {condition: service_healthy}}
    ports: ["%d:80"]
    volumes: [/scratch]
volumes: {data: {}}
secrets: {key: {environment: FAULT_KEY}}
`, freePort(t)))
	whole := f.compose("up", "-d")
	if whole.Code != 0 {
		f.Fatalf("compose up: exit %d\n%s", whole.Code, whole.Stderr)
	}
	f.must("down", "-v")
	for i := range moments {
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
			f.try(func() {
				after := whole.Took * time.Duration(i) / (moments - 1)
				f.endAfter(after, signal, "up", "-d")
				if r := f.compose("up", "-d"); r.Code != 0 {
					f.Errorf("%v after %s, compose up again: exit %d\n%s", signal, after, r.Code, r.Stderr)
				}
				if got := f.states(); got != "db running, web running, web running" {
					f.Errorf("%v after %s and another up there is %q", signal, after, got)
				}
				f.nothingLeft("down", "-v")
			})
		}
	}
}

// Commands take turns within a project and stand in nobody's way beyond it.
func TestManyCommandsAtOnce(t *testing.T) {
	f := begin(t, shared, "20 commands at once over 5 projects", pair)
	commands := [][]string{{"up", "-d"}, {"up", "-d"}, {"up", "-d", "--no-recreate"}, {"up", "-d", "--scale", "web=2"}}
	var dirs []string
	for i := range 5 {
		dirs = append(dirs, f.project(fmt.Sprintf("crowd%d", i), pair))
	}
	for range times(1, 10) {
		f.try(func() {
			var g errgroup.Group
			for _, dir := range dirs {
				for _, args := range commands {
					g.Go(func() error {
						if r := f.Engine.Run(f.ctx, dir, nil, args...); r.Code != 0 {
							return fmt.Errorf("compose %v in %s: exit %d\n%s%s", args, dir, r.Code, r.Stdout, r.Stderr)
						}
						return nil
					})
				}
			}
			if err := g.Wait(); err != nil {
				f.Error(err)
			}
			for _, dir := range dirs {
				f.dir = dir
				f.must("up", "-d")
				if got := f.states(); got != "db running, web running" {
					f.Errorf("%s: there is %q", dir, got)
				}
				f.must("down", "-v", "-t", "0")
			}
		})
	}
}

// pair is a small project without ports.
const pair = `
services:
  db: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL}
  web: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL, depends_on: [db]}
`
