package latebind

import (
	"maps"
	"time"

	"spidernet.io/spiderpool/allocator"
)

// exhaustion marks a pool that had no address although the watch showed some. It is valid until the
// watch shows a newer version of the pool.
type exhaustion struct {
	version string
	until   time.Time
}

// capacities returns what the requested pools can give.
func (b *reconciler) capacities(all []*request, now time.Time) map[string]*capacity {
	asking := map[string]int{} // pool -> how many addresses of it may be requested
	for _, a := range all {
		for _, slot := range a.slots {
			for _, pool := range slot.Pools {
				asking[pool]++
			}
		}
	}
	maps.DeleteFunc(b.exhausted, func(_ string, d exhaustion) bool { return now.After(d.until) })
	capacities := map[string]*capacity{}
	for pool, limit := range asking {
		capacities[pool] = b.capacityOf(pool, limit)
	}
	return capacities
}

func (b *reconciler) capacityOf(name string, limit int) *capacity {
	pool, ok := b.pools.Pool(name)
	if !ok {
		return &capacity{foreign: true, unready: "it does not exist", record: &allocator.Record{}}
	}
	state, err := b.leader.Decode(pool)
	if err != nil {
		return &capacity{foreign: true, unready: "it cannot be read: " + err.Error(), record: &allocator.Record{}}
	}
	s := &capacity{version: pool.ResourceVersion, uid: pool.UID, size: state.Space.Size(), most: b.ledger.MostKept(state.Space.Size()), record: state.Record}
	if _, why := pool.Readiness(); why != "" {
		s.unready = "it " + why
	}
	if !b.leader.TookOver(pool) {
		s.foreign, s.unready = true, "the controller has not taken it over yet"
	}
	if d, ok := b.exhausted[name]; s.unready == "" && (!ok || d.version != pool.ResourceVersion) {
		s.free = b.ledger.Available(state, limit)
	}
	if s.free == 0 {
		s.withheld = allocator.Free(state.Space, state.Record)
	}
	return s
}
