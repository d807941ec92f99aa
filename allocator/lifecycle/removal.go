package lifecycle

import (
	"context"
	"sync"

	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// removal is what a job has found that a pool need not record any more, by the proofs that it has.
// one looks whether the record says of something what it said then, and if so takes it out.
type removal[K comparable, V any] struct {
	pool *crdv1.SpiderIPPool
	all  map[K]V
	one  func(*ledger.Tx, K, V) (bool, error)
}

// apply makes the removal durable, and returns what was taken out. Where it returns an error, what
// has become of it is not known: the next look tells.
func (r removal[K, V]) apply(ctx context.Context, a Applier, t *leaderships) (map[K]V, error) {
	var done map[K]V
	err := a.Apply(ctx, r.pool.Name, ledger.Change{
		Patience: patience,
		Do: t.fence(r.pool.UID, func(tx *ledger.Tx) error {
			done = map[K]V{}
			for k, v := range r.all {
				was, err := r.one(tx, k, v)
				if err != nil {
					return err
				}
				if was {
					done[k] = v
				}
			}
			return nil
		}),
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// memory is what a job remembers of pools from one look to the next. Only the look at a pool
// touches what is remembered of it, and only one runs; looks at others run beside it.
type memory[K comparable, V any] struct {
	mu     sync.Mutex
	byPool map[string]map[K]V // pool -> what is remembered
}

func (m *memory[K, V]) of(pool string) map[K]V {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byPool[pool]
}

// set replaces what is remembered of a pool; nothing forgets it.
func (m *memory[K, V]) set(pool string, all map[K]V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(all) == 0 {
		delete(m.byPool, pool)
		return
	}
	if m.byPool == nil {
		m.byPool = map[string]map[K]V{}
	}
	m.byPool[pool] = all
}
