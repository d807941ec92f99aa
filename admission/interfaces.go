package admission

import (
	"context"
	"net/netip"

	"spidernet.io/spiderpool/admission/selection"
	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Reserver takes addresses durably, all or none.
type Reserver interface {
	// Reserve takes for r one address for each slot, of the first of its pools that gives one; result i belongs to slots[i]. An error
	// that is an Exhausted says that the pools of a slot give none now.
	Reserve(ctx context.Context, r allocator.Reservation, slots []choice.Slot) ([]crdv1.Claim, error)
	// GiveBack undoes Reserve for an admission that will not be answered with it. Only the pools of the claims count, and the token
	// may have nothing in some.
	GiveBack(ctx context.Context, token string, claims []crdv1.Claim) error
}

// Exhausted is the error of a Reserver whose pools give no address now and may later, if Exhausted returns true. It says for each
// pool what it lacks.
type Exhausted interface {
	error
	Exhausted() bool
	// Cause is one of the reasons of crds/v1.
	Cause() string
	// Passing reports whether a moment may help.
	Passing() bool
}

// PoolLister gives the pools of a cache.
type PoolLister = selection.Pools

// PoolChanges tells of changes of the pools that PoolLister gives.
type PoolChanges interface {
	// Changed returns a channel that is closed at the next change.
	Changed() <-chan struct{}
}

// Users says who uses the addresses of a pool.
type Users interface {
	// UsersOf returns the live pods that claim an address of the pool, each as namespace/name.
	UsersOf(pool string) map[netip.Addr][]string // address -> pods
}
