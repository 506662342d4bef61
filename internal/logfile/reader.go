package logfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// Options says which entries Read gives.
type Options struct {
	Since time.Time // zero: from the first
	Until time.Time // zero: without end
	// Tail is how many of the last lines to begin with; negative is all.
	// Partial entries count together with the one that ends their line.
	Tail   int
	Follow bool // go on with what is written from now on

	// Done, when following, tells that nothing more will be written: Read ends
	// once it reports true and all is read. It is asked about ten times a second.
	// A container's output is complete when its task is gone and Drained(its
	// streams folder). Nil: only ctx ends.
	Done func() bool

	// Lines joins the partial entries of a line into one entry, as long as
	// they are no more than 1 MiB together. When following, an unfinished line
	// is given as a partial entry once nothing came for it for 100 ms.
	Lines bool

	// Garbled is told of each line that is none of a log, and passed over. May be nil.
	Garbled func()
}

// followTick is how often a follower looks by itself: for Done, for unfinished
// lines, and for changes where the kernel has no inotify instance left.
const followTick = 100 * time.Millisecond

// Read gives the entries of the log at path and its rotated predecessors
// (path.1, path.2, …; the highest is the oldest), oldest first, to give. An
// entry's text is valid only during the call. Garbled lines are passed over.
// A log that does not exist is empty. Read ends with the error of give, with
// that of ctx (when following, an ended ctx is no error), or nil.
func Read(ctx context.Context, path string, o Options, give func(Entry) error) (retErr error) {
	files, err := openAll(path, nil)
	if err != nil {
		return err
	}
	r := &reader{ctx: ctx, path: path, options: o, give: give}
	defer func() { closeAll(r.files) }()
	for _, f := range files {
		r.files = append(r.files, newLineReader(f))
	}
	if o.Lines {
		j := &joiner{give: give}
		r.give, r.joiner = j.add, j
		defer func() {
			if err := j.flush(0); retErr == nil {
				retErr = err
			}
		}()
	}
	if o.Tail >= 0 {
		if err := r.seekTail(files); err != nil {
			return err
		}
	}
	if o.Follow {
		return r.follow()
	}
	return r.drain()
}

// reader is one Read.
type reader struct {
	ctx     context.Context
	path    string
	options Options
	give    func(Entry) error
	joiner  *joiner             // nil without Options.Lines
	files   []*lineReader       // oldest first; the last one may still grow
	from    map[string]position // by stream, where Tail begins; nil: everything
	index   int                 // of files[0] among all files ever read
}

// position is a place in the files of one Read.
type position struct {
	file int
	at   int64
}

func (p position) before(q position) bool {
	return p.file < q.file || p.file == q.file && p.at < q.at
}

// drain gives all that there is, and lets go of the files that are done with.
func (r *reader) drain() error {
	for len(r.files) > 0 {
		f := r.files[0]
		for {
			if err := r.ctx.Err(); err != nil {
				return err
			}
			line, at, ok, err := f.next()
			if err != nil {
				return fmt.Errorf("read %s: %w", r.path, err)
			}
			if !ok {
				break
			}
			if err := r.line(line, position{r.index, at}); err != nil {
				return err
			}
		}
		if len(r.files) == 1 {
			return nil
		}
		f.close()
		r.files = r.files[1:]
		r.index++
	}
	return nil
}

// line gives one line, if it is an entry that is asked for.
func (r *reader) line(line []byte, at position) error {
	e, err := Parse(line)
	if err != nil {
		if r.options.Garbled != nil {
			r.options.Garbled()
		}
		return nil
	}
	if r.from != nil && at.before(r.from[e.Stream]) ||
		!r.options.Since.IsZero() && e.Time.Before(r.options.Since) ||
		!r.options.Until.IsZero() && e.Time.After(r.options.Until) {
		return nil
	}
	return r.give(e)
}

// follow gives what there is and what comes, until nothing more comes.
func (r *reader) follow() error {
	w := newWatch(r.path)
	defer w.close()
	for {
		over := r.over() // asked before reading, so that what came before it is read
		if err := r.catchUp(); err != nil {
			return followEnd(r.ctx, err)
		}
		if over {
			return nil
		}
		if r.joiner != nil {
			if err := r.joiner.flush(followTick); err != nil {
				return err
			}
		}
		if err := w.wait(r.ctx, followTick); err != nil {
			return nil
		}
	}
}

// over reports whether nothing more is to come.
func (r *reader) over() bool {
	return r.options.Done != nil && r.options.Done() ||
		!r.options.Until.IsZero() && time.Now().After(r.options.Until)
}

// catchUp gives all that there is, and goes over to the files that came with
// rotations meanwhile.
func (r *reader) catchUp() error {
	for {
		if err := r.drain(); err != nil {
			return err
		}
		var last *os.File
		if len(r.files) > 0 {
			last = r.files[len(r.files)-1].file
		}
		newer, err := openAll(r.path, last)
		if err != nil {
			return err
		}
		if len(newer) == 0 {
			return nil
		}
		// Only now is it sure that nothing more is written to the files at
		// hand: drain reads their rest before it goes over to the newer.
		for _, f := range newer {
			r.files = append(r.files, newLineReader(f))
		}
	}
}

// followEnd is the error of a follower: none, when it ended because ctx did.
func followEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// openAll opens the files of a log that are newer than last (nil: all of
// them), oldest first. It goes from the newest to the oldest, so that a
// rotation meanwhile can only show a file twice, never hide one.
func openAll(path string, last *os.File) (files []*os.File, retErr error) {
	defer func() {
		if retErr != nil {
			for _, f := range files {
				f.Close()
			}
			files = nil
		}
	}()
	var known []os.FileInfo
	if last != nil {
		info, err := last.Stat()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		// The usual case, at little cost: nothing was rotated.
		if now, err := os.Stat(path); err == nil && os.SameFile(info, now) || os.IsNotExist(err) {
			return nil, nil
		}
		known = append(known, info)
	}
	for missing, n := 0, 0; missing < 2; n++ { // a rotation cut short leaves a gap of one
		f, err := os.Open(numbered(path, n))
		if os.IsNotExist(err) {
			missing++
			continue
		}
		if err != nil {
			return files, fmt.Errorf("open log: %w", err)
		}
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return files, fmt.Errorf("open log: %w", err)
		}
		if last != nil && os.SameFile(info, known[0]) {
			f.Close()
			break
		}
		if contains(known, info) {
			f.Close()
			continue
		}
		known = append(known, info)
		files = append([]*os.File{f}, files...)
	}
	return files, nil
}

func contains(known []os.FileInfo, info os.FileInfo) bool {
	for _, k := range known {
		if os.SameFile(k, info) {
			return true
		}
	}
	return false
}

// numbered is the name of a log's n-th predecessor; 0 is the log itself.
func numbered(path string, n int) string {
	if n == 0 {
		return path
	}
	return path + "." + strconv.Itoa(n)
}

func closeAll(files []*lineReader) {
	for _, f := range files {
		f.close()
	}
}
