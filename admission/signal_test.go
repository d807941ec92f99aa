package admission

import (
	"sync"
	"testing"
)

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestSignalWakesOnlyThoseThatWait(t *testing.T) {
	t.Parallel()
	var s Signal
	s.Ring() // nothing waits
	first, second := s.Changed(), s.Changed()
	if closed(first) || closed(second) {
		t.Fatal("woken before the change")
	}
	s.Ring()
	later := s.Changed()
	if !closed(first) || !closed(second) || closed(later) {
		t.Errorf("woken: first %v, second %v, later %v", closed(first), closed(second), closed(later))
	}
}

// TestSignalLosesNothing: a goroutine that asks for the channel before it looks is woken by a
// change that it did not see.
func TestSignalLosesNothing(t *testing.T) {
	t.Parallel()
	var s Signal
	var mu sync.Mutex
	value := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				changed := s.Changed()
				mu.Lock()
				done := value == 1000
				mu.Unlock()
				if done {
					return
				}
				<-changed
			}
		})
	}
	for range 1000 {
		mu.Lock()
		value++
		mu.Unlock()
		s.Ring()
	}
	wg.Wait()
}
