package behaviours

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Writes counts the writes to one pool's status: the API server sends its
// watchers one event for each.
type Writes struct {
	stream watch.Interface
	done   chan struct{}

	mu   sync.Mutex
	n    int
	last *crdv1.SpiderIPPool
}

// CountWrites counts from now on.
func (e *Env) CountWrites(t *testing.T, pool string) *Writes {
	t.Helper()
	w := &Writes{done: make(chan struct{}), last: e.Pool(t, pool)}
	var err error
	w.stream, err = e.Client.Watch(t.Context(), &crdv1.SpiderIPPoolList{}, &client.ListOptions{Raw: &metav1.ListOptions{
		FieldSelector: "metadata.name=" + pool, ResourceVersion: w.last.ResourceVersion,
	}})
	if err != nil {
		t.Fatalf("watching pool %q: %v", pool, err)
	}
	go w.run()
	t.Cleanup(func() { w.stream.Stop(); <-w.done })
	return w
}

func (w *Writes) run() {
	defer close(w.done)
	for event := range w.stream.ResultChan() {
		pool, ok := event.Object.(*crdv1.SpiderIPPool)
		if !ok {
			return // an error event; Count will wait in vain and say so
		}
		w.mu.Lock()
		if !equality.Semantic.DeepEqual(pool.Status, w.last.Status) {
			w.n++
		}
		w.last = pool
		w.mu.Unlock()
	}
}

// Count returns the number of writes up to the pool's present state.
func (w *Writes) Count(t *testing.T, e *Env) int {
	t.Helper()
	w.mu.Lock()
	name := w.last.Name
	w.mu.Unlock()
	now := e.Pool(t, name).ResourceVersion
	n := 0
	Eventually(t, Patience, func(context.Context) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		n = w.n
		if w.last.ResourceVersion != now {
			return fmt.Errorf("the watch of pool %q is at revision %s, not at %s", name, w.last.ResourceVersion, now)
		}
		return nil
	})
	return n
}
