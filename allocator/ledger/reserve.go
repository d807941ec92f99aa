package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// giveBackTimeout bounds the undoing of a reservation that nobody waits for.
const giveBackTimeout = 30 * time.Second

// Reserve takes, for a pod to come, one address for each slot: of the first of
// its pools that gives one. All slots are served or none (I9). The reservation
// carries token; namespace is where the leader looks for the pod.
//
// Errors: *ExhaustedError where the pools of a slot gave nothing; the error of
// ctx; what the API server said.
func (l *Ledger) Reserve(ctx context.Context, token, namespace string, slots [][]string) ([]crdv1.Claim, error) {
	t, err := allocator.ParseToken(token)
	if err != nil {
		return nil, err
	}
	if !l.synced() {
		return nil, errors.New("reserving: this replica has not listed all pods and pools yet")
	}
	if err := distinct(slots); err != nil {
		return nil, err
	}
	claims := make([]crdv1.Claim, len(slots))
	errs := make([]error, len(slots))
	serve := func(i int) {
		claims[i], errs[i] = l.reserveFirst(ctx, allocator.Reservation{Token: t, Pod: allocator.PodRef{Namespace: namespace}}, slots[i])
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
		return nil, errors.Join(err, l.undo(ctx, t, claims, errs))
	}
	return claims, nil
}

// undo gives back what was taken beside a slot that got nothing. Where nobody
// waits any more it does not wait either.
func (l *Ledger) undo(ctx context.Context, t allocator.Token, claims []crdv1.Claim, errs []error) error {
	var failed []error
	for i, err := range errs {
		switch {
		case err != nil:
		case ctx.Err() != nil:
			l.giveBackLater(t, claims[i].Pool) //nolint:contextcheck // the caller is gone, and that is why
		default:
			failed = append(failed, l.giveBack(ctx, t, claims[i].Pool))
		}
	}
	return errors.Join(failed...)
}

// distinct refuses a pool that two slots name: in one pool a token has one
// address, so both would be given the same.
func distinct(slots [][]string) error {
	slotOf := map[string]int{} // pool -> slot
	for i, pools := range slots {
		for _, pool := range pools {
			if j, ok := slotOf[pool]; ok && j != i {
				return fmt.Errorf("pool %q is a candidate of two NICs or families of one pod", pool)
			}
			slotOf[pool] = i
		}
	}
	return nil
}

// merge makes one error of those of all slots, so that a person sees every
// candidate of every family.
func merge(errs []error) error {
	var exhausted ExhaustedError
	var others []error
	for _, err := range errs {
		var e *ExhaustedError
		switch {
		case err == nil:
		case errors.As(err, &e):
			exhausted.Refusals = append(exhausted.Refusals, e.Refusals...)
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

func (l *Ledger) reserveFirst(ctx context.Context, r allocator.Reservation, pools []string) (crdv1.Claim, error) {
	var exhausted ExhaustedError
	for _, pool := range pools {
		w := want{reservation: r}
		err := l.Apply(ctx, pool, Change{Do: w.do, Grows: true})
		switch refused := refusal(pool, err); {
		case err == nil:
			return crdv1.Claim{Pool: pool, Address: w.address}, nil
		case refused != nil:
			exhausted.Refusals = append(exhausted.Refusals, refused)
		case ctx.Err() != nil:
			l.giveBackLater(r.Token, pool) //nolint:contextcheck // the caller is gone, and that is why
			return crdv1.Claim{}, err
		default:
			return crdv1.Claim{}, err
		}
	}
	return crdv1.Claim{}, &exhausted
}

// refusal returns what a pool has against giving an address, if err is no more
// than that: another candidate may serve all the same.
func refusal(pool string, err error) *RefusedError {
	var refused *RefusedError
	var unreadable *UnreadableError
	var tooLarge *OverBudgetError
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &unreadable):
		return &RefusedError{Pool: pool, Reason: "it cannot be read: " + unreadable.Err.Error()}
	case errors.As(err, &tooLarge):
		return &RefusedError{Pool: pool, Reason: tooLarge.Error()}
	}
	return nil
}

// want is a reservation looking for an address.
type want struct {
	reservation allocator.Reservation
	address     netip.Addr // the answer
}

func (w *want) do(tx *Tx) error {
	if a, ok := tx.Record.ByToken(w.reservation.Token); ok { // an earlier write landed
		w.address = a
		return nil
	}
	if err := Ready(tx.Pool); err != nil {
		return &RefusedError{Pool: tx.Pool.Name, Reason: err.Error()}
	}
	a, ok := tx.Pick()
	if !ok {
		return &RefusedError{Pool: tx.Pool.Name, Reason: taken(tx)}
	}
	w.address = a
	return tx.Record.Reserve(a, w.reservation)
}

func taken(tx *Tx) string {
	if tx.Space.Size() == 0 {
		return "it has no addresses (spec.ips without spec.excludeIPs, spec.gateway and the next hops of spec.routes)"
	}
	reason := fmt.Sprintf("all %d addresses taken (%s)", tx.Space.Size(), tx.Record.Counts())
	if never := tx.Space.Size() - tx.free.Size(); never > 0 {
		reason += fmt.Sprintf("; %d of them never handed out (SpiderReservedIP)", never)
	}
	return reason
}

// GiveBack undoes reservations of a token that was given to no pod: the
// admission it was made for is not answered with it. What it cannot undo before
// ctx ends expires.
func (l *Ledger) GiveBack(ctx context.Context, token string, claims []crdv1.Claim) error {
	t, err := allocator.ParseToken(token)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range claims {
		errs = append(errs, l.giveBack(ctx, t, c.Pool))
	}
	return errors.Join(errs...)
}

// giveBackLater undoes a reservation that may or may not have landed. It comes
// behind that one in the queue, so it meets its outcome.
func (l *Ledger) giveBackLater(t allocator.Token, pool string) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), giveBackTimeout)
		defer cancel()
		_ = l.giveBack(ctx, t, pool) // what stays reserved expires: design of the reservation, not an accident
	}()
}

func (l *Ledger) giveBack(ctx context.Context, t allocator.Token, pool string) error {
	return l.Apply(ctx, pool, Change{Do: func(tx *Tx) error {
		a, ok := tx.Record.ByToken(t)
		if !ok {
			return nil
		}
		return tx.Record.GiveBack(a, t)
	}})
}
