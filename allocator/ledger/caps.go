package ledger

import (
	"fmt"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Caps bound how many addresses of a pool may be reserved at once for pods that
// were not seen yet. Without them a controller over its namespace's quota, each
// of whose tries takes an address until it expires, would drain the pool. Pods
// that are seen make room at once, so a healthy rollout is never slowed.
//
// A number given here holds for every pool, however small. 0 leaves it to the
// size of the pool, see Of.
type Caps struct {
	Namespace int // for the pods of one namespace
	Owner     int // for the pods of one controller; they count among those of the namespace
}

// The formula of Caps that are not given.
const (
	leastNamespace = 64
	leastOwner     = 8
	// mostNamespace leaves the others half of the record's room in pools whose tenth
	// is more than etcd stores, with names as long as names can be.
	mostNamespace = 2048
)

// Of returns the caps in a pool of size addresses: for a namespace a tenth of
// the pool, but at least 64, never over half of it and never over 2,048; for a
// controller half of that, but at least 8 where the namespace has as many. Both
// are at least 1.
func (c Caps) Of(size uint64) (namespace, owner int) {
	namespace, owner = c.Namespace, c.Owner
	if namespace == 0 {
		n := max(min(max(size/10, leastNamespace), size/2, mostNamespace), 1)
		namespace = int(n)
	}
	if owner == 0 {
		owner = max(namespace/2, min(leastOwner, namespace))
	}
	return namespace, min(owner, namespace)
}

// unconfirmed counts the reservations for pods that were not seen yet: what the caps
// bound. Reservations for pods that exist are none of them: there is no more
// than one for each, and it goes when the pod does.
type unconfirmed struct {
	byNamespace map[string]int // namespace -> reservations
	byOwner     map[string]int // digest of the controller's UID -> reservations
	unassigned  map[string]int // see Vacancies
}

// count is made once for a transaction and then kept by who reserves and gives
// back in it: a batch has hundreds of those.
func (tx *Tx) count() *unconfirmed {
	if tx.unconfirmed == nil {
		tx.unconfirmed = &unconfirmed{byNamespace: map[string]int{}, byOwner: map[string]int{}, unassigned: Unassigned(tx.Record)}
		for _, r := range tx.Record.Awaited() {
			tx.unconfirmed.add(r, 1)
		}
	}
	return tx.unconfirmed
}

// add does nothing where nobody has counted yet.
func (u *unconfirmed) add(r allocator.Reservation, n int) {
	if u == nil || r.LateBound() {
		return
	}
	u.byNamespace[r.Pod.Namespace] += n
	if owner := ownerOf(r); owner != "" {
		u.byOwner[owner] += n
	}
}

// ownerOf returns the digest of the pod's controller. The record does not keep
// it of what is promised to a stable identity, whose owner it is.
func ownerOf(r allocator.Reservation) string {
	if r.Owner != "" {
		return r.Owner
	}
	return allocator.OwnerDigest(r.ForUID)
}

// mayKeep says why no more addresses are kept for the identities of a namespace.
func (tx *Tx) mayKeep(r allocator.Reservation) error {
	if reason := KeepsEnough(tx.count().unassigned, r.For.Namespace, tx.Space.Size()); reason != "" {
		return &RefusedError{Pool: tx.Pool.Name, Cause: crdv1.ReasonOverCap, Reason: reason}
	}
	return nil
}

// withinCaps says which cap one more reservation would break.
func (tx *Tx) withinCaps(r allocator.Reservation, caps Caps) error {
	const until = "addresses reserved for pods that were not seen yet, of at most %d (they settle when the pods are seen and expire when none comes)"
	namespace, owner := caps.Of(tx.free.Size())
	reserved := tx.count()
	refused := &RefusedError{Pool: tx.Pool.Name, Cause: crdv1.ReasonOverCap}
	if n := reserved.byNamespace[r.Pod.Namespace]; n >= namespace {
		refused.Reason = fmt.Sprintf("namespace %q has %d "+until, r.Pod.Namespace, n, namespace)
		return refused
	}
	if digest := ownerOf(r); digest != "" && reserved.byOwner[digest] >= owner {
		refused.Reason = fmt.Sprintf("the pod's controller has %d "+until, reserved.byOwner[digest], owner)
		return refused
	}
	return nil
}
