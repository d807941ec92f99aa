package behaviours

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Writes counts the writes to one pool's status.
type Writes struct {
	follower *Follower
	n        int
	last     crdv1.IPPoolStatus
}

// CountWrites counts from now on.
func (e *Env) CountWrites(t *testing.T, name string) *Writes {
	t.Helper()
	pool := e.Pool(t, name)
	w := &Writes{last: pool.Status}
	w.follower = e.Follow(t, pool, func(now *crdv1.SpiderIPPool) {
		if !equality.Semantic.DeepEqual(now.Status, w.last) {
			w.n++
		}
		w.last = now.Status
	})
	return w
}

// Count returns the number of writes up to the pool's present state.
func (w *Writes) Count(t *testing.T, e *Env) int {
	t.Helper()
	n := 0
	w.follower.UpToDate(t, e, func() { n = w.n })
	return n
}
