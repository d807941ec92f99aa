package admission

import (
	"context"
	"net/netip"

	"spidernet.io/spiderpool/admission/selection"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Reserver takes addresses durably, all or none.
type Reserver interface {
	// Reserve takes for each slot one address of the first of its pools that has one; slots[i] are pool names in order of
	// preference, and result i belongs to slots[i]. An error that is an Exhausted says that a slot has no address left in any of
	// its pools.
	Reserve(ctx context.Context, token, namespace string, slots [][]string) ([]crdv1.Claim, error)
	// GiveBack undoes Reserve for an admission that will not be answered with it.
	GiveBack(ctx context.Context, token string, claims []crdv1.Claim) error
}

// Exhausted is the error of a Reserver whose pools are full, if Exhausted returns true. It says for each pool what it lacks.
type Exhausted interface {
	error
	Exhausted() bool
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
