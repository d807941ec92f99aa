package admission

import (
	"context"
	"net/netip"

	"spidernet.io/spiderpool/admission/selection"
	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Reserver takes addresses durably, all or nothing.
type Reserver interface {
	// Reserve takes for r one address for each slot, from the first of its pools that can give one;
	// result i belongs to slots[i]. An error that is an Exhausted says that the pools of a slot
	// cannot give one now.
	Reserve(ctx context.Context, r allocator.Reservation, slots []choice.Slot) ([]crdv1.Claim, error)
	// GiveBack undoes Reserve for an admission that will not use it. Only the pools of the claims
	// matter, and the token may have no address in some of them.
	GiveBack(ctx context.Context, token string, claims []crdv1.Claim) error
}

// Exhausted is the error of a Reserver when pools cannot give an address now but may later, if
// Exhausted returns true. Its text says what each pool lacks.
type Exhausted interface {
	error
	Exhausted() bool
	// Cause is one of the reasons of crds/v1.
	Cause() string
	// Passing reports whether waiting a moment may help.
	Passing() bool
}

// PoolLister returns the pools of a cache.
type PoolLister = selection.Pools

// PoolChanges notifies about changes of the pools that PoolLister returns.
type PoolChanges interface {
	// Changed returns a channel that is closed at the next change.
	Changed() <-chan struct{}
}

// Users knows which pods use the addresses of a pool.
type Users interface {
	// UsersOf returns the live pods that claim an address of the pool, each as namespace/name.
	UsersOf(pool string) map[netip.Addr][]string // address -> pods
}
