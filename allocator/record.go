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

// Record says which addresses of one pool are taken, and why. See the package comment for its
// invariants. The zero value is empty. It is not safe for concurrent use while somebody changes it;
// clones are independent.
//
// Whether an address is kept for an identity, and who has it now, are kept apart: retained says the
// first; settled, seen, awaited and held the second, for retained addresses and all others alike.
// So no retention can contradict its use.
type Record struct {
	settled  Set                             // in use, not retained
	seen     Set                             // in use, retained
	awaited  sorted[netip.Addr, Reservation] // reserved or, where retained, pending admission
	held     sorted[netip.Addr, Hold]
	retained sorted[netip.Addr, keeping]

	taken      Set                          // union of all five: answers "free?" and lets Pick skip full chunks
	tokens     sorted[tokenNIC, netip.Addr] // of awaited addresses
	identities sorted[Identity, netip.Addr] // of retained addresses, and of reserved ones that are for an identity

	seenThrough  uint64
	longestGrace time.Duration
	term         string
}

// keeping is for whom an address is retained.
type keeping struct {
	identity Identity
	ownerUID string
}

// pod returns the pod of the identity.
func (k keeping) pod() PodRef { return PodRef{Namespace: k.identity.Namespace, Name: k.identity.Pod} }

// Clone returns an independent copy. It costs three small copies of bitmaps; all else is shared
// until one side changes it.
func (r *Record) Clone() *Record {
	return &Record{
		settled:     r.settled.Clone(),
		seen:        r.seen.Clone(),
		awaited:     r.awaited.clone(),
		held:        r.held.clone(),
		retained:    r.retained.clone(),
		taken:       r.taken.Clone(),
		tokens:      r.tokens.clone(),
		identities:  r.identities.clone(),
		seenThrough: r.seenThrough, longestGrace: r.longestGrace,
		term: r.term,
	}
}

// State returns where a stands. A retained address is StateRetained whatever its use.
func (r *Record) State(a netip.Addr) State {
	if !r.taken.Contains(a) {
		return StateFree
	}
	if _, ok := r.retained.get(a); ok {
		return StateRetained
	}
	return [...]State{Unassigned: StateFree, InUse: StateSettled, PendingAdmission: StateReserved, Held: StateHeld}[r.Use(a)]
}

// Use returns what a is taken for now, retained or not.
func (r *Record) Use(a netip.Addr) Use {
	if r.InUse(a) {
		return InUse
	}
	if _, ok := r.awaited.get(a); ok {
		return PendingAdmission
	}
	if _, ok := r.held.get(a); ok {
		return Held
	}
	return Unassigned
}

// Contains reports whether a is taken: settled, reserved, retained or held.
func (r *Record) Contains(a netip.Addr) bool { return r.taken.Contains(a) }

// InUse reports whether a pod with a was seen: a is settled, or retained and in use.
func (r *Record) InUse(a netip.Addr) bool { return r.settled.Contains(a) || r.seen.Contains(a) }

// AwaitedAt returns the reservation that stands at a: a is reserved, or retained and pending
// admission.
func (r *Record) AwaitedAt(a netip.Addr) (Reservation, bool) { return r.awaited.get(a) }

// HoldAt returns the hold that stands at a: a is held, retained or not.
func (r *Record) HoldAt(a netip.Addr) (Hold, bool) { return r.held.get(a) }

// RetainedAt returns for whom a is retained, and its use.
func (r *Record) RetainedAt(a netip.Addr) (Retention, bool) {
	k, ok := r.retained.get(a)
	if !ok {
		return Retention{}, false
	}
	return Retention{k.identity, k.ownerUID, r.Use(a)}, true
}

// Settled returns the settled addresses: to be read, not changed, and not kept across a transition.
// Retained ones in use are not among them: see AllInUse.
func (r *Record) Settled() *Set { return &r.settled }

// Taken returns all that are taken: to be read, not changed, and not kept across a transition.
func (r *Record) Taken() *Set { return &r.taken }

// AllInUse yields in ascending order the addresses that InUse knows.
func (r *Record) AllInUse() iter.Seq[netip.Addr] {
	all := union(&r.settled, &r.seen)
	return all.All()
}

// Awaited yields in ascending order the addresses that wait for a pod, reserved and pending
// admission ones alike.
func (r *Record) Awaited() iter.Seq2[netip.Addr, Reservation] { return r.awaited.all() }

// AllHeld yields in ascending order the held addresses, retained ones too.
func (r *Record) AllHeld() iter.Seq2[netip.Addr, Hold] { return r.held.all() }

// Retained yields the retained addresses in ascending order.
func (r *Record) Retained() iter.Seq2[netip.Addr, Retention] {
	return func(yield func(netip.Addr, Retention) bool) {
		for a, k := range r.retained.all() {
			if !yield(a, Retention{k.identity, k.ownerUID, r.Use(a)}) {
				return
			}
		}
	}
}

// ByToken returns the address that awaits, for a NIC, the admission that t names.
func (r *Record) ByToken(t Token, nic string) (netip.Addr, bool) {
	return r.tokens.get(tokenNIC{t, recordedNIC(nic)})
}

// AllByToken returns the addresses that await the admission that t names, for whatever NIC.
func (r *Record) AllByToken(t Token) (all []netip.Addr) {
	for k, a := range r.tokens.from(tokenNIC{token: t}) {
		if k.token != t {
			break
		}
		all = append(all, a)
	}
	return all
}

// ByIdentity returns the address retained for i, or reserved for it.
func (r *Record) ByIdentity(i Identity) (netip.Addr, bool) { return r.identities.get(i) }

// CountHeld returns how many addresses are held, retained ones too.
func (r *Record) CountHeld() int { return r.held.size }

// Count returns how many addresses are taken.
func (r *Record) Count() int { return r.taken.Len() }

// Counts returns how many addresses each set has. It costs a look at each awaited and each held
// address.
func (r *Record) Counts() Counts {
	c := Counts{Settled: r.settled.Len(), Retained: r.retained.size, RetainedInUse: r.seen.Len()}
	c.PendingAdmission, c.RetainedHeld = kept(r, &r.awaited), kept(r, &r.held)
	c.Reserved, c.Held = r.awaited.size-c.PendingAdmission, r.held.size-c.RetainedHeld
	return c
}

// kept counts the retained ones among some addresses.
func kept[V any](r *Record, among *sorted[netip.Addr, V]) int {
	if r.retained.size == 0 {
		return 0
	}
	n := 0
	for a := range among.all() {
		if _, ok := r.retained.get(a); ok {
			n++
		}
	}
	return n
}

// Counts says how many addresses each set of a record has, and which uses the retained ones are in;
// those left are unassigned.
type Counts struct {
	Settled, Reserved, Retained, Held             int
	PendingAdmission, RetainedInUse, RetainedHeld int // of Retained
}

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

// SeenThrough returns the highest resourceVersion among the pods whose addresses were settled:
// whoever releases waits until its own cache has reached it.
func (r *Record) SeenThrough() uint64 { return r.seenThrough }

// ResetSeenThrough sets the mark, downwards too: for a mark that comes from another history of the
// cluster.
func (r *Record) ResetSeenThrough(revision uint64) { r.seenThrough = revision }

// LongestGrace returns the longest termination grace among the pods whose addresses are in use, or
// were since one last was: whoever holds an address of which nothing else is known holds it for
// that long. See GraceOf.
func (r *Record) LongestGrace() time.Duration { return r.longestGrace }

// RaiseGrace says that a pod with an address in use has this termination grace. Settle says it by
// itself.
func (r *Record) RaiseGrace(grace time.Duration) {
	if r.settled.Len()+r.seen.Len() > 0 {
		r.longestGrace = max(r.longestGrace, normalGrace(grace))
	}
}

// lowerGrace forgets the longest grace once no address is in use.
func (r *Record) lowerGrace() {
	if r.settled.Len()+r.seen.Len() == 0 {
		r.longestGrace = 0
	}
}

// Term returns what SetTerm last wrote: under whose leadership the record was last written.
func (r *Record) Term() string { return r.term }

// SetTerm marks the record.
func (r *Record) SetTerm(term string) { r.term = term }

func (r *Record) conflict(verb string, a netip.Addr, cause error) error {
	e := &ConflictError{Verb: verb, Addr: a, State: r.State(a), Use: r.Use(a), Cause: cause}
	v, _ := r.awaited.get(a)
	h, _ := r.held.get(a)
	since := "since " + h.Since.Format(time.RFC3339) + " for node " + cmp.Or(h.Node, "unknown")
	switch e.State {
	case StateReserved:
		e.By = "by " + v.String()
	case StateRetained:
		kept, _ := r.RetainedAt(a)
		e.By = "for " + kept.String()
		switch kept.Use {
		case PendingAdmission:
			e.By += " of " + string(v.Token)
		case Held:
			e.By += " " + since
		case Unassigned, InUse:
		}
	case StateHeld:
		e.By = since
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
