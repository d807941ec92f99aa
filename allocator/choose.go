package allocator

import (
	"iter"
	"math"
	"net/netip"
	"time"
)

// Pick returns the lowest address of space that is free in r, not vetoed, and was not given back in the last minute. If all that are
// free were, it returns the one given back longest ago. It returns false if none is free.
//
// Full chunks are passed over whole, and nothing is expanded: the cost is that of the taken chunks below the answer, and of the vetoed and
// recent addresses met on the way. So veto is for single addresses (a node's, a claim's); whole ranges belong out of the space.
func Pick(space Space, r *Record, recent *Recent, veto func(netip.Addr) bool, now time.Time) (netip.Addr, bool) {
	var oldest netip.Addr
	var since time.Time
	for c, taken := range space.chunks(&r.taken) {
		for low := range c.bits.minus(taken).all() {
			a := c.key.addr(space.v6(), low)
			if veto != nil && veto(a) {
				continue
			}
			at, again := recent.since(a, now)
			if !again {
				return a, true
			}
			if !oldest.IsValid() || at.Before(since) {
				oldest, since = a, at
			}
		}
	}
	return oldest, oldest.IsValid()
}

// Free returns how many addresses of space are free in r; it stops at 1<<63-1 as Space.Size does.
func Free(space Space, r *Record) uint64 {
	return space.free(&r.taken)
}

// restPeriod keeps a crash-looping pod off its predecessor's ARP entries. A preference, not a safeguard.
const restPeriod = time.Minute

// maxRecent bounds Recent; beyond it the oldest are forgotten early.
const maxRecent = 1 << 16

// Recent remembers which addresses were given back in the last minute. Its zero value, and nil, remember none.
// It is not safe for concurrent use.
type Recent struct {
	at    map[netip.Addr]time.Time // address -> when it was given back last
	queue []gaveBack               // in order of time; an address given back twice is in it twice
}

type gaveBack struct {
	addr netip.Addr
	at   time.Time
}

// GaveBack notes that a became free at now. Times are expected in order.
func (r *Recent) GaveBack(a netip.Addr, now time.Time) {
	if r.at == nil {
		r.at = map[netip.Addr]time.Time{}
	}
	r.at[a] = now
	r.queue = append(r.queue, gaveBack{a, now})
	forget := 0
	for ; len(r.queue)-forget > maxRecent || now.Sub(r.queue[forget].at) >= restPeriod; forget++ {
		if old := r.queue[forget]; r.at[old.addr].Equal(old.at) {
			delete(r.at, old.addr)
		}
	}
	r.queue = r.queue[forget:]
}

// since returns when a was given back, if that was in the last minute.
func (r *Recent) since(a netip.Addr, now time.Time) (time.Time, bool) {
	if r == nil {
		return time.Time{}, false
	}
	at, ok := r.at[a]
	return at, ok && now.Sub(at) < restPeriod
}

// chunks yields the part of each chunk that lies in the space, in ascending order, with what of that chunk is taken, and leaves out
// chunks wholly taken. An IPv6 space may have 2^56 of them: the caller stops at the first that serves.
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
