package faults

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"
)

// diskSize is that of the small disk, in bytes: room for an image and little more.
const diskSize = 48 << 20

// A full disk is named, containers go on, also those that log and those that
// write to a volume, and once there is room again the same commands succeed and
// nothing is corrupt.
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
	f := begin(t, small, "disk full: engine, volumes, logs", `
services:
  talker:
    image: busybox
    command: [sh, -c, "i=0; while :; do echo line $$((i=i+1)); echo $$i > /dev/shm/count; sleep 0.01; done"]
    stop_signal: SIGKILL
  web: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL, volumes: [data:/data]}
  keeper: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL, volumes: [data:/data, small:/small]}
volumes:
  data: {}
  small: {driver_opts: {type: tmpfs, device: tmpfs, o: size=1m}}
`)
	for range times(1, 10) {
		f.try(func() {
			f.must("up", "-d", "talker", "keeper")
			f.must("exec", "keeper", "sh", "-c", "echo precious > /data/file")
			f.fullVolume("/small")
			f.must("exec", "keeper", "rm", "/small/more")
			free, err := f.FillDisk()
			if err != nil {
				f.Fatal(err)
			}
			r := f.compose("up", "-d", "web")
			if line := lastLine(r.Stderr); r.Code == 0 || !sentence.MatchString(line) || !strings.Contains(r.Stderr, "no space left on device") {
				f.Errorf("on a full disk: exit %d, %q", r.Code, r.Stderr)
			}
			f.fullVolume("/data")
			count := f.must("exec", "talker", "cat", "/dev/shm/count")
			f.until(5*time.Second, "the container goes on", func() bool { return f.must("exec", "talker", "cat", "/dev/shm/count") != count })
			if err := free(); err != nil {
				f.Fatal(err)
			}
			f.must("up", "-d", "web")
			if got := f.states(); got != "keeper running, talker running, web running" {
				f.Errorf("there is %q", got)
			}
			if got := f.must("exec", "keeper", "sh", "-c", "echo more > /data/more; cat /data/file /data/more"); got != "precious\nmore\n" {
				f.Errorf("the volume has %q", got)
			}
			last := f.must("exec", "talker", "cat", "/dev/shm/count")
			f.until(5*time.Second, "output is logged again", func() bool {
				return strings.Contains(f.must("logs", "--no-log-prefix", "--tail", "1000", "talker"), "line "+strings.TrimSpace(last)+"\n")
			})
			f.orderly(f.must("logs", "--no-log-prefix", "talker"))
			f.must("down", "-v")
		})
	}
}

// fullVolume writes to a volume of keeper's until nothing more fits.
func (f *fault) fullVolume(path string) {
	f.Helper()
	r := f.compose("exec", "keeper", "dd", "if=/dev/zero", "of="+path+"/more", "bs=64k")
	if r.Code != 1 || !strings.Contains(r.Stderr, "No space left on device") {
		f.Errorf("writing to a full volume: exit %d, %q", r.Code, r.Stderr)
	}
	if c := f.named("keeper"); c.State != "running" {
		f.Errorf("with a full volume: %+v", c)
	}
}

// orderly checks a log of numbered lines of which some could not be written:
// each line is whole, none comes twice, and what is missing is owned up to.
func (f *fault) orderly(log string) {
	f.Helper()
	last, lost := 0, false
	for line := range strings.Lines(log) {
		if strings.Contains(line, "of output were lost here") {
			lost = true
			continue
		}
		number, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "line "))
		if err != nil || number <= last || number > last+1 && !lost {
			f.Errorf("after line %d the log has %q", last, line)
			return
		}
		last, lost = number, false
	}
}
