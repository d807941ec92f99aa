// Package address reads IP addresses and prefixes for a program that must start
// quickly. It is the small part of net/netip that the plugin needs: merely
// importing that package costs three hundredths of host-local's ADD, for zones
// (interned at start) that no address of a pod has.
//
// A fuzz test holds it to net/netip: what is taken here means the same there,
// and all is taken that net/netip writes, but for zones and for IPv6 addresses
// that hide an IPv4 address.
package address

import (
	"strconv"
	"strings"
)

// Addr is an IPv4 or IPv6 address. The zero value is none.
type Addr struct {
	text  string
	bytes [16]byte // an IPv4 address is in the first four
	is6   bool
}

// Parse reads an address.
func Parse(text string) (Addr, bool) {
	a := Addr{text: text, is6: strings.Contains(text, ":")}
	if a.is6 {
		return a, a.parse6(text)
	}
	return a, a.parse4(text)
}

func (a *Addr) parse4(text string) bool {
	parts := strings.Split(text, ".")
	if len(parts) != 4 {
		return false
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || part[0] == '+' || len(part) > 1 && part[0] == '0' {
			return false
		}
		a.bytes[i] = byte(n)
	}
	return true
}

// parse6 reads eight groups, or fewer with one gap.
func (a *Addr) parse6(text string) bool {
	before, after, gap := strings.Cut(text, "::")
	head, ok := groups(before)
	if !ok {
		return false
	}
	tail, ok := groups(after)
	if !ok || !gap && len(head) != 8 || gap && len(head)+len(tail) > 7 {
		return false
	}
	for i, group := range head {
		a.bytes[2*i], a.bytes[2*i+1] = byte(group>>8), byte(group)
	}
	for i, group := range tail {
		at := 16 - 2*(len(tail)-i)
		a.bytes[at], a.bytes[at+1] = byte(group>>8), byte(group)
	}
	return true
}

// groups reads hexadecimal groups with colons between them; none for no text.
func groups(text string) ([]uint16, bool) {
	if text == "" {
		return nil, true
	}
	var numbers []uint16
	for part := range strings.SplitSeq(text, ":") {
		n, err := strconv.ParseUint(part, 16, 16)
		if err != nil || len(part) > 4 || part[0] == '+' || part[0] == '_' {
			return nil, false
		}
		numbers = append(numbers, uint16(n))
	}
	return numbers, true
}

// String is the text that the address was read from.
func (a Addr) String() string { return a.text }

// IsValid tells an address from the zero value.
func (a Addr) IsValid() bool { return a.text != "" }

// Is6 tells the family.
func (a Addr) Is6() bool { return a.is6 }

// Same tells whether the two are one address, however written.
func (a Addr) Same(b Addr) bool {
	return a.bytes == b.bytes && a.is6 == b.is6 && a.IsValid() == b.IsValid()
}

// Is4In6 tells whether an IPv6 address stands for an IPv4 address.
func (a Addr) Is4In6() bool {
	return a.is6 && a.bytes[10] == 0xff && a.bytes[11] == 0xff && [10]byte(a.bytes[:10]) == [10]byte{}
}

// IsUnspecified tells whether a is 0.0.0.0 or ::.
func (a Addr) IsUnspecified() bool { return a.bytes == [16]byte{} }

// IsLoopback tells whether a is in 127.0.0.0/8 or is ::1.
func (a Addr) IsLoopback() bool {
	if a.is6 {
		return a.bytes == [16]byte{15: 1}
	}
	return a.bytes[0] == 127
}

// IsMulticast tells whether a is in 224.0.0.0/4 or ff00::/8.
func (a Addr) IsMulticast() bool {
	if a.is6 {
		return a.bytes[0] == 0xff
	}
	return a.bytes[0]&0xf0 == 0xe0
}

// IsLinkLocal tells whether a is in 169.254.0.0/16 or fe80::/10.
func (a Addr) IsLinkLocal() bool {
	if a.is6 {
		return a.bytes[0] == 0xfe && a.bytes[1]&0xc0 == 0x80
	}
	return a.bytes[0] == 169 && a.bytes[1] == 254
}

// Prefix is an address with the length of its network.
type Prefix struct {
	addr Addr
	bits int
	text string
}

// ParsePrefix reads an address with its prefix length, such as 10.0.0.7/24.
func ParsePrefix(text string) (Prefix, bool) {
	before, after, found := strings.Cut(text, "/")
	addr, ok := Parse(before)
	length, err := strconv.Atoi(after)
	if !found || !ok || err != nil || strconv.Itoa(length) != after || length < 0 || length > addr.width() {
		return Prefix{}, false
	}
	return Prefix{addr: addr, bits: length, text: text}, true
}

// width is the number of bits of an address of a's family.
func (a Addr) width() int {
	if a.is6 {
		return 128
	}
	return 32
}

// String is the text that the prefix was read from.
func (p Prefix) String() string { return p.text }

// Addr is the address, host bits included.
func (p Prefix) Addr() Addr { return p.addr }

// Same tells whether the two have one address and one length.
func (p Prefix) Same(q Prefix) bool { return p.bits == q.bits && p.addr.Same(q.addr) }

// IsMasked tells whether no host bit is set.
func (p Prefix) IsMasked() bool {
	for bit := p.bits; bit < p.addr.width(); bit++ {
		if p.addr.bit(bit) != 0 {
			return false
		}
	}
	return true
}

// Contains tells whether a is in the network of p.
func (p Prefix) Contains(a Addr) bool {
	if !a.IsValid() || a.is6 != p.addr.is6 {
		return false
	}
	for bit := range p.bits {
		if a.bit(bit) != p.addr.bit(bit) {
			return false
		}
	}
	return true
}

func (a Addr) bit(n int) byte { return a.bytes[n/8] >> (7 - n%8) & 1 }
