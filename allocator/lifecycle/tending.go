package lifecycle

import (
	"errors"
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/lifecycle/latebind"
	"spidernet.io/spiderpool/allocator/view"
)

// index is what tending asks about pods.
type index interface {
	living
	progress
	// Carrier returns the pod that claims an address of a pool by a reservation.
	Carrier(pool string, a netip.Addr, r allocator.Reservation) (*view.Pod, bool)
}

// living says who uses an address.
type living interface {
	// Live returns the live pods that claim an address, from whatever pool.
	Live(a netip.Addr) []*view.Pod
}

// progress says how far the view of the pods is.
type progress interface{ Revision() uint64 }

// nodesShown is what tending asks about nodes: *view.Nodes.
type nodesShown interface {
	// Shows reports whether the watch shows a node of that name.
	Shows(node string) bool
	// Ready returns since when a node has been Ready without a break, and for how long that has
	// been seen; 0 where it is not.
	Ready(node string) (since time.Time, lasts time.Duration)
}

var (
	_ index      = (*view.Claims)(nil)
	_ nodesShown = (*view.Nodes)(nil)
)

// Identifier says which stable identity a pod has, and the UID of its owner; the zero Identity
// where it has none.
type Identifier func(*view.Pod) (allocator.Identity, string)

// tending brings the record of a pool in line with the pods. It decides on the version of the
// record that it is given, and may be asked again when the outcome of a write was unknown; what
// counts is then what the last version says.
type tending struct {
	pool         string
	claims       index
	identity     Identifier
	in           func(netip.Addr) bool      // whether the pool has an address
	holder       func(netip.Addr) types.UID // of an address in use, before this tending
	nodes        nodesShown
	mostHeld     int
	now          time.Time
	observations // seen and not acted upon

	steps    map[netip.Addr]step      // what was done, in whichever attempt
	final    *allocator.Record        // after the last attempt
	early    bool                     // the view of the pods has not reached the mark
	full     bool                     // more is to be held than a record may hold
	nodeless bool                     // a pod is not settled, since no node of its name is shown
	late     map[podAddress]*view.Pod // live, and the address is another's: two carry it
}

// step is one transition.
type step struct {
	verb  string
	pod   *view.Pod
	since time.Time // when the end of the pod was noticed; zero where it did not end
}

// Verbs of the steps in an address's life, as the log has them.
const (
	settled   = "settled"
	released  = "released"
	vacated   = "released and kept" // for the next pod of its identity
	givenBack = "given back"
	held      = "held"
	putBack   = "put back"  // a live pod claims it, and the record did not know
	passedOn  = "passed on" // its pod has ended, another live one claims it
	expired   = "expired"   // no pod came for it
	holdEnded = "hold ended"
	freed     = "freed"            // its stable identity will not come back
	bound     = latebind.StepBound // written to a pod that waited
	unbound   = "unbound"          // taken from a pod that cannot have used it
)

// ends reports whether the address is in use no more after the step.
func (s step) ends() bool {
	switch s.verb {
	case released, vacated, givenBack, held:
		return true
	}
	return false
}

func (t *tending) do(r *allocator.Record) error {
	if t.steps == nil {
		t.steps = map[netip.Addr]step{}
	}
	t.early, t.full, t.nodeless, t.final, t.late = false, false, false, r, map[podAddress]*view.Pod{}
	for _, do := range []func(*allocator.Record) error{t.reservations, t.appearances, t.releases, t.losses} {
		if err := do(r); err != nil {
			return err
		}
	}
	return nil
}

// reservations settles those that a pod in view carries. A token is given to one pod only, so the
// end of that pod ends its reservation, settled or not.
func (t *tending) reservations(r *allocator.Record) error {
	all := map[netip.Addr]allocator.Reservation{} // transitions change what r yields
	for address, v := range r.Awaited() {
		all[address] = v
	}
	for address, v := range all {
		s, err := t.reservation(r, address, v)
		if err != nil {
			return err
		}
		if s.verb != "" {
			t.steps[address] = s
		}
	}
	return nil
}

// reservation takes the next step of a reservation; none while it stays as it is.
func (t *tending) reservation(r *allocator.Record, a netip.Addr, v allocator.Reservation) (s step, err error) {
	s.pod, s.verb, s.since = t.fate(a, v)
	switch {
	case s.verb == "":
	case s.verb == settled && !t.placed(s.pod):
		t.nodeless = true
		return step{}, nil
	case s.verb == settled:
		err = r.Settle(a, v.Token, s.pod.Revision)
	case s.verb == held:
		return t.hold(r, a, t.holdFor(s.pod), s)
	case v.For != allocator.Identity{}: // the pod was there, if only for a moment: the next of its name finds the address
		s.verb, err = vacated, errors.Join(r.Settle(a, v.Token, s.pod.Revision), r.Release(a))
	default:
		err = r.GiveBack(a, v.Token)
	}
	return s, err
}

// placed reports whether a pod has no node yet, or one that there is. Whoever makes a pod may name
// any node in it, and deleted by force, with a finalizer, it stays for ever and counts in no quota.
// Its address stays reserved until the node is there, and so counts among those that its namespace
// keeps without a running pod; it does not expire while the pod carries it.
func (t *tending) placed(p *view.Pod) bool { return p.Node == "" || t.nodes.Shows(p.Node) }

// hold makes an address held, if there is room for another hold. It returns s then.
func (t *tending) hold(r *allocator.Record, a netip.Addr, h allocator.Hold, s step) (step, error) {
	done, err := tryHold(r, a, h, t.mostHeld)
	if !done {
		t.full = true
		return step{}, err
	}
	return s, err
}

// fate says what becomes of a reservation, by which pod, and since when that pod has ended; nothing
// while it was not seen.
func (t *tending) fate(a netip.Addr, r allocator.Reservation) (pod *view.Pod, verb string, since time.Time) {
	if pod, ok := t.claims.Carrier(t.pool, a, r); ok {
		if pod.Live() {
			return pod, settled, time.Time{}
		}
		return pod, givenBack, time.Time{}
	}
	for key, e := range t.ends {
		if key.address != a || e.pod.Token != string(r.Token) || !e.pod.MayCarry(r) {
			continue
		}
		if e.vanished {
			return e.pod, held, e.noticed
		}
		return e.pod, givenBack, e.noticed
	}
	return nil, "", time.Time{}
}

// appearances puts an address back that the record does not know although a live pod claims it
// (I8): the pod turned out to be live after all, or the record is that of a pool made anew. A hold
// stays: it does not end while a live pod claims the address, and once that pod has ended it is
// still needed.
func (t *tending) appearances(r *allocator.Record) error {
	for key, p := range t.appeared {
		a := key.address
		switch holder := t.holderOf(a); {
		case !t.in(a): // no webhook of ours wrote that
			continue
		case !t.lives(key) || holder == key.uid && r.InUse(a):
			continue
		case isHeld(r, a), awaits(r, a, p):
			continue
		case r.InUse(a) && holder == "": // it had ended by somebody else's word
			t.steps[a] = step{verb: passedOn, pod: p}
			continue
		case !unassignedFor(r, a, t.identityOf(p, a)):
			t.late[key] = p
			continue
		}
		_, owner := t.identity(p)
		if err := r.PutBack(a, p.Revision, t.identityOf(p, a), owner); err != nil {
			return err
		}
		r.RaiseGrace(p.Grace)
		t.steps[a] = step{verb: putBack, pod: p}
	}
	return nil
}

// awaits reports whether an address is reserved for this pod: it is not to be settled yet; or the
// pod has ended and there was no room for another hold, and were its end forgotten, the reservation
// would expire.
func awaits(r *allocator.Record, a netip.Addr, p *view.Pod) bool {
	v, ok := r.AwaitedAt(a)
	return ok && p.Token == string(v.Token) && p.MayCarry(v)
}

func isHeld(r *allocator.Record, a netip.Addr) bool {
	_, ok := r.HoldAt(a)
	return ok
}

// identityOf returns the stable identity of a pod on the NIC that has an address.
func (t *tending) identityOf(p *view.Pod, a netip.Addr) allocator.Identity {
	identity, _ := t.identity(p)
	return identity.OnNIC(p.NICOf(t.pool, a))
}

// unassignedFor reports whether an address may be put back for a pod: it is free, or kept for the
// pod's own identity and unassigned.
func unassignedFor(r *allocator.Record, a netip.Addr, own allocator.Identity) bool {
	if r.State(a) == allocator.StateFree {
		return true
	}
	kept, ok := r.RetainedAt(a)
	return ok && kept.Unassigned() && kept.Identity == own
}

// releases frees the addresses in use whose own pod was seen to end, and holds those whose pod
// vanished.
func (t *tending) releases(r *allocator.Record) error {
	for key, e := range t.ends {
		if !r.InUse(key.address) || t.holderOf(key.address) != key.uid {
			continue // it is another pod's, or nobody's
		}
		if t.claims.Revision() < r.SeenThrough() {
			t.early = true
			continue
		}
		if others := t.claims.Live(key.address); len(others) > 0 {
			if !t.lives(key) { // two pods claimed it: it stays taken until the last has ended
				t.steps[key.address] = step{verb: passedOn, pod: others[0]}
			}
			continue
		}
		s, err := t.end(r, key.address, e)
		if err != nil {
			return err
		}
		if s.verb != "" {
			t.steps[key.address] = s
		}
	}
	return nil
}

// end ends the use of an address; it stays where there is no room for a hold.
func (t *tending) end(r *allocator.Record, a netip.Addr, e end) (step, error) {
	switch {
	case e.vanished:
		return t.hold(r, a, t.holdFor(e.pod), step{held, e.pod, e.noticed})
	case r.State(a) == allocator.StateRetained:
		return step{vacated, e.pod, e.noticed}, r.Release(a)
	}
	return step{released, e.pod, e.noticed}, r.Release(a)
}

// losses holds the addresses whose pods ended while nobody led.
func (t *tending) losses(r *allocator.Record) error {
	for a, l := range t.unseen {
		if !r.InUse(a) || t.holderOf(a) != "" || len(t.claims.Live(a)) > 0 {
			continue
		}
		if t.claims.Revision() < r.SeenThrough() {
			t.early = true
			continue
		}
		s, err := t.hold(r, a, t.expected(l.hold), step{held, l.pod, l.hold.Since})
		if err != nil {
			return err
		}
		if s.verb != "" {
			t.steps[a] = s
		}
	}
	return nil
}

// remembered is how long the end of a vanished pod is kept in mind whatever the record says: its
// reservation may have been written by another replica, and come into view after the pod has gone.
// It is not to expire then, but to be held.
const remembered = 5 * time.Minute

// lives reports whether the pod itself is live, whatever was noted of it.
func (t *tending) lives(key podAddress) bool {
	for _, p := range t.claims.Live(key.address) {
		if p.UID == key.uid {
			return true
		}
	}
	return false
}

// holderOf returns whose an address in use is, this tending included.
func (t *tending) holderOf(a netip.Addr) types.UID {
	if s, ok := t.steps[a]; ok && !s.ends() {
		return s.pod.UID
	}
	return t.holder(a)
}

// outcome returns, once the last version is stored, what was done, whose the addresses are now, and
// what needs no more acting upon.
func (t *tending) outcome() (done map[netip.Addr]step, holders map[netip.Addr]types.UID, over observations) {
	done, holders = map[netip.Addr]step{}, map[netip.Addr]types.UID{}
	for a, s := range t.steps {
		if t.final.InUse(a) == s.ends() {
			continue // an attempt that was not stored
		}
		done[a], holders[a] = s, s.pod.UID
		if s.ends() {
			holders[a] = ""
		}
	}
	return done, holders, t.over()
}

// over returns what was seen and needs no more acting upon.
func (t *tending) over() observations {
	over := observations{ends: map[podAddress]end{}, appeared: t.appeared, unseen: map[netip.Addr]orphanedAllocation{}}
	for key, e := range t.ends {
		acted := !t.final.InUse(key.address) || t.holderOf(key.address) != key.uid || t.lives(key)
		if acted && !awaits(t.final, key.address, e.pod) && (!e.vanished || t.now.Sub(e.noticed) > remembered) {
			over.ends[key] = e
		}
	}
	for a, l := range t.unseen {
		if !t.final.InUse(a) || t.holderOf(a) != "" {
			over.unseen[a] = l
		}
	}
	return over
}
