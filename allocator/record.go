package allocator

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"strings"
	"time"
)

// State is where an address stands in the record of its pool.
type State int

// The states of an address.
const (
	StateFree State = iota
	StateSettled
	StateReserved
	StateRetained
	StateHeld
)

func (s State) String() string {
	return [...]string{"free", "settled", "reserved", "retained", "held"}[s]
}

// Record says which addresses of one pool are taken, and why. See the package comment for its invariants. The zero value is empty.
// It is not safe for concurrent use while somebody changes it; clones are independent.
type Record struct {
	settled    Set
	reserved   sorted[netip.Addr, Reservation]
	retained   sorted[netip.Addr, Retention]
	held       sorted[netip.Addr, Hold]
	taken      Set                          // union of the four: answers "free?" and lets Pick skip full chunks
	tokens     sorted[Token, netip.Addr]    // of reserved and retained addresses
	identities sorted[Identity, netip.Addr] // of retained addresses

	seenThrough uint64
	term        string
}

// Clone returns an independent copy. It costs two small copies of bitmaps; all else is shared until one side changes it.
func (r *Record) Clone() *Record {
	return &Record{
		settled:     r.settled.Clone(),
		reserved:    r.reserved.clone(),
		retained:    r.retained.clone(),
		held:        r.held.clone(),
		taken:       r.taken.Clone(),
		tokens:      r.tokens.clone(),
		identities:  r.identities.clone(),
		seenThrough: r.seenThrough,
		term:        r.term,
	}
}

// State returns where a stands.
func (r *Record) State(a netip.Addr) State {
	if !r.taken.Contains(a) {
		return StateFree
	}
	if r.settled.Contains(a) {
		return StateSettled
	}
	if _, ok := r.reserved.get(a); ok {
		return StateReserved
	}
	if _, ok := r.retained.get(a); ok {
		return StateRetained
	}
	return StateHeld
}

// Contains reports whether a is taken: in any of the four sets.
func (r *Record) Contains(a netip.Addr) bool { return r.taken.Contains(a) }

// IsSettled reports whether a is settled.
func (r *Record) IsSettled(a netip.Addr) bool { return r.settled.Contains(a) }

// ReservedAt returns the reservation that stands at a.
func (r *Record) ReservedAt(a netip.Addr) (Reservation, bool) { return r.reserved.get(a) }

// RetainedAt returns the retention that stands at a.
func (r *Record) RetainedAt(a netip.Addr) (Retention, bool) { return r.retained.get(a) }

// HeldAt returns the hold that stands at a.
func (r *Record) HeldAt(a netip.Addr) (Hold, bool) { return r.held.get(a) }

// Settled returns the settled addresses: to be read, not changed, and not kept across a transition.
func (r *Record) Settled() *Set { return &r.settled }

// Taken returns all four sets together: to be read, not changed, and not kept across a transition.
func (r *Record) Taken() *Set { return &r.taken }

// Reserved yields the reserved addresses in ascending order.
func (r *Record) Reserved() iter.Seq2[netip.Addr, Reservation] { return r.reserved.all() }

// Retained yields the retained addresses in ascending order.
func (r *Record) Retained() iter.Seq2[netip.Addr, Retention] { return r.retained.all() }

// Held yields the held addresses in ascending order.
func (r *Record) Held() iter.Seq2[netip.Addr, Hold] { return r.held.all() }

// ByToken returns the address reserved or retained by the admission that t names.
func (r *Record) ByToken(t Token) (netip.Addr, bool) { return r.tokens.get(t) }

// ByIdentity returns the address retained for i.
func (r *Record) ByIdentity(i Identity) (netip.Addr, bool) { return r.identities.get(i) }

// Count returns how many addresses are taken.
func (r *Record) Count() int { return r.taken.Len() }

// Counts returns how many addresses each set has.
func (r *Record) Counts() Counts {
	return Counts{Settled: r.settled.Len(), Reserved: r.reserved.size, Retained: r.retained.size, Held: r.held.size}
}

// Counts says how many addresses each set of a record has.
type Counts struct{ Settled, Reserved, Retained, Held int }

// String returns "9 settled, 1 reserved", leaving out what is zero, and "none" where all are.
func (c Counts) String() string {
	parts := make([]string, 0, 4)
	for i, n := range []int{c.Settled, c.Reserved, c.Retained, c.Held} {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, StateSettled+State(i)))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// SeenThrough returns the highest resourceVersion among the pods whose addresses were settled: whoever releases waits until its own
// cache has reached it.
func (r *Record) SeenThrough() uint64 { return r.seenThrough }

// ResetSeenThrough sets the mark, downwards too: for a mark that comes from another history of the cluster.
func (r *Record) ResetSeenThrough(revision uint64) { r.seenThrough = revision }

// Term returns what SetTerm last wrote: under whose leadership the record was last written.
func (r *Record) Term() string { return r.term }

// SetTerm marks the record.
func (r *Record) SetTerm(term string) { r.term = term }

func (r *Record) conflict(verb string, a netip.Addr, cause error) error {
	e := &ConflictError{Verb: verb, Addr: a, State: r.State(a), Cause: cause}
	switch e.State {
	case StateReserved:
		v, _ := r.reserved.get(a)
		e.By = "by " + v.String()
	case StateRetained:
		v, _ := r.retained.get(a)
		e.By = "for " + v.String()
	case StateHeld:
		v, _ := r.held.get(a)
		e.By = "since " + v.Since.Format(time.RFC3339) + " for node " + cmp.Or(v.Node, "unknown")
	case StateFree, StateSettled:
	}
	return e
}

// admits says why a could not be recorded whatever its state.
func (r *Record) admits(verb string, a netip.Addr) error {
	switch {
	case !canonical(a):
		return invalidf("%s %s: not a plain address", verb, a)
	case r.taken.Len() > 0 && r.taken.v6 != a.Is6():
		return invalidf("%s %s: the pool has addresses of the other family", verb, a)
	case r.taken.Len() >= MaxAddresses && !r.taken.Contains(a):
		return invalidf("%s %s: a record keeps at most %d addresses", verb, a, MaxAddresses)
	}
	return nil
}
