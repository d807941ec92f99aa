package allocator

import "net/netip"

// Available returns how many addresses of space Pick could give one after the other, counted up to
// limit. Like Pick it costs the chunks below the last one counted.
func Available(space Space, r *Record, veto func(netip.Addr) bool, limit int) int {
	n := 0
	for c, taken := range space.chunks(&r.taken) {
		for low := range c.bits.minus(taken).all() {
			if n >= limit {
				return n
			}
			if veto == nil || !veto(c.key.addr(space.v6(), low)) {
				n++
			}
		}
	}
	return n
}
