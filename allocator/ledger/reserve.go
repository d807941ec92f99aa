package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// giveBackTimeout bounds the undoing of a reservation that nobody waits for.
const giveBackTimeout = 30 * time.Second

// Reserve takes, for a pod to come, one address for each slot: the one that a candidate keeps for
// the pod's stable identity, else one of the first candidate that gives one. All slots are served
// or none (I9).
//
// Errors: *ExhaustedError where the pools of a slot gave nothing; the error of ctx; what the API
// server said.
func (l *Ledger) Reserve(ctx context.Context, r allocator.Reservation, slots []choice.Slot) ([]crdv1.Claim, error) {
	return l.serve(ctx, allocationRequest{reservation: r, caps: l.o.Caps}, slots)
}

// Bind is Reserve for a pod that exists: r names it whole, and its token is the pod's LateToken, so
// that whoever binds the pod finds what was reserved for it before. Something new comes of the
// first candidate of each slot only. No cap of reservations bounds it but that of all that its
// namespace keeps, and it goes before the pods that come now to a pool that is waited for. fence
// runs first in each of its transactions, those that undo it included, and ends it by an error.
//
// Only what this very call newly reserved is undone: what it found was reserved by an earlier call,
// whose answer may be on its way to the pod.
func (l *Ledger) Bind(ctx context.Context, r allocator.Reservation, slots []choice.Slot, fence func(*Tx) error) ([]crdv1.Claim, error) {
	if !r.LateBound() {
		return nil, fmt.Errorf("binding a pod of namespace %q late: it has no name and UID", r.Pod.Namespace)
	}
	return l.serve(ctx, allocationRequest{reservation: r, caps: l.o.Caps, late: true, fence: fence}, slots)
}

func (l *Ledger) serve(ctx context.Context, o allocationRequest, slots []choice.Slot) ([]crdv1.Claim, error) {
	if !l.o.Synced() {
		return nil, errors.New("reserving: this replica has not listed all pods and pools yet")
	}
	if err := check(slots); err != nil {
		return nil, err
	}
	got := make([]allocated, len(slots))
	errs := make([]error, len(slots))
	serve := func(i int) {
		got[i], errs[i] = o.first(slots[i], func(pool string, do func(*Tx) error) error {
			return l.try(ctx, o.onNIC(slots[i].NIC), pool, do)
		})
	}
	if len(slots) == 1 {
		serve(0)
	} else {
		var wg sync.WaitGroup
		for i := range slots {
			wg.Go(func() { serve(i) })
		}
		wg.Wait()
	}
	if err := merge(errs); err != nil {
		return nil, errors.Join(err, l.undo(ctx, o, slots, got, errs))
	}
	claims := make([]crdv1.Claim, len(slots))
	for i := range got {
		claims[i] = got[i].claim
	}
	return claims, nil
}

func (l *Ledger) try(ctx context.Context, o allocationRequest, pool string, do func(*Tx) error) error {
	err := l.Apply(ctx, pool, Change{Do: do, Grows: true, counts: true})
	if err != nil && ctx.Err() != nil && refusal(pool, err) == nil && !o.late {
		l.giveBackLater(o, pool) //nolint:contextcheck // the caller is gone, and that is why
	}
	return err
}

// undo gives back what was taken beside a slot that got nothing. Where nobody waits any more it
// does not wait either.
func (l *Ledger) undo(ctx context.Context, o allocationRequest, slots []choice.Slot, got []allocated, errs []error) error {
	var failed []error
	for i, err := range errs {
		switch {
		case err != nil || o.late && !got[i].fresh:
		case ctx.Err() != nil:
			l.giveBackLater(o.onNIC(slots[i].NIC), got[i].claim.Pool) //nolint:contextcheck // the caller is gone, and that is why
		default:
			failed = append(failed, l.giveBack(ctx, o.onNIC(slots[i].NIC), got[i].claim.Pool))
		}
	}
	return errors.Join(failed...)
}

// check refuses a pool that two families of one NIC name: in one pool a token has one address for
// each NIC, so both would be given the same. A slot without candidates is the caller's mistake too.
func check(slots []choice.Slot) error {
	type nicOf struct{ pool, nic string }
	slotOf := map[nicOf]int{}
	for i, slot := range slots {
		if len(slot.Pools) == 0 {
			return fmt.Errorf("%s of NIC %s has no candidate pool", slot.Family, slot.NIC)
		}
		for _, pool := range slot.Pools {
			if j, ok := slotOf[nicOf{pool, slot.NIC}]; ok && j != i {
				return fmt.Errorf("pool %q is a candidate of two families of NIC %s", pool, slot.NIC)
			}
			slotOf[nicOf{pool, slot.NIC}] = i
		}
	}
	return nil
}

// merge makes one error of those of all slots, so that a person sees every candidate of every
// family.
func merge(errs []error) error {
	var exhausted ExhaustedError
	var others []error
	for _, err := range errs {
		var e *ExhaustedError
		switch {
		case err == nil:
		case errors.As(err, &e):
			exhausted.Refusals = append(exhausted.Refusals, e.Refusals...)
			exhausted.lasting = exhausted.lasting || !e.Passing()
		default:
			others = append(others, err)
		}
	}
	if len(others) > 0 {
		return errors.Join(others...)
	}
	if len(exhausted.Refusals) > 0 {
		return &exhausted
	}
	return nil
}

// GiveBack undoes reservations of a token that was given to no pod: the admission it was made for
// is not answered with it. An address kept for a stable identity stays kept, and unassigned. What
// it cannot undo before ctx ends expires.
func (l *Ledger) GiveBack(ctx context.Context, token string, claims []crdv1.Claim) error {
	t, err := allocator.ParseToken(token)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range claims {
		g := rollback{allocationRequest: allocationRequest{reservation: allocator.Reservation{Token: t}}, everyNIC: true}
		errs = append(errs, l.give(ctx, c.Pool, &g))
	}
	return errors.Join(errs...)
}

// giveBackLater undoes a reservation that may or may not have landed. It comes behind that one in
// the queue, so it meets its outcome.
func (l *Ledger) giveBackLater(o allocationRequest, pool string) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), giveBackTimeout)
		defer cancel()
		_ = l.giveBack(ctx, o, pool) // what stays reserved expires: design of the reservation, not an accident
	}()
}

// giveBack undoes what the caller of o never hears of: only here can it be told.
func (l *Ledger) giveBack(ctx context.Context, o allocationRequest, pool string) error {
	g := rollback{allocationRequest: o}
	if err := l.give(ctx, pool, &g); err != nil {
		return err
	}
	for _, address := range g.addresses {
		pod := o.reservation.Pod
		l.o.Logger.Info("address given back: its pod got none beside it, or nobody waited any more", "pool", pool, "address", address,
			"pod", pod.Namespace+"/"+pod.Name, "uid", pod.UID, "node", "", "token", o.reservation.Token)
	}
	return nil
}

// rollback undoes in one pool what an allocation request took, for its NIC or for all of them.
type rollback struct {
	allocationRequest
	everyNIC  bool
	addresses []netip.Addr // what was given back
}

func (l *Ledger) give(ctx context.Context, pool string, g *rollback) error {
	err := l.Apply(ctx, pool, Change{Do: g.do, counts: true})
	if refused := (*RefusedError)(nil); errors.As(err, &refused) { // there is no such pool any more
		return nil
	}
	return err
}

func (g *rollback) do(tx *Tx) error {
	g.addresses = nil
	if g.fence != nil {
		if err := g.fence(tx); err != nil {
			return err
		}
	}
	for _, a := range tx.Record.AllByToken(g.reservation.Token) {
		r, _ := tx.Record.AwaitedAt(a)
		if r.NIC != g.reservation.NIC && !g.everyNIC {
			continue
		}
		if err := tx.recounting(a, func() error { return tx.Record.GiveBack(a, g.reservation.Token) }); err != nil {
			return err
		}
		g.addresses = append(g.addresses, a)
	}
	return nil
}
