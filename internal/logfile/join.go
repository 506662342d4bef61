package logfile

import "time"

// maxJoined bounds a line put together from its pieces, in bytes.
const maxJoined = 1 << 20

// joiner puts the pieces of lines together.
type joiner struct {
	give    func(Entry) error
	pending []pending // at most one a stream, in the order they began
}

// pending is the beginning of a line.
type pending struct {
	entry Entry     // Time of its first piece; Text is the joiner's own
	last  time.Time // when the last piece was read, by the wall
}

// add takes the next entry.
func (j *joiner) add(e Entry) error {
	i := j.find(e.Stream)
	if i < 0 {
		if !e.Partial {
			return j.give(e)
		}
		e.Text = append([]byte(nil), e.Text...)
		j.pending = append(j.pending, pending{e, time.Now()})
		return nil
	}
	p := &j.pending[i]
	p.entry.Text = append(p.entry.Text, e.Text...)
	p.entry.Partial = e.Partial
	p.last = time.Now()
	if e.Partial && len(p.entry.Text) <= maxJoined {
		return nil
	}
	return j.release(i)
}

// flush gives the unfinished lines that got nothing for at least that long.
func (j *joiner) flush(idle time.Duration) error {
	now := time.Now()
	for i := 0; i < len(j.pending); {
		if now.Sub(j.pending[i].last) < idle {
			i++
			continue
		}
		if err := j.release(i); err != nil {
			return err
		}
	}
	return nil
}

// release gives the i-th pending line and forgets it.
func (j *joiner) release(i int) error {
	e := j.pending[i].entry
	j.pending = append(j.pending[:i], j.pending[i+1:]...)
	return j.give(e)
}

func (j *joiner) find(stream string) int {
	for i := range j.pending {
		if j.pending[i].entry.Stream == stream {
			return i
		}
	}
	return -1
}
