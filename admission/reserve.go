package admission

import (
	"context"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

const (
	// firstPause is the shortest pause between the first two attempts for one pod; it doubles with
	// each. Pools change with every write, each change wakes all waiting pods, and an attempt that
	// takes an address of one family and gives it back causes two more changes.
	firstPause = 50 * time.Millisecond
	// giveBackDeadline limits how long undoing a reservation may take; what it leaves behind
	// expires.
	giveBackDeadline = 30 * time.Second
)

// allocationRequest is what one admission asks of a Reserver.
type allocationRequest struct {
	to     Reserver
	dry    bool          // to cannot write
	choice choice.Choice // with the token
	until  time.Time     // how long to wait for what usually passes soon
}

func (e allocationRequest) token() string { return string(e.choice.Reservation.Token) }

// reserve takes the addresses. It waits for what usually passes soon, such as a predecessor that is
// about to end: a pod that is scheduled at once starts sooner than one that is bound late.
func (d *PodDefaulter) reserve(ctx context.Context, e allocationRequest) ([]crdv1.Claim, error) {
	begun := time.Now()
	for pause := firstPause; ; pause *= 2 {
		changed := d.o.Changes.Changed() // before asking, so that no change is missed
		claims, err := e.to.Reserve(ctx, e.choice.Reservation, e.choice.Slots)
		var exhausted Exhausted
		if err == nil || !errors.As(err, &exhausted) || !exhausted.Passing() {
			return claims, err
		}
		waiting, cancel := context.WithDeadline(ctx, e.deadline(exhausted.Cause(), begun))
		again := happens(waiting, time.After(pause)) && happens(waiting, changed)
		cancel()
		if !again {
			return nil, err
		}
	}
}

// deadline returns until when to wait, by what the pools lack.
func (e allocationRequest) deadline(cause string, begun time.Time) time.Time {
	if soon := begun.Add(capPatience); cause == crdv1.ReasonOverCap && soon.Before(e.until) {
		return soon
	}
	return e.until
}

// giveBack undoes a reservation, in all pools of its slots: after an error it is unknown which of
// them it is in. It runs in the background: the usual cause is that the time is up, and the pod is
// admitted anyway.
func (d *PodDefaulter) giveBack(ctx context.Context, e allocationRequest) {
	var claims []crdv1.Claim
	for _, slot := range e.choice.Slots {
		for _, pool := range slot.Pools {
			claims = append(claims, crdv1.Claim{Pool: pool})
		}
	}
	ctx = context.WithoutCancel(ctx)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, giveBackDeadline)
		defer cancel()
		err := d.guard(func() error { return e.to.GiveBack(ctx, e.token(), claims) })
		if err != nil {
			log.FromContext(ctx).Error(err, "reservation not given back, it will expire", "token", e.token())
		}
	}()
}

// log writes the first line of each address's history, with the same keys as all later ones; the
// pod is among the values of the logger. It has no UID and no node yet: the token connects this
// line with the next one.
func (e allocationRequest) log(ctx context.Context, claims []crdv1.Claim) {
	if e.dry {
		return
	}
	for _, c := range claims {
		log.FromContext(ctx).Info("address reserved", "pool", c.Pool, "address", c.Address, "uid", "", "node", "", "token", e.token())
	}
}
