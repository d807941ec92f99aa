package ledger

import (
	"cmp"
	"fmt"
	"net/netip"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Caps bound how many addresses of a pool may be reserved at once for pods that were not seen yet.
// Without them a controller over its namespace's quota, each of whose tries takes an address until
// it expires, would drain the pool. Pods that are seen make room at once, so a healthy rollout is
// never slowed.
//
// Above them stands one more, for all that a namespace keeps of a pool without a pod that is known
// to run: see Kept.
//
// A number given here holds for every pool, however small. 0 leaves it to the size of the pool, see
// Of.
type Caps struct {
	Namespace int // for the pods of one namespace
	Owner     int // for the pods of one controller; they count among those of the namespace
}

// The formula of Caps that are not given.
const (
	leastNamespace = 64
	leastOwner     = 8
	// mostNamespace leaves the others half of the record's room in pools whose tenth is more than
	// etcd stores, with names as long as names can be.
	mostNamespace = 2048
)

// Of returns the caps in a pool of size addresses: for a namespace a tenth of the pool, but at
// least 64, never over half of it and never over 2,048; for a controller half of that, but at least
// 8 where the namespace has as many. Both are at least 1.
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

// Kept returns how many addresses of a pool of size addresses one namespace may keep without a pod
// that is known to run, see KeptByNamespace: half of the pool, rounded up, so that it never keeps
// all from the others, in large pools what leaves room in the record, and never less than may be
// reserved for it.
func (c Caps) Kept(size uint64) int {
	return max(int(min(size/2+size%2, mostNamespace)), c.Namespace, 1)
}

// counts are what the caps bound, as it stands in a record.
type counts struct {
	unconfirmed map[string]int   // namespace -> reservations for pods that were not seen yet
	byOwner     map[podOwner]int // controller -> those of them that are for its pods
	kept        map[string]int   // see KeptByNamespace
}

// podOwner is a controller. Anybody may name any UID in a pod's owner references, so what a
// namespace does in the name of another's controller is its own.
type podOwner struct{ namespace, digest string }

// count is made once for a transaction and then kept by who reserves and gives back in it: a batch
// has hundreds of those.
func (tx *Tx) count() *counts {
	if tx.counts == nil {
		tx.counts = &counts{unconfirmed: map[string]int{}, byOwner: map[podOwner]int{}, kept: KeptByNamespace(tx.Record)}
		for _, r := range tx.Record.Awaited() {
			tx.counts.reserved(r, 1)
		}
	}
	return tx.counts
}

// reserved counts a reservation. Those for pods that exist do not count: there is no more than one
// for each, and it goes when the pod does.
func (c *counts) reserved(r allocator.Reservation, n int) {
	if r.LateBound() {
		return
	}
	c.unconfirmed[r.Pod.Namespace] += n
	if owner := ownerOf(r); owner.digest != "" {
		c.byOwner[owner] += n
	}
}

// recounting does what changes the record at one address only, and counts that address anew where
// somebody has counted.
func (tx *Tx) recounting(a netip.Addr, do func() error) error {
	tx.counts.add(tx.Record, a, -1)
	err := do()
	tx.counts.add(tx.Record, a, 1)
	tx.full = ""
	return err
}

// add counts what stands at an address. It does nothing where nobody has counted.
func (c *counts) add(r *allocator.Record, a netip.Addr, n int) {
	if c == nil {
		return
	}
	if v, ok := r.AwaitedAt(a); ok {
		c.reserved(v, n)
	}
	if namespace := keeper(r, a); namespace != "" {
		c.kept[namespace] += n
	}
}

// ownerOf returns the pod's controller; the zero value where it has none. The record does not keep
// it of what is pending admission for a stable identity, whose owner it is.
func ownerOf(r allocator.Reservation) podOwner {
	if digest := cmp.Or(r.Owner, allocator.OwnerDigest(r.ForUID)); digest != "" {
		return podOwner{r.Pod.Namespace, digest}
	}
	return podOwner{}
}

// mayKeep says why a namespace gets nothing new.
func (tx *Tx) mayKeep(namespace string, caps Caps) error {
	if reason := KeepsEnough(tx.count().kept, namespace, caps.Kept(tx.Space.Size())); reason != "" {
		return &RefusedError{Pool: tx.Pool.Name, Cause: crdv1.ReasonOverCap, Reason: reason}
	}
	return nil
}

// withinCaps says which cap one more reservation would break.
func (tx *Tx) withinCaps(r allocator.Reservation, caps Caps) error {
	const until = "addresses reserved for pods that were not seen yet, of at most %d (they settle when the pods are seen and expire when none comes)"
	namespace, owner := caps.Of(tx.free.Size())
	counts := tx.count()
	refused := &RefusedError{Pool: tx.Pool.Name, Cause: crdv1.ReasonOverCap}
	if n := counts.unconfirmed[r.Pod.Namespace]; n >= namespace {
		refused.Reason = fmt.Sprintf("namespace %q has %d "+until, r.Pod.Namespace, n, namespace)
		return refused
	}
	if controller := ownerOf(r); controller.digest != "" && counts.byOwner[controller] >= owner {
		refused.Reason = fmt.Sprintf("the pod's controller has %d "+until, counts.byOwner[controller], owner)
		return refused
	}
	return nil
}
