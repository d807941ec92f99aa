package admission

import "sync"

// Signal is a PoolChanges that the event handler of the pools' informer rings. The zero value is
// ready to use.
type Signal struct {
	mu   sync.Mutex    // protects next
	next chan struct{} // closed at the next change; nil while nothing waits
}

var _ PoolChanges = (*Signal)(nil)

// Changed returns a channel that is closed at the next change. Call it before looking at the pools,
// or a change in between is missed.
func (s *Signal) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = make(chan struct{})
	}
	return s.next
}

// Ring wakes all waiting goroutines.
func (s *Signal) Ring() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		close(s.next)
		s.next = nil
	}
}
