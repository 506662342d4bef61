package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/console"
	"github.com/rogpeppe/go-internal/testscript"
)

// terminal CODE HAND PROGRAM [ARGS...] runs a program that must end with this
// code on a terminal of 24 lines of 80 columns, and does at it what the file
// HAND says, a line an act:
//
//	see TEXT      wait until the program has written this, after what was seen before
//	type TEXT     write this and press Enter
//	press ctrl-c  press a key
//	size 40 100   make the window so many lines high and columns wide
//
// What was on the terminal is the standard output, without carriage returns.
func terminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: terminal CODE HAND PROGRAM [ARGS...]")
	}
	screen, err := onTerminal(ts, args[2:])
	ts.Check(err)
	defer screen.close()
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		act, what, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if err := screen.do(act, what); err != nil {
			ts.Fatalf("%s %s: %v; on the terminal:\n%s", act, what, err, screen.text())
		}
	}
	code, err := screen.wait()
	fmt.Fprint(ts.Stdout(), screen.text())
	if err != nil || fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, %v, want %s; on the terminal:\n%s", code, err, args[0], screen.text())
	}
}

// screen is a program on a terminal.
type screen struct {
	cmd    *exec.Cmd
	master console.Console
	read   chan struct{} // closed when the program has let go of the terminal

	mu      sync.Mutex
	changed *sync.Cond
	written bytes.Buffer
	seen    int // how much of written an act has waited for
}

// onTerminal starts a program with a terminal of its own.
func onTerminal(ts *testscript.TestScript, args []string) (*screen, error) {
	cmd, err := program(ts, args)
	if err != nil {
		return nil, err
	}
	master, path, err := console.NewPty()
	if err != nil {
		return nil, err
	}
	s := &screen{cmd: cmd, master: master, read: make(chan struct{})}
	s.changed = sync.NewCond(&s.mu)
	slave, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err == nil {
		defer slave.Close()
		err = s.do("size", "24 80")
	}
	if err == nil {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		cmd.Env = append(cmd.Env, "TERM=xterm")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		err = cmd.Start()
	}
	if err != nil {
		master.Close()
		return nil, err
	}
	go s.copy()
	return s, nil
}

// copy keeps what the program writes.
func (s *screen) copy() {
	defer close(s.read)
	block := make([]byte, 4096)
	for {
		n, err := s.master.Read(block)
		s.mu.Lock()
		s.written.Write(bytes.ReplaceAll(block[:n], []byte("\r"), nil))
		s.changed.Broadcast()
		s.mu.Unlock()
		if err != nil { // EIO: nobody has it open any more
			return
		}
	}
}

func (s *screen) do(act, what string) error {
	switch act {
	case "see":
		return s.see(what)
	case "type":
		_, err := s.master.Write([]byte(what + "\r"))
		return err
	case "press":
		if what != "ctrl-c" {
			return errors.New("no such key")
		}
		_, err := s.master.Write([]byte{3})
		return err
	case "size":
		var w console.WinSize
		if _, err := fmt.Sscan(what, &w.Height, &w.Width); err != nil {
			return err
		}
		return s.master.Resize(w)
	}
	return errors.New("no such act")
}

// see waits until the program writes text.
func (s *screen) see(text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if i := bytes.Index(s.written.Bytes()[s.seen:], []byte(text)); i >= 0 {
			s.seen += i + len(text)
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("not seen within %v", patience)
		}
		s.changed.Wait()
	}
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written.String()
}

// wait returns how the program ended, once all it wrote is read.
func (s *screen) wait() (int, error) {
	timer := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	defer timer.Stop()
	err := s.cmd.Wait()
	<-s.read
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = nil
	}
	return s.cmd.ProcessState.ExitCode(), err
}

// close ends the program if it has not ended.
func (s *screen) close() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.master.Close()
}
