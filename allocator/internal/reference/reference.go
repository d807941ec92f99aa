// Package reference says what allocator.Record has to do, in the slowest and plainest way: a map
// from address to state, scanned from end to end for every question. It shares the names and values
// of package allocator and none of its logic, and it is for tests only.
package reference

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"spidernet.io/spiderpool/allocator"
)

// Entry is one address that is not free, and everything that can be said of it.
type Entry struct {
	State       allocator.State
	Retention   allocator.Retention   // of a retained one
	Reservation allocator.Reservation // of a reserved one, or of one retained and pending admission
	Hold        allocator.Hold        // of a held one, or of one retained and held
}

// Model is the record of one pool.
type Model struct {
	At          map[netip.Addr]Entry // address -> what stands there; absent is free
	SeenThrough uint64
	Grace       time.Duration // the longest
	Term        string
}

// New returns an empty model.
func New() *Model { return &Model{At: map[netip.Addr]Entry{}} }

// Where returns the addresses whose entry is such, ascending.
func (m *Model) Where(such func(Entry) bool) []netip.Addr {
	var out []netip.Addr
	for a, e := range m.At {
		if such(e) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// Awaited reports whether a pod may come with the address.
func (e Entry) Awaited() bool {
	return e.State == allocator.StateReserved || e.State == allocator.StateRetained && e.Retention.Use == allocator.PendingAdmission
}

// InUse reports whether a pod with the address was seen.
func (e Entry) InUse() bool {
	return e.State == allocator.StateSettled || e.State == allocator.StateRetained && e.Retention.Use == allocator.InUse
}

// Held reports whether a pod with the address vanished.
func (e Entry) Held() bool {
	return e.State == allocator.StateHeld || e.State == allocator.StateRetained && e.Retention.Use == allocator.Held
}

// ByToken returns the address that awaits t for a NIC.
func (m *Model) ByToken(t allocator.Token, nic string) (netip.Addr, bool) {
	return first(m.Where(func(e Entry) bool { return e.Awaited() && e.Reservation.Token == t && e.Reservation.NIC == nic }))
}

// ByIdentity returns the address retained for i, or reserved for it.
func (m *Model) ByIdentity(i allocator.Identity) (netip.Addr, bool) {
	return first(m.Where(func(e Entry) bool {
		return e.State == allocator.StateRetained && e.Retention.Identity == i || e.State == allocator.StateReserved && e.Reservation.For == i
	}))
}

func first(all []netip.Addr) (netip.Addr, bool) {
	if len(all) == 0 {
		return netip.Addr{}, false
	}
	return all[0], true
}

// Reserve is allocator.Record.Reserve. Like all transitions here it returns the sentinel only.
func (m *Model) Reserve(a netip.Addr, v allocator.Reservation) error {
	e := m.At[a]
	its := e.State == allocator.StateRetained && e.Retention.Identity == v.For
	v = asRead(v, e, its)
	if e.Awaited() && e.Reservation == v {
		return nil
	}
	if its && e.Retention.Use != allocator.Unassigned {
		return allocator.ErrAssigned
	}
	if !its && e.State != allocator.StateFree {
		return allocator.ErrNotFree
	}
	if m.elsewhere(a, v) {
		return allocator.ErrElsewhere
	}
	if its {
		m.At[a] = retained(v.For, v.ForUID, Entry{Reservation: v, Retention: allocator.Retention{Use: allocator.PendingAdmission}})
		return nil
	}
	m.At[a] = Entry{State: allocator.StateReserved, Reservation: v}
	return nil
}

// asRead is v as it is read back.
func asRead(v allocator.Reservation, e Entry, its bool) allocator.Reservation {
	v.Grace = grace(v.Grace)
	if its {
		v.Owner = ""
		if v.ForUID == "" {
			v.ForUID = e.Retention.OwnerUID
		}
	}
	return v
}

func (m *Model) elsewhere(a netip.Addr, v allocator.Reservation) bool {
	byToken, ok := m.ByToken(v.Token, v.NIC)
	if ok && byToken != a {
		return true
	}
	byIdentity, ok := m.ByIdentity(v.For)
	return ok && byIdentity != a && v.For != allocator.Identity{}
}

// Settle is allocator.Record.Settle.
func (m *Model) Settle(a netip.Addr, t allocator.Token, revision uint64) error {
	e := m.At[a]
	grace := e.Reservation.Grace
	switch {
	case e.InUse():
		grace = 0
	case !e.Awaited() || e.Reservation.Token != t:
		return allocator.ErrNotReserved
	case e.Reservation.For != allocator.Identity{}:
		m.At[a] = retained(e.Reservation.For, e.Reservation.ForUID, Entry{Retention: allocator.Retention{Use: allocator.InUse}})
	default:
		m.At[a] = Entry{State: allocator.StateSettled}
	}
	m.SeenThrough, m.Grace = max(m.SeenThrough, revision), max(m.Grace, grace)
	return nil
}

// RaiseGrace is allocator.Record.RaiseGrace, for a grace that is written.
func (m *Model) RaiseGrace(d time.Duration) {
	if len(m.Where(Entry.InUse)) > 0 {
		m.Grace = max(m.Grace, d)
	}
}

func (m *Model) lowerGrace() {
	if len(m.Where(Entry.InUse)) == 0 {
		m.Grace = 0
	}
}

// GiveBack is allocator.Record.GiveBack.
func (m *Model) GiveBack(a netip.Addr, t allocator.Token) error {
	if e := m.At[a]; !e.Awaited() || e.Reservation.Token != t {
		return allocator.ErrNotReserved
	}
	m.end(a)
	return nil
}

// Release is allocator.Record.Release.
func (m *Model) Release(a netip.Addr) error {
	if !m.At[a].InUse() {
		return allocator.ErrNotSettled
	}
	m.end(a)
	m.lowerGrace()
	return nil
}

// Hold is allocator.Record.Hold.
func (m *Model) Hold(a netip.Addr, h allocator.Hold) error {
	e := m.At[a]
	if !e.InUse() {
		return allocator.ErrNotSettled
	}
	m.hold(a, e.Retention.Identity, e.Retention.OwnerUID, h)
	m.lowerGrace()
	return nil
}

// HoldReserved is allocator.Record.HoldReserved.
func (m *Model) HoldReserved(a netip.Addr, t allocator.Token, h allocator.Hold) error {
	e := m.At[a]
	if !e.Awaited() || e.Reservation.Token != t {
		return allocator.ErrNotReserved
	}
	m.hold(a, e.Reservation.For, e.Reservation.ForUID, h)
	return nil
}

// Unhold is allocator.Record.Unhold.
func (m *Model) Unhold(a netip.Addr) error {
	if !m.At[a].Held() {
		return allocator.ErrNotHeld
	}
	m.end(a)
	return nil
}

// PutBack is allocator.Record.PutBack.
func (m *Model) PutBack(a netip.Addr, revision uint64, i allocator.Identity, ownerUID string) error {
	e := m.At[a]
	at, known := m.ByIdentity(i)
	switch {
	case e.State == allocator.StateHeld:
		return allocator.ErrNotFree
	case e.State == allocator.StateRetained && e.Retention.Identity != i:
		return allocator.ErrNotFree
	case e.State == allocator.StateRetained && e.Retention.Use == allocator.Held:
		return allocator.ErrAssigned
	case e.State == allocator.StateRetained:
		if ownerUID == "" {
			ownerUID = e.Retention.OwnerUID
		}
		m.At[a] = retained(i, ownerUID, Entry{Retention: allocator.Retention{Use: allocator.InUse}})
	case e.State == allocator.StateSettled, i == allocator.Identity{}, known && at != a:
		m.At[a] = Entry{State: allocator.StateSettled}
	default:
		m.At[a] = retained(i, ownerUID, Entry{Retention: allocator.Retention{Use: allocator.InUse}})
	}
	m.SeenThrough = max(m.SeenThrough, revision)
	return nil
}

// FreeRetained is allocator.Record.FreeRetained.
func (m *Model) FreeRetained(a netip.Addr, i allocator.Identity) error {
	e := m.At[a]
	if e.State != allocator.StateRetained || e.Retention.Identity != i {
		return allocator.ErrNotRetained
	}
	if e.Retention.Use != allocator.Unassigned {
		return allocator.ErrAssigned
	}
	delete(m.At, a)
	return nil
}

// end is what becomes of an address that nobody has any longer.
func (m *Model) end(a netip.Addr) {
	e := m.At[a]
	if e.State != allocator.StateRetained {
		delete(m.At, a)
		return
	}
	m.At[a] = retained(e.Retention.Identity, e.Retention.OwnerUID, Entry{})
}

func (m *Model) hold(a netip.Addr, i allocator.Identity, ownerUID string, h allocator.Hold) {
	h.Since = time.Unix(h.Since.Unix(), 0).UTC()
	h.Grace = grace(h.Grace)
	h.Pod.UID = ""
	if !h.Until.IsZero() {
		h.Until = time.Unix(h.Until.Unix(), 0).UTC()
	}
	if i == (allocator.Identity{}) {
		m.At[a] = Entry{State: allocator.StateHeld, Hold: h}
		return
	}
	h.Pod = allocator.PodRef{Namespace: i.Namespace, Name: i.Pod}
	m.At[a] = retained(i, ownerUID, Entry{Hold: h, Retention: allocator.Retention{Use: allocator.Held}})
}

// retained completes e.
func retained(i allocator.Identity, ownerUID string, e Entry) Entry {
	e.State = allocator.StateRetained
	e.Retention.Identity = i
	e.Retention.OwnerUID = ownerUID
	return e
}

// grace counts seconds up.
func grace(d time.Duration) time.Duration {
	if d <= 30*time.Second {
		return 0
	}
	whole := 30 * time.Second
	for whole < d {
		whole += time.Second
	}
	return whole
}

// Pick is allocator.Pick over a space given address by address, ascending. gaveBack holds when each
// address was given back last.
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

// Expand reads lines as a person would: an address, then last parts that stand for whole addresses,
// joined by commas and dashes.
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
