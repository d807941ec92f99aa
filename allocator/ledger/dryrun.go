package ledger

import (
	"context"

	"go4.org/netipx"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// DryRun answers as a Ledger would, from what the watch has shown. It has
// nothing to write with (I10).
type DryRun struct {
	pools Pools
	never func() ([]netipx.IPRange, uint64)
}

// NewDryRun returns a DryRun over the same pools as the ledger of o.
func NewDryRun(o Options) DryRun {
	if o.Never == nil {
		o.Never = func() ([]netipx.IPRange, uint64) { return nil, 0 }
	}
	return DryRun{pools: o.Pools, never: o.Never}
}

// Reserve returns what Ledger.Reserve might return at this moment.
func (d DryRun) Reserve(_ context.Context, token, namespace string, slots [][]string) ([]crdv1.Claim, error) {
	t, err := allocator.ParseToken(token)
	if err != nil {
		return nil, err
	}
	claims := make([]crdv1.Claim, len(slots))
	errs := make([]error, len(slots))
	for i, pools := range slots {
		r := allocator.Reservation{Token: t, Pod: allocator.PodRef{Namespace: namespace}}
		claims[i], errs[i] = d.reserveFirst(r, pools)
	}
	if err := merge(errs); err != nil {
		return nil, err
	}
	return claims, nil
}

func (d DryRun) reserveFirst(r allocator.Reservation, pools []string) (crdv1.Claim, error) {
	var exhausted ExhaustedError
	for _, pool := range pools {
		w := want{reservation: r}
		err := d.try(pool, w.do)
		if err == nil {
			return crdv1.Claim{Pool: pool, Address: w.address}, nil
		}
		refused := refusal(pool, err)
		if refused == nil {
			return crdv1.Claim{}, err
		}
		exhausted.Refusals = append(exhausted.Refusals, refused)
	}
	return crdv1.Claim{}, &exhausted
}

func (d DryRun) try(pool string, do func(*Tx) error) error {
	state, err := watched(d.pools, pool, nil)
	if err != nil {
		return err
	}
	if state == nil {
		return &RefusedError{Pool: pool, Reason: ErrNoPool.Error()}
	}
	never, _ := d.never()
	return do(begin(state, state.Space.Without(never), nil))
}

// GiveBack does nothing: nothing was taken.
func (DryRun) GiveBack(context.Context, string, []crdv1.Claim) error { return nil }
