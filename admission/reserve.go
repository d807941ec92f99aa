package admission

import (
	"context"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

const (
	// retryPause is the least time between two tries for one pod. Pools change with every write, and each change wakes all who wait.
	retryPause = 50 * time.Millisecond
	// giveBackDeadline bounds the undoing of a reservation; what it leaves behind expires.
	giveBackDeadline = 30 * time.Second
)

// reserve takes the addresses of a choice. What passes by itself, such as a predecessor that is about to end, it waits for, until the
// time given: a pod that is scheduled at once starts sooner than one that has to be bound late.
func (d *PodDefaulter) reserve(ctx context.Context, reserver Reserver, r allocator.Reservation, slots [][]string, until time.Time) ([]crdv1.Claim, error) {
	waiting, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for {
		changed := d.chooser.o.Changes.Changed() // before asking, so that no change is missed
		claims, err := reserver.Reserve(ctx, r, slots)
		var exhausted Exhausted
		if err == nil || !errors.As(err, &exhausted) || !exhausted.Passing() {
			return claims, err
		}
		if !happens(waiting, time.After(retryPause)) || !happens(waiting, changed) {
			return nil, err
		}
	}
}

// giveBack undoes a reservation, in all pools of its slots: something went wrong, so what was said to be reserved may be wrong too.
// Nobody waits for it: that the time is up is the most likely reason to be here, and the pod is admitted all the same.
func (d *PodDefaulter) giveBack(ctx context.Context, r Reserver, token string, slots [][]string) {
	var claims []crdv1.Claim
	for _, pools := range slots {
		for _, pool := range pools {
			claims = append(claims, crdv1.Claim{Pool: pool})
		}
	}
	ctx = context.WithoutCancel(ctx)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, giveBackDeadline)
		defer cancel()
		err := d.guard(func() error { return r.GiveBack(ctx, token, claims) })
		if err != nil {
			log.FromContext(ctx).Error(err, "reservation not given back, it will expire", "token", token)
		}
	}()
}

// logReserved writes the first line of each address's history, with the keys that all of them have; the pod is among the values of
// the logger. It has neither a UID nor a node yet, so the token ties the line to the next one.
func logReserved(ctx context.Context, token string, claims []crdv1.Claim) {
	for _, c := range claims {
		log.FromContext(ctx).Info("address reserved", "pool", c.Pool, "address", c.Address, "uid", "", "node", "", "token", token)
	}
}
