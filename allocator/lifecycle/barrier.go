package lifecycle

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// podListBarrier is a list of all pods, taken before addresses that a pool gained are put in
// service. The view of the pods must have caught up with it, and all pools that could have given
// one of these addresses since must still exist: no record says what a deleted pool gave.
type podListBarrier struct {
	mark     uint64             // revision that the view must have reached
	gained   allocator.Space    // addresses that the list was taken for
	pools    map[types.UID]bool // neighbours that existed before the list
	admitted uint64             // barriers.count before the list
}

// barriers are what readiness remembers between two looks at a pool. Safe for concurrent use.
type barriers struct {
	mu     sync.Mutex
	byPool map[string]poolBarrier // pool -> its barrier
	// pool -> count when it last got addresses in service. Those of pools that are gone stay: just
	// they are asked for. It is a few bytes for each pool that was judged under this leader.
	admitted map[types.UID]uint64
	count    uint64 // how often any pool did
}

// poolBarrier belongs to a pool with this UID.
type poolBarrier struct {
	uid     types.UID
	barrier *podListBarrier
}

// of returns the barrier of a pool, if it was taken for all of gained; else nil.
func (b *barriers) of(pool *crdv1.SpiderIPPool, gained allocator.Space) *podListBarrier {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.byPool[pool.Name]
	if !ok || p.uid != pool.UID || gained.Minus(p.barrier.gained).Size() > 0 {
		return nil
	}
	return p.barrier
}

// set remembers the barrier of a pool.
func (b *barriers) set(pool *crdv1.SpiderIPPool, barrier *podListBarrier) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byPool == nil {
		b.byPool = map[string]poolBarrier{}
	}
	b.byPool[pool.Name] = poolBarrier{pool.UID, barrier}
}

// forget drops the barrier of a pool.
func (b *barriers) forget(pool string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byPool, pool)
}

// admit notes that a pool is about to get addresses in service.
func (b *barriers) admit(pool types.UID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.admitted == nil {
		b.admitted = map[types.UID]uint64{}
	}
	b.count++
	b.admitted[pool] = b.count
}

// now returns how often a pool got addresses in service.
func (b *barriers) now() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}

// since returns the pools that got addresses in service after the first n times.
func (b *barriers) since(n uint64) (pools []types.UID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for uid, at := range b.admitted {
		if at > n {
			pools = append(pools, uid)
		}
	}
	return pools
}
