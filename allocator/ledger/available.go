package ledger

import "spidernet.io/spiderpool/allocator"

// Available returns how many new addresses Bind could take from this version of a pool, were it
// ready, counted up to limit. It is for whoever decides who is served: that some addresses are free
// does not say that they may be handed out.
func (l *Ledger) Available(s *State, limit int) int {
	space := s.Free()
	if never, _ := l.o.ReservedRanges(); len(never) > 0 {
		space = space.Without(never)
	}
	return allocator.Available(space, s.Record, l.o.Used, limit)
}

// MostKept returns how many addresses of a pool of size addresses one namespace may keep without a
// pod that is known to run.
func (l *Ledger) MostKept(size uint64) int { return l.o.Caps.Kept(size) }
