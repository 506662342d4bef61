// Package logfile is how the output of a container is kept on disk: the
// format of a line, the writer that rotates the files, and the reader that
// follows them. Who collects the output is the logger's business (agent),
// and who shows it that of engine and the commands.
//
// A line is that of the Kubernetes container runtime interface:
//
//	2026-01-02T15:04:05.000000000Z stdout F some text
//
// Time (UTC, always nine digits of a second), stream, tag and text. Tag F
// says that the container ended the text with a newline, P that it did not
// (yet): the next entry of the same stream goes on where this one stops. So
// the bytes of a stream are exactly the texts in order, with a newline after
// each F.
//
// Start with entry.go, then reader.go.
package logfile
