package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/compose-first/compose/internal/escape"
)

// harmless [json] fails if the last program wrote anything that would steer a
// terminal; with json, also if its standard output is no JSON.
func harmless(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: harmless [json]")
	}
	for _, stream := range []string{"stdout", "stderr"} {
		text := ts.ReadFile(stream)
		bad := func(r rune) bool { return r != '\n' && r != '\t' && !escape.Shows(r) }
		if i := strings.IndexFunc(text, bad); i >= 0 {
			ts.Fatalf("%s has %.20q in %.200q", stream, text[i:], text[max(i-80, 0):])
		}
	}
	if len(args) == 0 {
		return
	}
	d := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	for {
		var v any
		switch err := d.Decode(&v); {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			ts.Fatalf("standard output is no JSON: %v", err)
		}
	}
}

// refusing PORT MESSAGE starts a registry that refuses everything with a message,
// in which \x1b and the like stand for those characters.
func refusing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: refusing PORT MESSAGE")
	}
	message := strings.NewReplacer(`\x1b`, "\x1b", `\x07`, "\a", `\r`, "\r", `\n`, "\n", `\u202e`, "\u202e").Replace(args[1])
	body, err := json.Marshal(map[string]any{"errors": []map[string]string{{"code": "DENIED", "message": message}}})
	ts.Check(err)
	l, err := net.Listen("tcp", "127.0.0.1:"+args[0])
	ts.Check(err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "%s", body)
	})}
	go func() { _ = server.Serve(l) }()
	ts.Defer(func() { server.Close() })
}
