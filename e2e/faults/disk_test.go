package faults

import (
	"context"
	"strings"
	"testing"
	"time"
)

// diskSize is that of the small disk, in bytes: room for an image and little more.
const diskSize = 48 << 20

// A full disk is named, containers go on, and once there is room again the
// same commands succeed.
func TestDiskFull(t *testing.T) {
	small, err := shared.SmallDisk(t.Context(), diskSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := small.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if err := small.LoadBusybox(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := begin(t, small, "the engine's disk full", `
services:
  talker:
    image: busybox
    command: [sh, -c, "i=0; while :; do echo line $$((i=i+1)); echo $$i > /dev/shm/count; sleep 0.01; done"]
    stop_signal: SIGKILL
  web: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL, volumes: [data:/data]}
volumes: {data: {}}
`)
	for range times(1, 10) {
		f.try(func() {
			f.must("up", "-d", "talker")
			free, err := f.FillDisk()
			if err != nil {
				f.Fatal(err)
			}
			r := f.compose("up", "-d", "web")
			if line := lastLine(r.Stderr); r.Code == 0 || !sentence.MatchString(line) || !strings.Contains(r.Stderr, "no space left on device") {
				f.Errorf("on a full disk: exit %d, %q", r.Code, r.Stderr)
			}
			count := f.must("exec", "talker", "cat", "/dev/shm/count")
			f.until(5*time.Second, "the container goes on", func() bool { return f.must("exec", "talker", "cat", "/dev/shm/count") != count })
			if err := free(); err != nil {
				f.Fatal(err)
			}
			f.must("up", "-d", "web")
			if got := f.states(); got != "talker running, web running" {
				f.Errorf("there is %q", got)
			}
			last := f.must("exec", "talker", "cat", "/dev/shm/count")
			f.until(5*time.Second, "output is logged again", func() bool {
				return strings.Contains(f.must("logs", "--no-log-prefix", "--tail", "1000", "talker"), "line "+strings.TrimSpace(last)+"\n")
			})
			f.must("down", "-v")
		})
	}
}
