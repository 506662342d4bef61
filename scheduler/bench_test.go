package scheduler

import (
	"fmt"
	"strings"
	"testing"

	"github.com/compose-first/compose/project"
)

// BenchmarkUp plans services with three dependencies each: from nothing, and
// when all is there. Time a service should not grow with their number.
func BenchmarkUp(b *testing.B) {
	for _, n := range []int{1_000, 5_000, 10_000} {
		p := manyServices(b, n)
		b.Run(fmt.Sprintf("new/%d", n), func(b *testing.B) { benchmarkUp(b, p, Live{Project: "shop"}, n) })
		w := newWorld(p)
		w.networks["shop_default"] = Network{Name: "shop_default", Project: "shop"}
		for name := range p.Services {
			c := w.makeContainer(name, 1, p.ContainerName(name, 1))
			c.State = StateRunning
			w.containers = append(w.containers, c)
		}
		b.Run(fmt.Sprintf("unchanged/%d", n), func(b *testing.B) { benchmarkUp(b, p, w.live(), n) })
	}
}

func benchmarkUp(b *testing.B, p *project.Project, live Live, services int) {
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Up(p, live, Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(services), "ns/service")
}

// manyServices is a project of n services, each depending on three of those
// before it.
func manyServices(b *testing.B, n int) *project.Project {
	var file strings.Builder
	file.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&file, "  s%d: {image: i, depends_on: [", i)
		for k := 1; k <= 3 && k <= i; k++ {
			if k > 1 {
				file.WriteString(", ")
			}
			fmt.Fprintf(&file, "s%d", i*k/4)
		}
		file.WriteString("]}\n")
	}
	return load(b, file.String())
}
