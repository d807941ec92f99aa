package view

import (
	"context"
	"fmt"

	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Queue is the work queue of a controller.
type Queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// Source feeds a controller from the claims index: first all pods in it, then the events of the
// watch. Once the handler has seen the former, synced is called with the revision that they are at
// least at.
func Source(claims *Claims, handler func(Queue) cache.ResourceEventHandler, synced func(uint64)) source.Source {
	return &pods{claims: claims, handler: handler, synced: synced}
}

type pods struct {
	claims       *Claims
	handler      func(Queue) cache.ResourceEventHandler
	synced       func(uint64)
	from         uint64 // at least the revision of the initial pods
	registration cache.ResourceEventHandlerRegistration
}

var _ source.SyncingSource = (*pods)(nil)

// Start adds the handler; it does not wait.
func (p *pods) Start(_ context.Context, q Queue) (err error) {
	p.from = p.claims.Revision()
	p.registration, err = p.claims.AddEventHandler(p.handler(q))
	return err
}

// WaitForSync waits until the handler has seen all existing pods (I11).
func (p *pods) WaitForSync(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), p.registration.HasSynced) {
		return fmt.Errorf("waiting for the list of pods: %w", context.Cause(ctx))
	}
	p.synced(p.from)
	return nil
}
