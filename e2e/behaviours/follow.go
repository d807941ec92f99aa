package behaviours

import (
	"context"
	"fmt"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Follower sees every version of one pool: the API server sends its watchers one event for each.
type Follower struct {
	name   string
	stream watch.Interface
	done   chan struct{}

	mu   sync.Mutex // also held while see runs
	last string     // the resourceVersion seen last
}

// Follow has see look at each version of a pool from the next on, one at a time.
func (e *Env) Follow(t *testing.T, pool *crdv1.SpiderIPPool, see func(*crdv1.SpiderIPPool)) *Follower {
	t.Helper()
	f := &Follower{name: pool.Name, done: make(chan struct{}), last: pool.ResourceVersion}
	var err error
	f.stream, err = e.Client.Watch(t.Context(), &crdv1.SpiderIPPoolList{}, &client.ListOptions{Raw: &metav1.ListOptions{
		FieldSelector: "metadata.name=" + pool.Name, ResourceVersion: pool.ResourceVersion,
	}})
	if err != nil {
		t.Fatalf("watching pool %q: %v", pool.Name, err)
	}
	go f.run(see)
	t.Cleanup(func() { f.stream.Stop(); <-f.done })
	return f
}

func (f *Follower) run(see func(*crdv1.SpiderIPPool)) {
	defer close(f.done)
	for event := range f.stream.ResultChan() {
		pool, ok := event.Object.(*crdv1.SpiderIPPool)
		if !ok {
			return // an error event; UpToDate will wait in vain and say so
		}
		f.mu.Lock()
		see(pool)
		f.last = pool.ResourceVersion
		f.mu.Unlock()
	}
}

// UpToDate waits until the pool's present version was seen, and then calls then, during which no
// other is.
func (f *Follower) UpToDate(t *testing.T, e *Env, then func()) {
	t.Helper()
	Eventually(t, Patience, func(ctx context.Context) error {
		var now crdv1.SpiderIPPool
		if err := e.Client.Get(ctx, client.ObjectKey{Name: f.name}, &now); err != nil {
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.last != now.ResourceVersion {
			return fmt.Errorf("the watch of pool %q is at revision %s, not at %s", f.name, f.last, now.ResourceVersion)
		}
		then()
		return nil
	})
}
