package allocator

import (
	"cmp"
	"encoding/binary"
	"iter"
	"math"
	"math/bits"
	"net/netip"
	"slices"
)

// Set is a mutable set of addresses of one family. Its zero value is empty and takes the family of
// the first address added.
//
// It keeps one bitmap of 256 addresses for each /24 (IPv4) or /120 (IPv6) that it touches, in
// ascending order: a pool of 65,534 addresses is at most 256 chunks of 48 bytes, so that a Clone is
// one small copy, and full chunks can be skipped whole. Not safe for concurrent use while somebody
// writes.
type Set struct {
	v6     bool
	chunks []chunk // ascending, none empty
	size   int
}

type chunk struct {
	key  key
	bits bitmap
}

// Add puts a into the set and reports whether the set changed. An address that cannot be a member
// (invalid, with a zone, IPv4-mapped, or of another family than those in the set) is not added.
func (s *Set) Add(a netip.Addr) bool {
	if !canonical(a) || s.size > 0 && s.v6 != a.Is6() {
		return false
	}
	k, low := split(a)
	i, found := s.find(k)
	if found && s.chunks[i].bits.has(low) {
		return false
	}
	if !found {
		s.chunks = slices.Insert(s.chunks, i, chunk{key: k})
	}
	s.v6 = a.Is6()
	s.chunks[i].bits.set(low)
	s.size++
	return true
}

// Remove takes a out of the set and reports whether it was in it.
func (s *Set) Remove(a netip.Addr) bool {
	if !s.Contains(a) {
		return false
	}
	k, low := split(a)
	i, _ := s.find(k)
	s.chunks[i].bits.clear(low)
	if s.chunks[i].bits == (bitmap{}) {
		s.chunks = slices.Delete(s.chunks, i, i+1)
	}
	s.size--
	return true
}

// Contains reports whether a is in the set.
func (s *Set) Contains(a netip.Addr) bool {
	if !canonical(a) || s.v6 != a.Is6() {
		return false
	}
	k, low := split(a)
	i, found := s.find(k)
	return found && s.chunks[i].bits.has(low)
}

// Len returns the number of addresses in the set.
func (s *Set) Len() int { return s.size }

// All yields the addresses in ascending order.
func (s *Set) All() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, c := range s.chunks {
			for low := range c.bits.all() {
				if !yield(c.key.addr(s.v6, low)) {
					return
				}
			}
		}
	}
}

// Clone returns an independent copy.
func (s *Set) Clone() Set {
	c := *s
	c.chunks = slices.Clone(s.chunks)
	return c
}

// Equal reports whether both sets have the same addresses.
func (s *Set) Equal(o *Set) bool {
	return s.size == o.size && (s.size == 0 || s.v6 == o.v6) && slices.Equal(s.chunks, o.chunks)
}

// Without yields the addresses of the set that are not in o, in ascending order. What both have
// costs a look at each chunk.
func (s *Set) Without(o *Set) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, c := range s.chunks {
			for low := range c.bits.minus(o.bits(c.key, s.v6)).all() {
				if !yield(c.key.addr(s.v6, low)) {
					return
				}
			}
		}
	}
}

// bits returns what of a chunk is in the set.
func (s *Set) bits(k key, v6 bool) bitmap {
	if i, found := s.find(k); found && s.v6 == v6 {
		return s.chunks[i].bits
	}
	return bitmap{}
}

// find returns where the chunk of k is, or where it would be inserted.
func (s *Set) find(k key) (int, bool) {
	return slices.BinarySearchFunc(s.chunks, k, func(c chunk, k key) int { return c.key.compare(k) })
}

// appendChunk appends a chunk beyond all others. Only the constructors, which meet chunks in order,
// use it.
func (s *Set) appendChunk(c chunk) {
	s.chunks = append(s.chunks, c)
	s.size += c.bits.count()
}

// union joins sets of one family.
func union(sets ...*Set) Set {
	var all []chunk
	out := Set{}
	for _, s := range sets {
		all = append(all, s.chunks...)
		out.v6 = out.v6 || s.size > 0 && s.v6
	}
	slices.SortFunc(all, func(a, b chunk) int { return a.key.compare(b.key) })
	for i := 0; i < len(all); {
		c := all[i]
		for i++; i < len(all) && all[i].key == c.key; i++ {
			c.bits = c.bits.or(all[i].bits)
		}
		out.appendChunk(c)
	}
	return out
}

// canonical reports whether a may be kept at all: one address has one spelling here.
func canonical(a netip.Addr) bool { return a.IsValid() && !a.Is4In6() && a.Zone() == "" }

// key is an address without its last eight bits: what all addresses of a chunk share.
type key struct {
	hi uint64 // IPv6: the first eight bytes; IPv4: zero
	lo uint64 // IPv6: the next seven bytes; IPv4: the first three bytes
}

func split(a netip.Addr) (key, uint8) {
	if a.Is4() {
		b := a.As4()
		v := binary.BigEndian.Uint32(b[:])
		return key{lo: uint64(v >> 8)}, uint8(v)
	}
	b := a.As16()
	lo := binary.BigEndian.Uint64(b[8:])
	return key{hi: binary.BigEndian.Uint64(b[:8]), lo: lo >> 8}, uint8(lo)
}

func (k key) addr(v6 bool, low uint8) netip.Addr {
	if !v6 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(k.lo)<<8|uint32(low))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.hi)
	binary.BigEndian.PutUint64(b[8:], k.lo<<8|uint64(low))
	return netip.AddrFrom16(b)
}

// next returns the key of the following chunk. It is never asked for the one after the last of a
// family.
func (k key) next() key {
	if k.lo++; k.lo == 1<<56 {
		return key{hi: k.hi + 1}
	}
	return k
}

func (k key) compare(o key) int {
	if k.hi != o.hi {
		return cmp.Compare(k.hi, o.hi)
	}
	return cmp.Compare(k.lo, o.lo)
}

// bitmap says which of the 256 addresses of a chunk are meant.
type bitmap [4]uint64

var fullChunk = bitmap{math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64}

// span is the bitmap of first to last, both included.
func span(first, last uint8) bitmap {
	var b bitmap
	for w := range b {
		lo, hi := max(int(first)-64*w, 0), min(int(last)-64*w, 63)
		if lo <= hi {
			b[w] = math.MaxUint64 << lo & (math.MaxUint64 >> (63 - hi))
		}
	}
	return b
}

func (b *bitmap) has(i uint8) bool { return b[i>>6]&(1<<(i&63)) != 0 }
func (b *bitmap) set(i uint8)      { b[i>>6] |= 1 << (i & 63) }
func (b *bitmap) clear(i uint8)    { b[i>>6] &^= 1 << (i & 63) }

func (b *bitmap) count() int {
	return bits.OnesCount64(b[0]) + bits.OnesCount64(b[1]) + bits.OnesCount64(b[2]) + bits.OnesCount64(b[3])
}

func (b bitmap) or(o bitmap) bitmap {
	return bitmap{b[0] | o[0], b[1] | o[1], b[2] | o[2], b[3] | o[3]}
}
func (b bitmap) and(o bitmap) bitmap {
	return bitmap{b[0] & o[0], b[1] & o[1], b[2] & o[2], b[3] & o[3]}
}
func (b bitmap) minus(o bitmap) bitmap {
	return bitmap{b[0] &^ o[0], b[1] &^ o[1], b[2] &^ o[2], b[3] &^ o[3]}
}

func (b bitmap) all() iter.Seq[uint8] {
	return func(yield func(uint8) bool) {
		for w, word := range b {
			for ; word != 0; word &= word - 1 {
				if !yield(uint8(64*w + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

// next returns the first index from i on whose bit differs from those of the mask (all zeros or all
// ones), or 256.
func (b *bitmap) next(i int, mask uint64) int {
	for ; i < 256; i = i&^63 + 64 {
		if word := (b[i>>6] ^ mask) >> (i & 63); word != 0 {
			return i + bits.TrailingZeros64(word)
		}
	}
	return 256
}
