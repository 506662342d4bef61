package project

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// manyServices is a file of n usual services, each but the last depending on
// the next.
func manyServices(n int) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&b, "  s%d:\n    image: busybox\n    command: sleep 1000\n    environment:\n      A: b\n      C: ${HOME}\n", i)
		fmt.Fprintf(&b, "    ports:\n      - \"%d:80\"\n    volumes:\n      - data:/data\n      - ./src:/src\n", 8000+i)
		fmt.Fprintf(&b, "    healthcheck: {test: [CMD, \"true\"], interval: 5s}\n")
		if i < n-1 {
			fmt.Fprintf(&b, "    depends_on: [s%d]\n", i+1)
		}
	}
	return b.String() + "volumes:\n  data:\n"
}

// BenchmarkLoad30 is a whole load of 30 services: at most 15 ms.
func BenchmarkLoad30(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "shop")
	writeFiles(b, dir, "-- compose.yaml --\n"+manyServices(30))
	o := Options{WorkingDir: dir, Environment: []string{"HOME=/root"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(context.Background(), o); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad1000 shows that loading grows no faster than the file.
func BenchmarkLoad1000(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "shop")
	writeFiles(b, dir, "-- compose.yaml --\n"+manyServices(1000))
	o := Options{WorkingDir: dir, Environment: []string{"HOME=/root"}}
	for b.Loop() {
		if _, err := Load(context.Background(), o); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFull30 is the same model built by compose-go's loader alone, which
// is what files with include or extends take.
func BenchmarkFull30(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "shop")
	writeFiles(b, dir, "-- compose.yaml --\n"+manyServices(30))
	l := prepared(b, Options{WorkingDir: dir, Environment: []string{"HOME=/root"}})
	for b.Loop() {
		if err := l.full(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
