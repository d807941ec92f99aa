package soak

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"spidernet.io/spiderpool/allocator/ledger"

	"spidernet.io/spiderpool/e2e/behaviours"
)

// releases measures how long it takes until the address of a pod that has ended is free again.
type releases struct {
	mu      sync.Mutex
	ended   map[netip.Addr]time.Time // address -> when its pod ended
	slowest time.Duration
	seen    int
}

// note records that a pod has ended.
func (r *releases) note(addresses []netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range addresses {
		r.ended[a] = time.Now()
	}
}

// follow watches the pools until ctx ends. What is kept for a stable identity, or held because
// there was no leader when its pod ended, is not measured.
func (r *releases) follow(ctx context.Context, s *stage) {
	for ctx.Err() == nil {
		for _, name := range []string{poolV4, poolV6} {
			pool, err := s.pool(ctx, name)
			if err != nil {
				continue
			}
			state, err := ledger.Read(pool)
			if err != nil {
				continue
			}
			r.look(state)
		}
		behaviours.Pause(ctx, 100*time.Millisecond)
	}
}

func (r *releases) look(state *ledger.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for a, ended := range r.ended {
		if !state.Space.Contains(a) {
			continue
		}
		_, kept := state.Record.RetainedAt(a)
		if _, held := state.Record.HoldAt(a); held || kept {
			delete(r.ended, a)
			continue
		}
		if _, taken := state.Record.AwaitedAt(a); taken || !state.Record.Contains(a) {
			r.slowest = max(r.slowest, time.Since(ended))
			r.seen++
			delete(r.ended, a)
		}
	}
}
