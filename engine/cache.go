package engine

import "sync"

// cache makes each value once, however many ask for it at the same time. A
// value whose making failed is made anew by the next that asks.
// The zero cache is empty and ready.
type cache[K comparable, V any] struct {
	mu     sync.Mutex // guards values
	values map[K]*cached[V]
}

type cached[V any] struct {
	done  chan struct{} // closed when value and err are set
	value V
	err   error
}

// get returns the value of key, made by produce if nobody has.
func (c *cache[K, V]) get(key K, produce func() (V, error)) (V, error) {
	c.mu.Lock()
	if e, ok := c.values[key]; ok {
		c.mu.Unlock()
		<-e.done
		return e.value, e.err
	}
	if c.values == nil {
		c.values = map[K]*cached[V]{}
	}
	e := &cached[V]{done: make(chan struct{})}
	c.values[key] = e
	c.mu.Unlock()

	e.value, e.err = produce()
	if e.err != nil {
		c.mu.Lock()
		delete(c.values, key)
		c.mu.Unlock()
	}
	close(e.done)
	return e.value, e.err
}
