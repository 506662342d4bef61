package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// After a power cut all is as it was: what ran runs, in its order, with its
// addresses, ports, names and volumes, and what was stopped by hand does not.
func TestPowerLoss(t *testing.T) {
	port := freePort(t)
	f := begin(t, shared, "power loss", fmt.Sprintf(`
services:
  db:
    image: busybox
    hostname: db
    command: [sh, -c, "sleep 0.5; cut -d' ' -f1 /proc/uptime > /out/db; touch /dev/shm/up; exec sleep 1000"]
    stop_signal: SIGKILL
    restart: always
    volumes: [data:/data, &out ./out:/out]
    networks: [back]
    healthcheck: {test: [CMD, test, -e, /dev/shm/up], interval: 200ms}
  web:
    image: busybox
    command: [sh, -c, "cut -d' ' -f1 /proc/uptime > /out/web; exec httpd -f -p 80"]
    stop_signal: SIGKILL
    restart: unless-stopped
    depends_on: {db: {condition: service_healthy}}
    ports: ["%d:80"]
    networks: [front, back]
    secrets: [key]
    volumes: [*out]
  retry:
    image: busybox
    command: [sleep, "1000"]
    stop_signal: SIGKILL
    restart: on-failure
    networks: [front]
  byhand: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL, restart: unless-stopped}
  byhand2: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL, restart: always}
  plain: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL}
networks:
  front: {ipam: {config: [{subnet: 198.18.78.0/24}]}} # nobody else's while it is gone
  back: {internal: true, ipam: {config: [{subnet: 198.18.79.0/24}]}}
volumes: {data: {}}
secrets: {key: {environment: FAULT_KEY}}
`, port))
	f.must("up", "-d", "--wait")
	f.must("exec", "db", "sh", "-c", "echo precious > /data/file; sync")
	f.must("stop", "byhand", "byhand2")
	addresses := f.addresses()
	var longest time.Duration
	for range times(1, 10) {
		f.try(func() {
			if err := f.CutPower(f.ctx); err != nil {
				f.Fatal(err)
			}
			for _, name := range []string{"db", "web"} {
				if err := os.Remove(filepath.Join(f.dir, "out", name)); err != nil {
					f.Fatal(err)
				}
			}
			start := time.Now()
			f.must("engine", "start")
			longest = max(longest, time.Since(start))
			if got, want := f.states(), "byhand exited, byhand2 exited, db running, plain exited, retry running, web running"; got != want {
				f.Errorf("there is %q, want %q", got, want)
			}
			f.until(patience, "the published port answers", func() bool { return answers(port) == nil })
			if db, web := f.born("db"), f.born("web"); db >= web {
				f.Errorf("db was up %.2f s after boot, web, which depends on it, %.2f s", db, web)
			}
			if now := f.addresses(); now != addresses {
				f.Errorf("addresses were\n%s\nand are\n%s", addresses, now)
			}
			if got := f.must("exec", "db", "cat", "/data/file"); got != "precious\n" {
				f.Errorf("the volume has %q", got)
			}
			if got := f.must("exec", "web", "cat", "/run/secrets/key"); got != "secret" {
				f.Errorf("the secret is %q", got)
			}
			f.must("exec", "web", "nslookup", "-type=a", "db")
		})
	}
	f.row.Note = fmt.Sprintf("back after at most %v", longest.Round(time.Millisecond))
}

// addresses is what the containers that run have.
func (f *fault) addresses() string {
	f.Helper()
	var all strings.Builder
	for _, service := range []string{"db", "web", "retry"} {
		all.WriteString(service + ":\n" + f.must("exec", service, "ip", "-4", "-o", "address", "show", "scope", "global"))
	}
	return all.String()
}

// born is when a service last came up, in seconds after the machine did.
func (f *fault) born(service string) float64 {
	f.Helper()
	var at float64
	f.until(patience, service+" is up", func() bool {
		b, _ := os.ReadFile(filepath.Join(f.dir, "out", service))
		var err error
		at, err = strconv.ParseFloat(strings.TrimSpace(string(b)), 64)
		return err == nil
	})
	return at
}

// mends is how soon the agent has put back what somebody took: it looks every
// few seconds.
const mends = 20 * time.Second

// What somebody takes away from under running containers, the agent puts back.
func TestTakenAway(t *testing.T) {
	port := freePort(t)
	f := begin(t, shared, "bridge, netns or nftables deleted by hand", fmt.Sprintf(`
services:
  web: {image: busybox, command: [httpd, -f, -p, "80"], stop_signal: SIGKILL, ports: ["%d:80"]}
  asker: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL}
networks: {default: {ipam: {config: [{subnet: 198.18.77.0/24}]}}} # nobody else's while it is gone
`, port))
	f.must("up", "-d")
	address, _, _ := strings.Cut(strings.Fields(f.must("exec", "web", "ip", "-4", "-o", "address", "show", "scope", "global"))[3], "/")
	ask := fmt.Sprintf(`nslookup -type=a web && printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 1 %s 80`, address)
	works := func() bool {
		r := f.compose("exec", "asker", "sh", "-c", ask)
		return answers(port) == nil && strings.Contains(r.Stdout, address) && strings.Contains(r.Stdout, "HTTP/1")
	}
	f.until(mends, "the project works", works)
	if f.failing {
		r := f.compose("exec", "asker", "sh", "-c", ask)
		f.Fatalf("address %s, port: %v, asker: %d %s%s", address, answers(port), r.Code, r.Stdout, r.Stderr)
	}
	var longest time.Duration
	for range times(1, 10) {
		for _, away := range []struct {
			what string
			take func() error
		}{
			{"the bridges", f.DeleteBridges},
			{"the nftables table", f.DeleteTables},
			{"the names of namespaces", f.UnbindNamespaces},
		} {
			f.try(func() {
				if err := away.take(); err != nil {
					f.Fatal(err)
				}
				took := f.until(mends, "mended after "+away.what+" went", func() bool { return f.NetworkThere(2) == nil && works() })
				longest = max(longest, took)
				if f.failing {
					r := f.compose("exec", "asker", "sh", "-c", ask)
					f.Fatalf("network: %v, port: %v, asker: exit %d %s%s\nthe agent says\n%s", f.NetworkThere(2), answers(port), r.Code, r.Stdout, r.Stderr, f.lastWords())
				}
				t.Logf("%s: mended after %v", away.what, took)
			})
		}
	}
	f.row.Note = fmt.Sprintf("mended after at most %v", longest.Round(time.Millisecond))
}
