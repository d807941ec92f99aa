package lifecycle

import (
	"maps"
	"time"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
)

// dryness is a pool that had no address although the watch showed some: it is
// believed until the watch shows a newer version.
type dryness struct {
	version string
	until   time.Time
}

// supplies returns what the pools that are asked for can give.
func (b *binder) supplies(all []*asks, now time.Time) map[string]*supply {
	asking := map[string]int{} // pool -> how many may want an address of it
	for _, a := range all {
		for _, pools := range a.slots {
			for _, pool := range pools {
				asking[pool]++
			}
		}
	}
	maps.DeleteFunc(b.dry, func(_ string, d dryness) bool { return now.After(d.until) })
	supplies := map[string]*supply{}
	for pool, limit := range asking {
		supplies[pool] = b.supply(pool, limit)
	}
	return supplies
}

func (b *binder) supply(name string, limit int) *supply {
	pool, ok := b.pools.Pool(name)
	if !ok {
		return &supply{foreign: true, unready: "it does not exist", record: &allocator.Record{}}
	}
	state, err := b.tenures.read(pool)
	if err != nil {
		return &supply{foreign: true, unready: "it cannot be read: " + err.Error(), record: &allocator.Record{}}
	}
	s := &supply{version: pool.ResourceVersion, uid: pool.UID, size: state.Space.Size(), record: state.Record}
	if err := ledger.Ready(pool); err != nil {
		s.unready = err.Error()
	}
	if begun, _, _ := b.tenures.of(pool); !begun {
		s.foreign, s.unready = true, "the controller has not taken it over yet"
	}
	if d, ok := b.dry[name]; s.unready == "" && (!ok || d.version != pool.ResourceVersion) {
		s.free = b.ledger.Available(state, limit)
	}
	s.withheld = s.free == 0 && allocator.Free(state.Space, state.Record) > 0
	return s
}
