package allocator

import (
	"cmp"
	"fmt"
	"net/netip"
)

// Each transition succeeds wholly or returns an error and changes nothing.

// Reserve makes a free address reserved, and one that is retained for v.For and unassigned pending
// admission. The same reservation at the same address again is no error and no change, so that a
// request whose outcome was unknown can be repeated. ErrNotVacant says that another pod of the
// identity has the address still.
func (r *Record) Reserve(a netip.Addr, v Reservation) error {
	const verb = "reserving"
	v, err := v.normal()
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, a, err)
	}
	if err := r.admits(verb, a); err != nil {
		return err
	}
	kept, its := r.retainedFor(a, v.For)
	if its {
		v.Owner, v.ForUID = "", cmp.Or(v.ForUID, kept.ownerUID) // as it will be read back
	}
	if old, ok := r.awaited.get(a); ok && old == v {
		return nil
	}
	switch {
	case its && r.Use(a) != Unassigned:
		return r.conflict(verb, a, ErrAssigned)
	case !its && r.Contains(a):
		return r.conflict(verb, a, ErrNotFree)
	}
	if err := r.unused(verb, a, v); err != nil {
		return err
	}
	if its {
		r.retain(a, v.For, v.ForUID)
	}
	r.await(a, v)
	return nil
}

// Settle says that the pod of t was seen: what t reserved becomes settled, or, where it is for an
// identity, retained and in use; what is pending admission of t is in use. The mark rises to the
// pod's revision. Where a is in use already only the mark is raised.
func (r *Record) Settle(a netip.Addr, t Token, podRevision uint64) error {
	if !r.InUse(a) {
		if !r.awaitedBy(a, t) {
			return r.conflict("settling", a, ErrNotReserved)
		}
		v, _ := r.awaited.get(a)
		r.arrive(a)
		r.users(a).Add(a)
		r.RaiseGrace(v.Grace)
	}
	r.raise(podRevision)
	return nil
}

// GiveBack ends the wait for the pod of t: it expired, or its admission was refused after all. What
// t reserved is free, what was pending admission of it unassigned.
func (r *Record) GiveBack(a netip.Addr, t Token) error {
	if !r.awaitedBy(a, t) {
		return r.conflict("giving back", a, ErrNotReserved)
	}
	v, _ := r.awaited.get(a)
	r.forget(a)
	if _, ok := r.retained.get(a); !ok {
		r.identities.remove(v.For)
	}
	r.leave(a)
	return nil
}

// Release ends the use of an address, whose pod was seen finished: a settled one is free, a
// retained one unassigned.
func (r *Record) Release(a netip.Addr) error {
	if !r.users(a).Remove(a) {
		return r.conflict("releasing", a, ErrNotSettled)
	}
	r.leave(a)
	r.lowerGrace()
	return nil
}

// Hold makes an address in use held, retained or not: its pod vanished and its end was not seen. Of
// a retained one the identity says which pod that was.
func (r *Record) Hold(a netip.Addr, h Hold) error {
	const verb = "holding"
	h, err := h.normal()
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, a, err)
	}
	if !r.users(a).Remove(a) {
		return r.conflict(verb, a, ErrNotSettled)
	}
	r.hold(a, h)
	r.lowerGrace()
	return nil
}

// HoldReserved makes what t reserved, or was pending admission, held: its pod vanished before it
// was settled. What it reserved for an identity is retained from then on.
func (r *Record) HoldReserved(a netip.Addr, t Token, h Hold) error {
	const verb = "holding"
	h, err := h.normal()
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, a, err)
	}
	if !r.awaitedBy(a, t) {
		return r.conflict(verb, a, ErrNotReserved)
	}
	r.arrive(a)
	r.hold(a, h)
	return nil
}

// Unhold ends a hold: a retained address is unassigned, another one free.
func (r *Record) Unhold(a netip.Addr) error {
	if _, ok := r.held.get(a); !ok {
		return r.conflict("ending the hold of", a, ErrNotHeld)
	}
	r.held.remove(a)
	r.leave(a)
	return nil
}

// PutBack records an address that a live pod claims and the record does not know as in use (I8).
// One that is free, or reserved for whomever, is settled; where the pod has the stable identity i,
// and i no other address, it is retained and in use. One that is retained for i, and unassigned or
// pending admission, is in use. What is retained for another, or held, is not overridden.
//
// The zero Identity stands for a pod that has none. The owner's UID, if given, replaces the one
// recorded.
func (r *Record) PutBack(a netip.Addr, podRevision uint64, i Identity, ownerUID string) error {
	if err := r.mayPutBack(a, i, ownerUID); err != nil {
		return err
	}
	if v, ok := r.awaited.get(a); ok {
		_ = r.GiveBack(a, v.Token) // it is that token's
	}
	_, kept := r.retained.get(a)
	if _, elsewhere := r.identities.get(i); kept || !r.InUse(a) && !elsewhere && i != (Identity{}) {
		r.retain(a, i, ownerUID)
	}
	r.taken.Add(a)
	r.users(a).Add(a)
	r.raise(podRevision)
	return nil
}

func (r *Record) mayPutBack(a netip.Addr, i Identity, ownerUID string) error {
	const verb = "putting back"
	if i != (Identity{}) {
		if err := i.validate(ownerUID); err != nil {
			return fmt.Errorf("%s %s: %w", verb, a, err)
		}
	}
	if err := r.admits(verb, a); err != nil {
		return err
	}
	_, kept := r.retained.get(a)
	_, its := r.retainedFor(a, i)
	_, held := r.held.get(a)
	switch {
	case its && held:
		return r.conflict(verb, a, ErrAssigned)
	case !its && (kept || held):
		return r.conflict(verb, a, ErrNotFree)
	}
	return nil
}

// FreeRetained frees an address that is retained for i and unassigned: i does not come back.
func (r *Record) FreeRetained(a netip.Addr, i Identity) error {
	const verb = "freeing"
	if _, ok := r.retainedFor(a, i); !ok {
		return r.conflict(verb, a, ErrNotRetained)
	}
	if r.Use(a) != Unassigned {
		return r.conflict(verb, a, ErrAssigned)
	}
	r.identities.remove(i)
	r.retained.remove(a)
	r.leave(a)
	return nil
}

// retainedFor reports whether a is retained for i, and as what.
func (r *Record) retainedFor(a netip.Addr, i Identity) (keeping, bool) {
	k, ok := r.retained.get(a)
	return k, ok && k.identity == i
}

// users returns the set that a is in while it is in use.
func (r *Record) users(a netip.Addr) *Set {
	if _, ok := r.retained.get(a); ok {
		return &r.seen
	}
	return &r.settled
}

func (r *Record) awaitedBy(a netip.Addr, t Token) bool {
	v, ok := r.awaited.get(a)
	return ok && v.Token == t
}

// await records v at a.
func (r *Record) await(a netip.Addr, v Reservation) {
	r.taken.Add(a)
	r.awaited.put(a, v)
	r.tokens.put(tokenNIC{v.Token, v.NIC}, a)
	if v.For != (Identity{}) {
		r.identities.put(v.For, a)
	}
}

// forget drops what await recorded, but for the identity, and leaves the address in taken: the
// caller says what becomes of both.
func (r *Record) forget(a netip.Addr) {
	v, _ := r.awaited.get(a)
	r.tokens.remove(tokenNIC{v.Token, v.NIC})
	r.awaited.remove(a)
}

// arrive ends the wait for the pod of a, which was there: from now on a is retained for its
// identity.
func (r *Record) arrive(a netip.Addr) {
	v, _ := r.awaited.get(a)
	r.forget(a)
	if v.For != (Identity{}) {
		r.retain(a, v.For, v.ForUID)
	}
}

// hold records h at a, which is nobody's but for its retention.
func (r *Record) hold(a netip.Addr, h Hold) {
	if k, ok := r.retained.get(a); ok {
		h.Pod = k.pod()
	}
	r.held.put(a, h)
}

// retain keeps a for i. An empty UID does not replace one that is known.
func (r *Record) retain(a netip.Addr, i Identity, ownerUID string) {
	old, ok := r.retained.get(a)
	k := keeping{i, cmp.Or(ownerUID, old.ownerUID)}
	if !ok || k != old {
		r.retained.put(a, k)
		r.identities.put(i, a)
	}
}

// leave makes an address that nobody has any longer free, unless it is retained.
func (r *Record) leave(a netip.Addr) {
	if _, ok := r.retained.get(a); !ok {
		r.taken.Remove(a)
	}
}

// unused refuses a token, or an identity, that has another address than a.
func (r *Record) unused(verb string, a netip.Addr, v Reservation) error {
	if other, ok := r.tokens.get(tokenNIC{v.Token, v.NIC}); ok && other != a {
		return fmt.Errorf("%s %s: token %s %w: %s", verb, a, tokenNIC{v.Token, v.NIC}, ErrElsewhere, other)
	}
	if other, ok := r.identities.get(v.For); ok && other != a {
		return fmt.Errorf("%s %s: %s %w: %s", verb, a, v.For, ErrElsewhere, other)
	}
	return nil
}

func (r *Record) raise(revision uint64) { r.seenThrough = max(r.seenThrough, revision) }
