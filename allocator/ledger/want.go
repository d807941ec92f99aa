package ledger

import (
	"errors"
	"fmt"
	"net/netip"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// allocationRequest is what one caller wants of pools.
type allocationRequest struct {
	reservation allocator.Reservation
	caps        Caps
	late        bool            // for a pod that exists: no cap of reservations, and before those that wait
	fence       func(*Tx) error // runs first in each transaction; nil for none
}

// onNIC returns the request for one NIC of the pod.
func (o allocationRequest) onNIC(nic string) allocationRequest {
	o.reservation = o.reservation.OnNIC(nic)
	return o
}

// allocated is an address that a pool gave.
type allocated struct {
	claim crdv1.Claim
	fresh bool // by a write of this call, and not found in the record
}

// first asks pools in order for an address and returns what the first one gave. try makes a change
// of a pool.
//
// What is there for the pod already goes before all that is new: the address kept for its stable
// identity, and what was reserved when it was bound late before. With several candidates they are
// therefore all asked for that first. Who binds late has decided which pool is to give something
// new, the first: in another it would overtake those that wait there.
func (o allocationRequest) first(slot choice.Slot, try func(pool string, do func(*Tx) error) error) (allocated, error) {
	var exhausted ExhaustedError
	o = o.onNIC(slot.NIC)
	for _, c := range o.candidates(slot.Pools) {
		w := attempt{allocationRequest: o, present: c.present}
		err := try(c.pool, w.do)
		if err == nil {
			return allocated{crdv1.Claim{Pool: c.pool, Address: w.address, NIC: slot.NIC}, w.fresh}, nil
		}
		refused := refusal(c.pool, err)
		switch {
		case refused == nil:
			return allocated{}, err
		case refused.final || !c.present:
			exhausted.Refusals = append(exhausted.Refusals, refused)
		}
		if refused.final {
			return allocated{}, &exhausted
		}
	}
	return allocated{}, &exhausted
}

// candidate is a pool to be asked.
type candidate struct {
	pool    string
	present bool // only for what is there already
}

func (o allocationRequest) candidates(pools []string) (all []candidate) {
	if len(pools) > 1 && (o.late || o.stable()) {
		for _, pool := range pools {
			all = append(all, candidate{pool, true})
		}
	}
	if o.late {
		pools = pools[:1]
	}
	for _, pool := range pools {
		all = append(all, candidate{pool, false})
	}
	return all
}

// stable reports whether the pod has a stable identity.
func (o allocationRequest) stable() bool { return o.reservation.For != allocator.Identity{} }

// refusal returns what a pool has against giving an address, if err is no more than that: another
// candidate may serve all the same.
func refusal(pool string, err error) *RefusedError {
	var refused *RefusedError
	var unreadable *UnreadableError
	var tooLarge *OverBudgetError
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &unreadable):
		return &RefusedError{Pool: pool, Cause: crdv1.ReasonPoolNotReady, Reason: "it cannot be read: " + unreadable.Err.Error()}
	case errors.As(err, &tooLarge):
		return &RefusedError{Pool: pool, Cause: crdv1.ReasonPoolFull, Reason: tooLarge.Error()}
	}
	return nil
}

// attempt is an allocation request looking for an address in one pool.
type attempt struct {
	allocationRequest
	present bool // only what is there for the pod already, nothing new

	address netip.Addr // the answer
	fresh   bool       // it was not in the record before
}

func (w *attempt) do(tx *Tx) error {
	w.fresh = false
	if w.fence != nil {
		if err := w.fence(tx); err != nil {
			return err
		}
	}
	if a, ok := tx.Record.ByToken(w.reservation.Token, w.reservation.NIC); ok { // an earlier write landed
		w.address = a
		return nil
	}
	if w.stable() {
		if a, ok := tx.Record.ByIdentity(w.reservation.For); ok {
			return w.takeKept(tx, a)
		}
	}
	if w.present {
		return &RefusedError{Pool: tx.Pool.Name, Cause: crdv1.ReasonPoolFull, Reason: "nothing is kept in it for the pod"}
	}
	return w.takeNew(tx)
}

// takeKept takes the address that the pool keeps for the identity. It takes nothing from others, so
// neither cap nor queue stands before it. No other candidate serves instead: the pod would lose its
// address for a moment's wait.
func (w *attempt) takeKept(tx *Tx, a netip.Addr) error {
	refuse := func(cause, format string, args ...any) error {
		return &RefusedError{Pool: tx.Pool.Name, Cause: cause, Reason: fmt.Sprintf(format, args...), final: true}
	}
	cause, text := Kept(tx.Record, a, unready(tx.Pool))
	switch {
	case cause != "":
		return refuse(cause, "%s", text)
	case tx.Space.Contains(a) && !tx.InService.Contains(a):
		return refuse(crdv1.ReasonPoolNotReady, "the pod's address %s was added to the pool again, and the controller has not judged that yet", a)
	case !tx.free.Contains(a): // the leader frees it, and the pod gets another
		return refuse(crdv1.ReasonWithdrawn, "the pod's address %s may not be handed out any more (spec.ips, spec.excludeIPs, a router or a SpiderReservedIP); it is given another", a)
	case tx.used(a):
		return refuse(crdv1.ReasonPredecessor, "the pod's address %s is still used by a pod or a node", a)
	}
	return w.reserve(tx, a)
}

func (w *attempt) takeNew(tx *Tx) error {
	if why := unready(tx.Pool); why != "" {
		return &RefusedError{Pool: tx.Pool.Name, Cause: crdv1.ReasonPoolNotReady, Reason: why}
	}
	a, ok := tx.Pick()
	if !ok {
		return &RefusedError{Pool: tx.Pool.Name, Cause: crdv1.ReasonPoolFull, Reason: tx.taken()}
	}
	if err := tx.mayKeep(w.reservation.Pod.Namespace, w.caps); err != nil {
		return err
	}
	if !w.late {
		if err := tx.withinCaps(w.reservation, w.caps); err != nil {
			return err
		}
		if tx.WaitedFor {
			return &RefusedError{Pool: tx.Pool.Name, Cause: crdv1.ReasonQueued, Reason: "other pods wait longer for its addresses"}
		}
	}
	return w.reserve(tx, a)
}

// unready says why a pool gives nothing new; empty where it is Ready.
func unready(pool *crdv1.SpiderIPPool) string {
	if _, why := pool.Readiness(); why != "" {
		return "it " + why
	}
	return ""
}

func (w *attempt) reserve(tx *Tx, a netip.Addr) error {
	if err := tx.recounting(a, func() error { return tx.Record.Reserve(a, w.reservation) }); err != nil {
		return err
	}
	w.address, w.fresh = a, true
	return nil
}

// taken says why no address can be picked. A batch of those who are told so counts once.
func (tx *Tx) taken() string {
	if tx.full == "" {
		tx.full = tx.countTaken()
	}
	return tx.full
}

func (tx *Tx) countTaken() string {
	u := Usage{Size: tx.Space.Size(), Counts: tx.Record.Counts()}
	if waits := tx.Gained().Size(); waits > 0 {
		u.Withheld = append(u.Withheld, fmt.Sprintf("%d not in service yet, see the condition Ready", waits))
	}
	if never := tx.State.Free().Size() - tx.free.Size(); never > 0 {
		u.Withheld = append(u.Withheld, fmt.Sprintf("%d named by SpiderReservedIPs", never))
	}
	if used := allocator.Free(tx.free, tx.Record); used > 0 {
		u.Withheld = append(u.Withheld, fmt.Sprintf("%d used by something else in the cluster, a pod or a node", used))
	}
	return u.String()
}
