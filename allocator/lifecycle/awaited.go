package lifecycle

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// ReadAwaited reads which reservations stand, those of kept addresses too, in all pools. api MUST
// NOT read from a cache.
func ReadAwaited(ctx context.Context, api client.Reader) (view.Awaited, error) {
	var pools crdv1.SpiderIPPoolList
	if err := api.List(ctx, &pools); err != nil {
		return view.Awaited{}, fmt.Errorf("listing pools: %w", err)
	}
	awaited := view.Awaited{Tokens: map[allocator.Token]bool{}, Unreadable: map[string]bool{}}
	for i := range pools.Items {
		state, err := ledger.Read(&pools.Items[i])
		if err != nil {
			awaited.Unreadable[pools.Items[i].Name] = true
			continue
		}
		for _, r := range state.Record.Awaited() {
			awaited.Tokens[r.Token] = true
		}
	}
	return awaited, nil
}
