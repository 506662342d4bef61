package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// guestbook speaks with examples/guestbook over HTTP.
type guestbook struct{ address string }

// page is what it answers.
type page struct {
	Replica string `json:"replica"`
	Entries []struct {
		Name    string `json:"name"`
		Message string `json:"message"`
	} `json:"entries"`
	Error string `json:"error"`
}

func (g guestbook) write(ctx context.Context, name, message string) error {
	form := url.Values{"name": {name}, "message": {message}}.Encode()
	p, err := g.ask(ctx, http.MethodPost, form)
	if err != nil {
		return err
	}
	fmt.Printf("POST /entries: %q, taken by %s\n", message, p.Replica)
	return nil
}

// find reads the entries and returns an error when message is not among them.
func (g guestbook) find(ctx context.Context, message string) error {
	p, err := g.ask(ctx, http.MethodGet, "")
	if err != nil {
		return err
	}
	for _, entry := range p.Entries {
		if entry.Message == message {
			fmt.Printf("GET /entries: %q is there, says %s\n", entry.Message, p.Replica)
			return nil
		}
	}
	return fmt.Errorf("%q is not among the %d entries", message, len(p.Entries))
}

// hearLimit is how long replicas may take until each has answered. The proxy
// looks their addresses up once a second.
const hearLimit = 30 * time.Second

// hearFrom asks until n different replicas have answered.
func (g guestbook) hearFrom(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, hearLimit)
	defer cancel()
	heard := map[string]int{}
	for asked := 1; ; asked++ {
		p, err := g.ask(ctx, http.MethodGet, "")
		if err != nil {
			return fmt.Errorf("after answers from %d replicas: %w", len(heard), err)
		}
		heard[p.Replica]++
		if len(heard) < n {
			continue
		}
		fmt.Printf("%d replicas answered %d requests:", n, asked)
		for _, replica := range sorted(heard) {
			fmt.Printf(" %s (%d)", replica, heard[replica])
		}
		fmt.Println()
		return nil
	}
}

// client opens a connection a request, as many visitors would.
var client = http.Client{
	Timeout:   10 * time.Second,
	Transport: &http.Transport{DisableKeepAlives: true},
}

func (g guestbook) ask(ctx context.Context, method, form string) (page, error) {
	request, err := http.NewRequestWithContext(ctx, method, g.address+"/entries", strings.NewReader(form))
	if err != nil {
		return page{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := client.Do(request)
	if err != nil {
		return page{}, err
	}
	defer response.Body.Close()
	var p page
	if err := json.NewDecoder(response.Body).Decode(&p); err != nil {
		return page{}, fmt.Errorf("%s %s: %s: %w", method, request.URL, response.Status, err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return page{}, fmt.Errorf("%s %s: %s: %s", method, request.URL, response.Status, p.Error)
	}
	return p, nil
}

// registryAnswers tells whether the registry of the base image can be reached.
func registryAnswers(ctx context.Context) bool {
	const limit = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://registry-1.docker.io/v2/", nil)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK || response.StatusCode == http.StatusUnauthorized
}

func sorted(counts map[string]int) []string {
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func join(args []string) string { return strings.Join(args, " ") }
