package lifecycle

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// subnetSerializer let pools of overlapping subnets be judged one after the other: two that gained
// one address at the same moment would else not see one another become Ready. Safe for concurrent
// use.
type subnetSerializer struct {
	mu  sync.Mutex
	now map[types.UID]*crdv1.SpiderIPPool
}

// acquire reports whether it is the pool's turn; if so, it MUST be given back.
func (t *subnetSerializer) acquire(pool *crdv1.SpiderIPPool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, other := range t.now {
		if subnetsOverlap(other, pool) {
			return false
		}
	}
	if t.now == nil {
		t.now = map[types.UID]*crdv1.SpiderIPPool{}
	}
	t.now[pool.UID] = pool
	return true
}

func (t *subnetSerializer) release(pool *crdv1.SpiderIPPool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.now, pool.UID)
}
