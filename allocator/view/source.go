package view

import (
	"context"
	"fmt"

	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Queue is what a controller works off.
type Queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// Source feeds a controller from the claims index: from all pods that it
// has, and then from the watch. told is given the revision of the former.
func Source(claims *Claims, handler func(Queue) cache.ResourceEventHandler, told func(uint64)) source.Source {
	return &pods{claims: claims, handler: handler, told: told}
}

type pods struct {
	claims       *Claims
	handler      func(Queue) cache.ResourceEventHandler
	told         func(uint64)
	from         uint64 // revision of what the handler is told first
	registration cache.ResourceEventHandlerRegistration
}

var _ source.SyncingSource = (*pods)(nil)

// Start adds the handler; it does not wait.
func (p *pods) Start(_ context.Context, q Queue) (err error) {
	p.from = p.claims.Revision()
	p.registration, err = p.claims.AddEventHandler(p.handler(q))
	return err
}

// WaitForSync waits until the handler was told of all pods there are (I11).
func (p *pods) WaitForSync(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), p.registration.HasSynced) {
		return fmt.Errorf("waiting for the list of pods: %w", context.Cause(ctx))
	}
	p.told(p.from)
	return nil
}
