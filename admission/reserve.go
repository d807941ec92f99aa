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
	// firstPause is the least time between the first two tries for one pod, and doubles with each. Pools change with every write, each
	// change wakes all who wait, and a try that takes an address of one family and gives it back is two changes of its own.
	firstPause = 50 * time.Millisecond
	// giveBackDeadline bounds the undoing of a reservation; what it leaves behind expires.
	giveBackDeadline = 30 * time.Second
)

// allocationRequest is what one admission wants of a Reserver.
type allocationRequest struct {
	to     Reserver
	dry    bool          // to cannot write
	choice choice.Choice // with the token
	until  time.Time     // how long to wait for what passes by itself
}

func (e allocationRequest) token() string { return string(e.choice.Reservation.Token) }

// reserve takes the addresses. What passes by itself, such as a predecessor that is about to end, it waits for: a pod that is
// scheduled at once starts sooner than one that has to be bound late.
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

// deadline is until when what stands against a pod is waited for to pass.
func (e allocationRequest) deadline(cause string, begun time.Time) time.Time {
	if soon := begun.Add(capPatience); cause == crdv1.ReasonOverCap && soon.Before(e.until) {
		return soon
	}
	return e.until
}

// giveBack undoes a reservation, in all pools of its slots: something went wrong, so what was said to be reserved may be wrong too.
// Nobody waits for it: that the time is up is the most likely reason to be here, and the pod is admitted all the same.
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

// log writes the first line of each address's history, with the keys that all of them have; the pod is among the values of the
// logger. It has neither a UID nor a node yet: the token ties the line to the next one.
func (e allocationRequest) log(ctx context.Context, claims []crdv1.Claim) {
	if e.dry {
		return
	}
	for _, c := range claims {
		log.FromContext(ctx).Info("address reserved", "pool", c.Pool, "address", c.Address, "uid", "", "node", "", "token", e.token())
	}
}
