package check

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"go4.org/netipx"
)

// readSettled reads lines such as 172.18.41.40-44,50. A line is about one block, which is a /24 or
// /120: its first address is written in full, of the others only the last number. Two or more
// adjacent blocks that are taken completely share one line such as 172.18.0.0-172.18.255.255. Lines
// and numbers ascend, and adjacent ones are merged.
func readSettled(lines []string) (*netipx.IPSet, error) {
	var all netipx.IPSetBuilder
	var before settledLine
	for i, text := range lines {
		line, err := readSettledLine(text)
		if err == nil && i > 0 {
			err = line.follows(before)
		}
		if err != nil {
			return nil, fmt.Errorf("status.settled[%d]: %q: %w", i, text, err)
		}
		for _, r := range line {
			all.AddRange(r)
		}
		before = line
	}
	return setOf(&all), nil
}

// settledLine is the content of a line: ascending ranges, at least one.
type settledLine []netipx.IPRange

func (l settledLine) first() netip.Addr { return l[0].From() }
func (l settledLine) last() netip.Addr  { return l[len(l)-1].To() }

// whole reports whether the line has every address of its blocks.
func (l settledLine) whole() bool {
	first, last := netipx.RangeOfPrefix(blockOf(l.first())), netipx.RangeOfPrefix(blockOf(l.last()))
	return len(l) == 1 && l.first() == first.From() && l.last() == last.To()
}

// follows returns an error where l cannot follow the line before.
func (l settledLine) follows(before settledLine) error {
	switch {
	case l.first().BitLen() != before.last().BitLen():
		return fmt.Errorf("of another family than %s", before.last())
	case !before.last().Less(l.first()) || blockOf(before.last()) == blockOf(l.first()):
		return fmt.Errorf("not in a block behind that of %s", before.last())
	case l.whole() && before.whole() && before.last().Next() == l.first():
		return fmt.Errorf("goes on where the line before ends at %s: write one line", before.last())
	}
	return nil
}

// blockOf returns the addresses that share a line with a.
func blockOf(a netip.Addr) netip.Prefix {
	p, _ := a.Prefix(a.BitLen() - 8) // never fails for an address
	return p
}

func readSettledLine(text string) (settledLine, error) {
	items := strings.Split(text, ",")
	from, to, isRange := strings.Cut(items[0], "-")
	first, err := readHead(from)
	if err != nil {
		return nil, err
	}
	if isRange && strings.ContainsAny(to, ".:") {
		return readBlocks(first, strings.Join(append([]string{to}, items[1:]...), ","))
	}
	line := settledLine{}
	for i, item := range items {
		from, to, isRange := strings.Cut(item, "-")
		low := first
		if i > 0 {
			if low, err = readTail(from, first); err != nil {
				return nil, err
			}
			if !line.last().Less(low) || line.last().Next() == low {
				return nil, fmt.Errorf("%q: not behind %s, with a gap", item, line.last())
			}
		}
		high := low
		if isRange {
			if high, err = readTail(to, first); err != nil {
				return nil, err
			}
			if !low.Less(high) {
				return nil, fmt.Errorf("%q: does not end behind its start", item)
			}
		}
		line = append(line, netipx.IPRangeFrom(low, high))
	}
	return line, nil
}

// readBlocks reads a line about several whole blocks, from the dash on.
func readBlocks(first netip.Addr, text string) (settledLine, error) {
	last, err := readAddress(text)
	if err != nil {
		return nil, err
	}
	if first.BitLen() != last.BitLen() || !first.Less(last) || blockOf(first) == blockOf(last) {
		return nil, fmt.Errorf("%s: not in a block behind that of %s", last, first)
	}
	line := settledLine{netipx.IPRangeFrom(first, last)}
	if !line.whole() {
		return nil, fmt.Errorf("%s to %s: not whole blocks", first, last)
	}
	return line, nil
}

// readHead reads an address that shows its last number: fc00::0, where the usual form is fc00::.
func readHead(text string) (netip.Addr, error) {
	switch {
	case strings.HasSuffix(text, "::"):
		return netip.Addr{}, fmt.Errorf("%q: does not show its last number", text)
	case strings.HasSuffix(text, "::0"):
		text = strings.TrimSuffix(text, "0")
	}
	return readAddress(text)
}

// readTail reads the last number of an address in the block of first.
func readTail(text string, first netip.Addr) (netip.Addr, error) {
	base, bits := 10, 8
	if first.Is6() {
		base, bits = 16, 16
	}
	n, err := strconv.ParseUint(text, base, bits)
	if err != nil || strconv.FormatUint(n, base) != text {
		return netip.Addr{}, fmt.Errorf("%q: not the last number of an address", text)
	}
	raw := first.AsSlice()
	raw[len(raw)-1] = byte(n)
	if first.Is6() {
		raw[len(raw)-2] = byte(n >> 8)
	}
	a, _ := netip.AddrFromSlice(raw) // of the length of an address
	if blockOf(a) != blockOf(first) {
		return netip.Addr{}, fmt.Errorf("%q: %s is not in the block of %s", text, a, first)
	}
	return a, nil
}
