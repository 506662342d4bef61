package e2e

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// commands are those of the scripts besides testscript's own.
var commands = map[string]func(*testscript.TestScript, bool, []string){
	"eventually":    eventually,
	"within":        within,
	"fetch":         fetch,
	"spread":        spread,
	"listen":        listen,
	"nobody":        nobody,
	"exits":         exits,
	"harmless":      harmless,
	"refusing":      refusing,
	"registry":      startRegistry,
	"push":          push,
	"asked":         asked,
	"fetched":       fetched,
	"terminal":      terminal,
	"ownengine":     ownEngine,
	"oldcontainerd": oldContainerd,
}

// patience is how long something may take that does not happen at once.
const patience = 20 * time.Second

// eventually REGEXP PROGRAM [ARGS...] runs a program until it succeeds and its
// standard output matches; with !, until it does not match any more.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] eventually REGEXP PROGRAM [ARGS...]")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	deadline := time.Now().Add(patience)
	for {
		out, err := output(ts, args[1:])
		if err == nil && pattern.MatchString(out) != neg {
			fmt.Fprint(ts.Stdout(), out)
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("after %v still: %v\n%s", patience, err, out)
		}
		time.Sleep(50 * time.Millisecond) // until the next try; the deadline decides
	}
}

// output runs a program with the script's folder and variables, and returns
// what it says on standard output, and with an error on standard error too.
func output(ts *testscript.TestScript, args []string) (string, error) {
	cmd, err := program(ts, args)
	if err != nil {
		return "", err
	}
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		return string(out) + string(exit.Stderr), err
	}
	return string(out), err
}

func program(ts *testscript.TestScript, args []string) (*exec.Cmd, error) {
	path := args[0]
	if !strings.Contains(path, "/") {
		for dir := range strings.SplitSeq(ts.Getenv("PATH"), ":") {
			if _, err := os.Stat(dir + "/" + path); err == nil {
				path = dir + "/" + path
				break
			}
		}
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, key := range []string{"PATH", "HOME", "COMPOSE_ENGINE_ROOT", "COMPOSE_LIBEXEC", "COMPOSE_PROJECT_NAME", "PORT"} {
		cmd.Env = append(cmd.Env, key+"="+ts.Getenv(key))
	}
	return cmd, nil
}

// within SECONDS PROGRAM [ARGS...] runs a program that must succeed in time.
func within(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: within SECONDS PROGRAM [ARGS...]")
	}
	seconds, err := strconv.ParseFloat(args[0], 64)
	ts.Check(err)
	start := time.Now()
	ts.Check(ts.Exec(args[1], args[2:]...))
	if took := time.Since(start); took.Seconds() > seconds {
		ts.Fatalf("took %v, more than %v s", took.Round(time.Millisecond), seconds)
	}
}

// exits CODE PROGRAM [ARGS...] runs a program that must end with this code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGS...]")
	}
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := err.(*exec.ExitError)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// client asks each time over a connection of its own: a kept one would always
// reach the same container.
var client = &http.Client{
	Timeout:   2 * time.Second,
	Transport: &http.Transport{DisableKeepAlives: true},
}

func get(url string) (string, error) {
	r, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, r.Status)
	}
	return string(body), err
}

// fetch URL prints what a web server answers, waiting until it does; with !,
// nobody must answer.
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] fetch URL")
	}
	deadline := time.Now().Add(patience)
	for {
		body, err := get(args[0])
		if (err == nil) != neg {
			fmt.Fprint(ts.Stdout(), body)
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("after %v still: %v %s", patience, err, body)
		}
		time.Sleep(50 * time.Millisecond) // until the next try; the deadline decides
	}
}

// spread N URL asks until N different answers have come, and prints them
// sorted.
func spread(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: spread N URL")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	answers := map[string]bool{}
	for deadline := time.Now().Add(patience); len(answers) < n; {
		body, err := get(args[1])
		if err == nil {
			answers[strings.TrimSpace(body)] = true
		}
		if time.Now().After(deadline) {
			ts.Fatalf("after %v only %v", patience, slices.Sorted(maps.Keys(answers)))
		}
	}
	for _, a := range slices.Sorted(maps.Keys(answers)) {
		fmt.Fprintln(ts.Stdout(), a)
	}
}

// listen PORT takes a TCP port of all addresses until the script ends.
func listen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: listen PORT")
	}
	l, err := net.Listen("tcp", ":"+args[0])
	ts.Check(err)
	ts.Defer(func() { l.Close() })
}

// nobody PROGRAM [ARGS...] runs a program as the user nobody.
// 65534 is nobody's number on Linux, whatever /etc/passwd says.
func nobody(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 {
		ts.Fatalf("usage: [!] nobody PROGRAM [ARGS...]")
	}
	cmd, err := program(ts, args)
	ts.Check(err)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	if err = cmd.Run(); (err == nil) == neg {
		ts.Fatalf("%v", err)
	}
}
