package logfile

import (
	"fmt"
	"os"
)

// tailSlack is how far before the last lines Read looks for the beginning of
// the first of them, where it is in pieces, in bytes.
const tailSlack = 1 << 20

// seekTail makes the last lines, as many as options say, the next that are read.
func (r *reader) seekTail(files []*os.File) error {
	t := tail{options: r.options, from: map[string]position{}}
	end := position{}
	for i := len(files) - 1; i >= 0 && !t.found; i-- {
		info, err := files[i].Stat()
		if err != nil {
			return fmt.Errorf("read %s: %w", r.path, err)
		}
		if i == len(files)-1 {
			end = position{i, info.Size()}
			if r.options.Tail == 0 {
				break
			}
		}
		t.file = i
		if err := backwards(files[i], info.Size(), t.visit); err != nil {
			return fmt.Errorf("read %s: %w", r.path, err)
		}
	}
	first := end
	r.from = map[string]position{Stdout: end, Stderr: end}
	for stream, p := range t.from {
		r.from[stream] = p
		if p.before(first) {
			first = p
		}
	}
	closeAll(r.files[:first.file])
	r.files = r.files[first.file:]
	r.index = first.file
	if len(r.files) > 0 {
		r.files[0].seek(first.at)
	}
	return nil
}

// tail finds where the last lines begin. It is shown the entries from the last
// to the first. Each stream has its own beginning, since the pieces of a line
// may have another stream's entries between them.
type tail struct {
	options Options
	file    int                 // index of the file whose lines are being shown
	from    map[string]position // by stream, its first entry among the last lines
	closed  map[string]bool     // streams whose beginning is found; nil while lines are still counted
	count   int
	passed  int  // bytes looked at since the last line was counted
	found   bool // no need to look further
}

func (t *tail) visit(line []byte, at int64) bool {
	e, err := Parse(line)
	if err != nil || !t.options.Until.IsZero() && e.Time.After(t.options.Until) {
		return true
	}
	if !t.options.Since.IsZero() && e.Time.Before(t.options.Since) {
		t.found = true
		return false
	}
	here := position{t.file, at}
	_, begun := t.from[e.Stream]
	switch {
	case t.closed == nil && (!e.Partial || !begun): // the end of a line, or one without an end
		t.from[e.Stream] = here
		t.count++
		if t.count == t.options.Tail {
			t.closed = map[string]bool{}
		}
	case t.closed == nil:
		t.from[e.Stream] = here
	case !e.Partial || !begun:
		t.closed[e.Stream] = true
	case !t.closed[e.Stream]:
		t.from[e.Stream] = here
	}
	if t.closed != nil {
		t.passed += len(line)
		t.found = t.passed > tailSlack || t.allClosed()
	}
	return !t.found
}

// allClosed reports whether every stream that is among the last lines begins there.
func (t *tail) allClosed() bool {
	for stream := range t.from {
		if !t.closed[stream] {
			return false
		}
	}
	return true
}
