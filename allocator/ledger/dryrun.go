package ledger

import (
	"context"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// DryRun answers as a Ledger would, from what the watch has shown. It has nothing to write with
// (I10).
type DryRun struct{ o Options }

// NewDryRun returns a DryRun over the same pools as the ledger of o.
func NewDryRun(o Options) DryRun {
	o.API = nil
	return DryRun{o.complete()}
}

// Reserve returns what Ledger.Reserve might return at this moment.
func (d DryRun) Reserve(_ context.Context, r allocator.Reservation, slots []choice.Slot) ([]crdv1.Claim, error) {
	if err := check(slots); err != nil {
		return nil, err
	}
	claims := make([]crdv1.Claim, len(slots))
	errs := make([]error, len(slots))
	for i, slot := range slots {
		var got allocated
		got, errs[i] = allocationRequest{reservation: r, caps: d.o.Caps}.first(slot, d.try)
		claims[i] = got.claim
	}
	if err := merge(errs); err != nil {
		return nil, err
	}
	return claims, nil
}

func (d DryRun) try(pool string, do func(*Tx) error) error {
	state, err := watched(d.o.Pools, d.o.Decoder, pool, nil)
	if err != nil {
		return err
	}
	if state == nil {
		return noSuchPool(pool)
	}
	never, _ := d.o.ReservedRanges()
	return do(begin(state, state.Free().Without(never), nil, d.o.Used))
}

// GiveBack does nothing: nothing was taken.
func (DryRun) GiveBack(context.Context, string, []crdv1.Claim) error { return nil }
