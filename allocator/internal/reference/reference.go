// Package reference says what allocator.Record has to do, in the slowest and plainest way: a map from address to state, scanned from end
// to end for every question. It shares the names and values of package allocator and none of its logic, and it is for tests only.
package reference

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"spidernet.io/spiderpool/allocator"
)

// Entry is one address that is not free.
type Entry struct {
	State       allocator.State
	Reservation allocator.Reservation
	Retention   allocator.Retention
	Hold        allocator.Hold
}

// Model is the record of one pool.
type Model struct {
	At          map[netip.Addr]Entry // address -> what stands there; absent is free
	SeenThrough uint64
	Term        string
}

// New returns an empty model.
func New() *Model { return &Model{At: map[netip.Addr]Entry{}} }

// Addrs returns the addresses in a state, ascending.
func (m *Model) Addrs(state allocator.State) []netip.Addr {
	var out []netip.Addr
	for a, e := range m.At {
		if e.State == state {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// ByToken returns the address reserved or retained by t.
func (m *Model) ByToken(t allocator.Token) (netip.Addr, bool) {
	for a, e := range m.At {
		if e.State == allocator.StateReserved && e.Reservation.Token == t || slices.Contains(e.Retention.Tokens, t) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// ByIdentity returns the address retained for i.
func (m *Model) ByIdentity(i allocator.Identity) (netip.Addr, bool) {
	for a, e := range m.At {
		if e.State == allocator.StateRetained && e.Retention.Identity == i {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// Reserve is allocator.Record.Reserve. Like all transitions here it returns the sentinel only.
func (m *Model) Reserve(a netip.Addr, v allocator.Reservation) error {
	e := m.At[a]
	if e.State == allocator.StateReserved && e.Reservation == v {
		return nil
	}
	if e.State != allocator.StateFree {
		return allocator.ErrNotFree
	}
	if _, elsewhere := m.ByToken(v.Token); elsewhere {
		return allocator.ErrElsewhere
	}
	m.At[a] = Entry{State: allocator.StateReserved, Reservation: v}
	return nil
}

// Settle is allocator.Record.Settle.
func (m *Model) Settle(a netip.Addr, t allocator.Token, revision uint64) error {
	e := m.At[a]
	if e.State != allocator.StateSettled && (e.State != allocator.StateReserved || e.Reservation.Token != t) {
		return allocator.ErrNotReserved
	}
	m.settled(a, revision)
	return nil
}

// GiveBack is allocator.Record.GiveBack.
func (m *Model) GiveBack(a netip.Addr, t allocator.Token) error {
	if e := m.At[a]; e.State != allocator.StateReserved || e.Reservation.Token != t {
		return allocator.ErrNotReserved
	}
	delete(m.At, a)
	return nil
}

// Release is allocator.Record.Release.
func (m *Model) Release(a netip.Addr) error {
	if m.At[a].State != allocator.StateSettled {
		return allocator.ErrNotSettled
	}
	delete(m.At, a)
	return nil
}

// PutBack is allocator.Record.PutBack.
func (m *Model) PutBack(a netip.Addr, revision uint64) error {
	if s := m.At[a].State; s == allocator.StateHeld || s == allocator.StateRetained {
		return allocator.ErrNotFree
	}
	m.settled(a, revision)
	return nil
}

// Hold is allocator.Record.Hold.
func (m *Model) Hold(a netip.Addr, h allocator.Hold) error {
	if m.At[a].State != allocator.StateSettled {
		return allocator.ErrNotSettled
	}
	h.Since = time.Unix(h.Since.Unix(), 0).UTC()
	m.At[a] = Entry{State: allocator.StateHeld, Hold: h}
	return nil
}

// Unhold is allocator.Record.Unhold.
func (m *Model) Unhold(a netip.Addr) error {
	if m.At[a].State != allocator.StateHeld {
		return allocator.ErrNotHeld
	}
	delete(m.At, a)
	return nil
}

// Retain is allocator.Record.Retain.
func (m *Model) Retain(a netip.Addr, v allocator.Retention) error {
	e := m.At[a]
	if e.State != allocator.StateFree && (e.State != allocator.StateRetained || e.Retention.Identity != v.Identity) {
		return allocator.ErrNotFree
	}
	if at, ok := m.ByIdentity(v.Identity); ok && at != a {
		return allocator.ErrElsewhere
	}
	if slices.ContainsFunc(v.Tokens, func(t allocator.Token) bool { at, ok := m.ByToken(t); return ok && at != a }) {
		return allocator.ErrElsewhere
	}
	uid, tokens := v.OwnerUID, slices.Clone(e.Retention.Tokens)
	if uid == "" {
		uid = e.Retention.OwnerUID
	}
	for _, t := range v.Tokens {
		if !slices.Contains(tokens, t) {
			tokens = append(tokens, t)
		}
	}
	for len(tokens) > 16 {
		tokens = tokens[1:]
	}
	m.At[a] = Entry{State: allocator.StateRetained,
		Retention: allocator.Retention{Identity: v.Identity, OwnerUID: uid, Tokens: tokens}}
	return nil
}

// Confirm is allocator.Record.Confirm.
func (m *Model) Confirm(a netip.Addr, t allocator.Token) error {
	e := m.At[a]
	if e.State != allocator.StateRetained {
		return allocator.ErrNotRetained
	}
	if !slices.Contains(e.Retention.Tokens, t) {
		return allocator.ErrUnknownToken
	}
	for len(e.Retention.Tokens) > 0 {
		first := e.Retention.Tokens[0]
		e.Retention.Tokens = e.Retention.Tokens[1:]
		if first == t {
			break
		}
	}
	m.At[a] = e
	return nil
}

// FreeRetained is allocator.Record.FreeRetained.
func (m *Model) FreeRetained(a netip.Addr, i allocator.Identity, seen []allocator.Token) error {
	e := m.At[a]
	if e.State != allocator.StateRetained || e.Retention.Identity != i {
		return allocator.ErrNotRetained
	}
	if !slices.Equal(e.Retention.Tokens, seen) {
		return allocator.ErrChanged
	}
	delete(m.At, a)
	return nil
}

func (m *Model) settled(a netip.Addr, revision uint64) {
	m.At[a] = Entry{State: allocator.StateSettled}
	if revision > m.SeenThrough {
		m.SeenThrough = revision
	}
}

// Pick is allocator.Pick over a space given address by address, ascending. gaveBack holds when each address was given back last.
func (m *Model) Pick(space []netip.Addr, gaveBack map[netip.Addr]time.Time, veto func(netip.Addr) bool, now time.Time) (netip.Addr, bool) {
	var candidates []netip.Addr
	for _, a := range space {
		if _, taken := m.At[a]; taken || veto(a) {
			continue
		}
		if at, ok := gaveBack[a]; !ok || now.Sub(at) >= time.Minute {
			return a, true
		}
		candidates = append(candidates, a)
	}
	if len(candidates) == 0 {
		return netip.Addr{}, false
	}
	slices.SortStableFunc(candidates, func(a, b netip.Addr) int { return gaveBack[a].Compare(gaveBack[b]) })
	return candidates[0], true
}

// Expand reads lines as a person would: an address, then last parts that stand for whole addresses, joined by commas and dashes.
func Expand(lines []string) []netip.Addr {
	var out []netip.Addr
	for _, line := range lines {
		prefix := ""
		for item := range strings.SplitSeq(line, ",") {
			from, to, isRange := strings.Cut(item, "-")
			if i := strings.LastIndexAny(from, ".:"); i >= 0 {
				prefix = from[:i+1]
			} else {
				from = prefix + from
			}
			switch {
			case !isRange:
				to = from
			case !strings.ContainsAny(to, ".:"):
				to = prefix + to
			}
			last := netip.MustParseAddr(to)
			a := netip.MustParseAddr(from)
			for ; a != last; a = a.Next() {
				out = append(out, a)
			}
			out = append(out, last)
		}
	}
	return out
}
