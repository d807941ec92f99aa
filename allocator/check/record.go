package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"go4.org/netipx"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// record is what the status of a pool says about its addresses: four disjoint sets of one family.
type record struct {
	settled *netipx.IPSet
	entries []entry // of the addresses that are reserved, retained or held, ascending

	seenThrough  uint64
	longestGrace time.Duration
	term         string
}

// entry is one address with what its line says about it. A retained one may also be in use, pending
// admission or held; otherwise it is unassigned.
type entry struct {
	addr   netip.Addr
	place  place
	kept   *identity // the identity that it is retained for; nil for others
	inUse  bool
	awaits *reservation
	held   *hold
}

func (e entry) unassigned() bool { return !e.inUse && e.awaits == nil && e.held == nil }

// place is the line that an entry was read from.
type place struct {
	set  string
	line int
}

func (p place) String() string { return fmt.Sprintf("status.%s[%d]", p.set, p.line) }

// mostRecorded is the most addresses that a record may have.
const mostRecorded = 1 << 24

// readRecord is strict: each record has exactly one text.
func readRecord(s *crdv1.IPPoolStatus) (*record, error) {
	r := &record{term: s.Term}
	var err error
	if r.settled, err = readSettled(s.Settled); err != nil {
		return nil, err
	}
	for _, set := range []struct {
		name  string
		lines []string
		read  func(line string) ([]entry, error)
		order func([]entry) error
	}{
		{"reserved", s.Reserved, readReserved, ascending},
		{"retained", s.Retained, readRetained, byOwner},
		{"held", s.Held, readHeld, ascending},
	} {
		entries, err := readLines(set.name, set.lines, set.read)
		if err != nil {
			return nil, err
		}
		if err := set.order(entries); err != nil {
			return nil, err
		}
		r.entries = append(r.entries, entries...)
	}
	if err := r.disjoint(); err != nil {
		return nil, err
	}
	return r, r.readMarks(s)
}

// readLines reads the lines of one set.
func readLines(set string, lines []string, read func(line string) ([]entry, error)) ([]entry, error) {
	var all []entry
	for i, line := range lines {
		entries, err := read(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", place{set, i}, line, err)
		}
		for _, e := range entries {
			e.place = place{set, i}
			all = append(all, e)
		}
	}
	return all, nil
}

// disjoint sorts the entries, and returns an error where an address occurs twice or is of another
// family.
func (r *record) disjoint() error {
	slices.SortStableFunc(r.entries, func(a, b entry) int { return a.addr.Compare(b.addr) })
	for i, e := range r.entries {
		if r.settled.Contains(e.addr) || i > 0 && r.entries[i-1].addr == e.addr {
			return fmt.Errorf("%s: %s stands elsewhere too", e.place, e.addr)
		}
		if first := r.first(); first.BitLen() != e.addr.BitLen() {
			return fmt.Errorf("%s: %s and %s are of two families", e.place, first, e.addr)
		}
	}
	if n := r.count(); n > mostRecorded {
		return fmt.Errorf("status: more than %d addresses", mostRecorded)
	}
	return nil
}

// first returns an address of the record, which must not be empty.
func (r *record) first() netip.Addr {
	for _, settled := range r.settled.Ranges() {
		return settled.From()
	}
	return r.entries[0].addr
}

// readMarks reads the fields about all addresses together.
func (r *record) readMarks(s *crdv1.IPPoolStatus) (err error) {
	if text := s.PodsSeenThrough; text != "" {
		r.seenThrough, err = strconv.ParseUint(text, 10, 64)
		if err != nil || r.seenThrough == 0 || strconv.FormatUint(r.seenThrough, 10) != text {
			return fmt.Errorf("status.podsSeenThrough: %q: not a positive number", text)
		}
	}
	if text := s.LongestGrace; text != "" {
		if r.longestGrace, err = readGrace(text); err != nil {
			return fmt.Errorf("status.longestGrace: %w", err)
		}
		if len(r.settled.Ranges()) == 0 && !slices.ContainsFunc(r.entries, func(e entry) bool { return e.inUse }) {
			return fmt.Errorf("status.longestGrace: %q: no address is in use", text)
		}
	}
	return nil
}

// at returns the entry of an address; settled ones have none.
func (r *record) at(a netip.Addr) (entry, bool) {
	i, found := slices.BinarySearchFunc(r.entries, a, func(e entry, a netip.Addr) int { return e.addr.Compare(a) })
	if !found {
		return entry{}, false
	}
	return r.entries[i], true
}

// count returns how many addresses are taken.
func (r *record) count() int64 { return saturatingSum(size(r.settled), int64(len(r.entries))) }

// taken returns all taken addresses.
func (r *record) taken() *netipx.IPSet {
	var all netipx.IPSetBuilder
	all.AddSet(r.settled)
	for _, e := range r.entries {
		all.Add(e.addr)
	}
	return setOf(&all)
}
