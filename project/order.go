package project

import (
	"context"
	"fmt"
	"strings"
)

// orderServices builds the dependency graph of the active services.
func (l *loading) orderServices(context.Context) error {
	l.project.graph = newGraph(l.project.Services)
	return nil
}

// checkCycle refuses services that wait for each other.
func (l *loading) checkCycle(context.Context) error {
	cycle := l.project.graph.findCycle()
	if cycle == nil {
		return nil
	}
	at := locate(l.files, "services."+cycle[0]+".depends_on")
	return &Error{
		File: at.file, Line: at.line, Service: cycle[0], Key: "depends_on",
		Msg: fmt.Sprintf("dependency cycle detected: %s", strings.Join(cycle, " -> ")),
	}
}
