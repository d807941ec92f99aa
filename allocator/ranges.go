package allocator

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
)

// ParseRange reads one entry of a pool's ips or excludeIPs: "a" or "a-b", both included. It is
// strict: one spelling of each address, one family, no zone, no IPv4-mapped address, start not
// after end.
func ParseRange(s string) (netipx.IPRange, error) {
	from, to, isRange := strings.Cut(s, "-")
	first, err := parseAddr(from)
	if err != nil {
		return netipx.IPRange{}, err
	}
	if !isRange {
		return netipx.IPRangeFrom(first, first), nil
	}
	last, err := parseAddr(to)
	switch {
	case err != nil && cutShort(from, to) != "":
		return netipx.IPRange{}, invalidf("%s: the end is cut short, write %s-%s", s, from, cutShort(from, to))
	case err != nil:
		return netipx.IPRange{}, err
	case first.BitLen() != last.BitLen():
		return netipx.IPRange{}, invalidf("%s: an IPv4 and an IPv6 address", s)
	case last.Less(first):
		return netipx.IPRange{}, invalidf("%s: start after end", s)
	}
	return netipx.IPRangeFrom(first, last), nil
}

// ParsePrefix reads a CIDR whose host bits are zero.
func ParsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	address, length, _ := strings.Cut(s, "/")
	switch {
	case err != nil && withoutZeros(address) != "":
		return netip.Prefix{}, invalidf("%q: leading zeros, write %s/%s", s, withoutZeros(address), length)
	case err != nil:
		return netip.Prefix{}, invalidf("%q: not a CIDR", s)
	case p.Addr().Is4In6():
		return netip.Prefix{}, invalidf("%q: an IPv4-mapped CIDR", s)
	case p.Masked().String() != s:
		return netip.Prefix{}, invalidf("%q: not canonical, write %s", s, p.Masked())
	}
	return p, nil
}

// cutShort returns the end of a range in full where only its last part is said, as a pool's status
// does; empty where it is not that.
func cutShort(first, end string) string {
	i := strings.LastIndexAny(first, ".:")
	full := first[:i+1] + end
	if _, err := parseAddr(full); err != nil || end == "" || strings.ContainsAny(end, ".:") {
		return ""
	}
	return full
}

// withoutZeros returns an IPv4 address without leading zeros, which some read as octal numbers;
// empty where it has none.
func withoutZeros(s string) string {
	parts := strings.Split(s, ".")
	for i, part := range parts {
		if part = strings.TrimLeft(part, "0"); part == "" && parts[i] != "" {
			part = "0"
		}
		parts[i] = part
	}
	plain := strings.Join(parts, ".")
	if a, err := netip.ParseAddr(plain); plain == s || err != nil || !a.Is4() {
		return ""
	}
	return plain
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil && withoutZeros(s) != "":
		return a, invalidf("%q: leading zeros, write %s", s, withoutZeros(s))
	case err != nil:
		return a, invalidf("%q: not an address", s)
	case !canonical(a):
		return a, invalidf("%q: an address with a zone, or IPv4-mapped", s)
	case a.String() != s:
		return a, invalidf("%q: not canonical, write %s", s, a)
	}
	return a, nil
}

// Space is the immutable set of addresses that a pool may hand out. It is kept as ranges and never
// expanded: an IPv6 /64 costs what a single address costs. Safe for concurrent use.
type Space struct {
	ranges []netipx.IPRange // ascending, disjoint, not adjacent, none of them mapped
	size   uint64           // stops at math.MaxUint64
}

// mapped is where IPv6 addresses are IPv4 addresses in disguise. No pool hands them out, also if
// its range goes over them.
var mapped = netip.MustParsePrefix("::ffff:0:0/96")

// NewSpace returns the addresses of include that are not in exclude. All must be of one family.
func NewSpace(include, exclude []netipx.IPRange) (Space, error) {
	all := slices.Concat(include, exclude)
	for _, r := range all {
		switch {
		case !r.IsValid() || !canonical(r.From()) || !canonical(r.To()):
			return Space{}, invalidf("%v: not a range of plain addresses", r)
		case r.From().BitLen() != all[0].From().BitLen():
			return Space{}, invalidf("%v and %v: two families", all[0], r)
		}
	}
	s := Space{ranges: include}
	return s.Without(append(exclude[:len(exclude):len(exclude)], netipx.RangeOfPrefix(mapped))), nil
}

// Unassignable returns the address of a subnet that no pool hands out, and what it is, empty where
// there is none: the broadcast address in IPv4, the subnet-router anycast address in IPv6 (RFC
// 4291). The links of two, a /31 (RFC 3021) and a /127 (RFC 6164), have none, nor has a single
// address.
func Unassignable(subnet netip.Prefix) (a netip.Addr, what string) {
	switch {
	case !subnet.IsValid() || subnet.Addr().BitLen()-subnet.Bits() < 2:
		return netip.Addr{}, ""
	case subnet.Addr().Is4():
		return netipx.RangeOfPrefix(subnet).To(), "the broadcast address"
	}
	return subnet.Masked().Addr(), "the subnet-router anycast address"
}

// SpaceIn returns the addresses that a pool of subnet may hand out: those of include that are not
// in exclude, none of the routers and not Unassignable(subnet). All must be of one family.
func SpaceIn(subnet netip.Prefix, include, exclude []netipx.IPRange, routers []netip.Addr) (Space, error) {
	exclude = slices.Clip(exclude)
	for _, router := range routers {
		exclude = append(exclude, netipx.IPRangeFrom(router, router))
	}
	if a, what := Unassignable(subnet); what != "" {
		exclude = append(exclude, netipx.IPRangeFrom(a, a))
	}
	return NewSpace(include, exclude)
}

// rangeSize stops at math.MaxUint64.
func rangeSize(r netipx.IPRange) uint64 {
	from, to := r.From().As16(), r.To().As16()
	lo, borrow := bits.Sub64(binary.BigEndian.Uint64(to[8:]), binary.BigEndian.Uint64(from[8:]), 0)
	hi, _ := bits.Sub64(binary.BigEndian.Uint64(to[:8]), binary.BigEndian.Uint64(from[:8]), borrow)
	if hi > 0 || lo == math.MaxUint64 {
		return math.MaxUint64
	}
	return lo + 1
}

// Size returns the number of addresses; it stops at 1<<63-1.
func (s Space) Size() uint64 { return min(s.size, math.MaxInt64) }

// Contains reports whether a may be handed out.
func (s Space) Contains(a netip.Addr) bool {
	if !canonical(a) {
		return false
	}
	i := s.from(a)
	return i < len(s.ranges) && s.ranges[i].Contains(a)
}

// Ranges returns the fewest ranges that are the space, in ascending order.
func (s Space) Ranges() []netipx.IPRange { return slices.Clone(s.ranges) }

// Overlap returns the first range that both spaces have.
func (s Space) Overlap(o Space) (netipx.IPRange, bool) {
	for _, r := range s.ranges {
		if i := o.from(r.From()); i < len(o.ranges) && o.ranges[i].Overlaps(r) {
			p := o.ranges[i]
			first, last := p.From(), p.To()
			if first.Less(r.From()) {
				first = r.From()
			}
			if r.To().Less(last) {
				last = r.To()
			}
			return netipx.IPRangeFrom(first, last), true
		}
	}
	return netipx.IPRange{}, false
}

// Without returns the space less the given ranges, which may be of the other family.
func (s Space) Without(ranges []netipx.IPRange) Space {
	var b netipx.IPSetBuilder
	for _, r := range s.ranges {
		b.AddRange(r)
	}
	for _, r := range ranges {
		b.RemoveRange(r)
	}
	set, _ := b.IPSet() // its error is about invalid ranges only: removing those removes nothing
	out := Space{ranges: set.Ranges()}
	for _, r := range out.ranges {
		sum, carry := bits.Add64(out.size, rangeSize(r), 0)
		out.size = sum | -carry
	}
	return out
}

// Minus returns the addresses that o does not have.
func (s Space) Minus(o Space) Space { return s.Without(o.ranges) }

// Intersect returns the addresses that both have.
func (s Space) Intersect(o Space) Space { return s.Minus(s.Minus(o)) }

// Equal reports whether both have the same addresses.
func (s Space) Equal(o Space) bool { return slices.Equal(s.ranges, o.ranges) }

// from returns the index of the first range that does not end before a.
func (s Space) from(a netip.Addr) int {
	i, _ := slices.BinarySearchFunc(s.ranges, a, func(r netipx.IPRange, a netip.Addr) int { return r.To().Compare(a) })
	return i
}
