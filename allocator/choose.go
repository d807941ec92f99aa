package allocator

import (
	"iter"
	"math"
	"net/netip"
	"time"
)

// Pick returns the lowest address of space that is free in r, not vetoed, and was not given back in
// the last minute. If all that are free were, it returns the one given back longest ago, of several
// the lowest. It returns false if none is free.
//
// Chunks that are taken or resting are passed over whole, and nothing is expanded: the cost is that
// of the chunks below the answer, and of the vetoed addresses met on the way. So veto is for single
// addresses (a node's, a claim's); whole ranges belong out of the space. Pick makes recent forget
// what has rested.
func Pick(space Space, r *Record, recent *Recent, veto func(netip.Addr) bool, now time.Time) (netip.Addr, bool) {
	if recent == nil {
		recent = &Recent{}
	}
	recent.forget(now)
	for c, taken := range space.chunks(&r.taken) {
		for low := range c.bits.minus(taken).minus(recent.resting.bits(c.key, space.v6())).all() {
			if a := c.key.addr(space.v6(), low); veto == nil || !veto(a) {
				return a, true
			}
		}
	}
	return recent.oldest(&r.taken, func(a netip.Addr) bool { return space.Contains(a) && (veto == nil || !veto(a)) })
}

// Free returns how many addresses of space are free in r; it stops at 1<<63-1 as Space.Size does.
func Free(space Space, r *Record) uint64 {
	return space.free(&r.taken)
}

// restPeriod keeps a crash-looping pod off its predecessor's ARP entries. A preference, not a
// safeguard.
const restPeriod = time.Minute

// maxRecent bounds Recent; beyond it the oldest are forgotten early.
const maxRecent = 1 << 16

// Recent remembers which addresses were given back in the last minute. Its zero value remembers
// none. It is not safe for concurrent use.
type Recent struct {
	at      map[netip.Addr]*gaveBack // resting address -> when it was given back last
	moments []*gaveBack              // in order of time
	resting Set
}

// gaveBack is what was given back at one moment and still rests.
type gaveBack struct {
	at    time.Time
	addrs Set
}

// GaveBack notes that a became free at now. Times are expected in order.
func (r *Recent) GaveBack(a netip.Addr, now time.Time) {
	r.forget(now)
	r.Took(a)
	if !r.resting.Add(a) { // of another family than its pool had before
		return
	}
	if r.at == nil {
		r.at = map[netip.Addr]*gaveBack{}
	}
	n := len(r.moments)
	if n == 0 || !r.moments[n-1].at.Equal(now) {
		r.moments = append(r.moments, &gaveBack{at: now})
		n++
	}
	r.moments[n-1].addrs.Add(a)
	r.at[a] = r.moments[n-1]
	for r.resting.Len() > maxRecent || len(r.moments) > maxRecent {
		r.drop()
	}
}

// Took notes that a is free no more: it does not rest.
func (r *Recent) Took(a netip.Addr) {
	if g, ok := r.at[a]; ok {
		g.addrs.Remove(a)
		r.resting.Remove(a)
		delete(r.at, a)
	}
}

// drop forgets the lowest of those given back longest ago, and moments of which nothing is left.
func (r *Recent) drop() {
	for a := range r.moments[0].addrs.All() {
		r.Took(a)
		break
	}
	if r.moments[0].addrs.Len() == 0 {
		r.moments = r.moments[1:]
	}
}

// forget drops what has rested.
func (r *Recent) forget(now time.Time) {
	for len(r.moments) > 0 && (r.moments[0].addrs.Len() == 0 || now.Sub(r.moments[0].at) >= restPeriod) {
		r.drop()
	}
}

// oldest returns which of those that are not taken, and may be chosen, has rested longest.
func (r *Recent) oldest(taken *Set, may func(netip.Addr) bool) (netip.Addr, bool) {
	for _, g := range r.moments {
		for _, c := range g.addrs.chunks {
			for low := range c.bits.minus(taken.bits(c.key, g.addrs.v6)).all() {
				if a := c.key.addr(g.addrs.v6, low); may(a) {
					return a, true
				}
			}
		}
	}
	return netip.Addr{}, false
}

// chunks yields the part of each chunk that lies in the space, in ascending order, with what of
// that chunk is taken, and leaves out chunks wholly taken. An IPv6 space may have 2^56 of them: the
// caller stops at the first that serves.
func (s Space) chunks(taken *Set) iter.Seq2[chunk, bitmap] {
	if taken.v6 != s.v6() {
		taken = &Set{}
	}
	return func(yield func(chunk, bitmap) bool) {
		for _, r := range s.ranges {
			k, first := split(r.From())
			end, last := split(r.To())
			i, _ := taken.find(k)
			for more := true; more; k, first = k.next(), 0 {
				var has bitmap
				if i < len(taken.chunks) && taken.chunks[i].key == k {
					has = taken.chunks[i].bits
					i++
				}
				more = k != end
				if has == fullChunk {
					continue
				}
				part := span(first, 255)
				if !more {
					part = span(first, last)
				}
				if !yield(chunk{k, part}, has) {
					return
				}
			}
		}
	}
}

func (s Space) v6() bool { return len(s.ranges) > 0 && s.ranges[0].From().Is6() }

func (s Space) free(taken *Set) uint64 {
	n := uint64(0)
	for i := 0; i < len(taken.chunks) && s.v6() == taken.v6; i++ {
		c := taken.chunks[i]
		n += uint64(s.within(c.key, c.bits))
	}
	return min(s.size-n, math.MaxInt64)
}

// within counts the addresses of a chunk that lie in the space.
func (s Space) within(k key, b bitmap) int {
	n := 0
	first, last := k.addr(s.v6(), 0), k.addr(s.v6(), 255)
	for i := s.from(first); i < len(s.ranges) && !last.Less(s.ranges[i].From()); i++ {
		from, to := uint8(0), uint8(255)
		if first.Less(s.ranges[i].From()) {
			_, from = split(s.ranges[i].From())
		}
		if s.ranges[i].To().Less(last) {
			_, to = split(s.ranges[i].To())
		}
		part := b.and(span(from, to))
		n += part.count()
	}
	return n
}
