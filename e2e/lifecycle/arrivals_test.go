package lifecycle

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/lifecycle"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/apiserver"
)

// A leader ends between the reservation and the answer, and no pod comes. The next leader has
// watched as a standby since before the reservation was made, so the address needs no hold. One
// that was reserved earlier does: its pod may have come and vanished before the standby was there.
func TestAStandbyThatHasWatchedHoldsNothingThatNobodyCameFor(t *testing.T) {
	const lease = "a-standby-that-has-watched"
	first := run(t, lease, longGrace)
	pool := newPool(t)
	_, early := reserve(t, pool)

	var arrivals *view.Arrivals
	run(t, lease, time.Second, func(o *lifecycle.Options) { arrivals = o.Arrivals })
	apiserver.Eventually(t, "the standby knows what stood before it", func() bool {
		return arrivals.Of(pool, allocator.NewToken(), 0) == view.NoneVanished
	})
	_, late := reserve(t, pool)
	token, vanished := reserve(t, pool)
	states := statesOf(t, late)
	first.end()
	remove(t, newPod(t, "node", token, vanished)) // by force, while nobody leads
	wait(t, late, allocator.StateFree)
	wait(t, early, allocator.StateHeld)
	wait(t, vanished, allocator.StateHeld)
	for s := range states {
		if s == allocator.StateHeld {
			t.Error("the address that no pod came for was held before it was free")
		}
		if s == allocator.StateFree {
			return
		}
	}
}

// statesOf returns what becomes of an address, each version of its pool.
func statesOf(t *testing.T, c crdv1.Claim) <-chan allocator.State {
	t.Helper()
	watching, err := client.NewWithWatch(server.Config, client.Options{Scheme: server.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	w, err := watching.Watch(t.Context(), &crdv1.SpiderIPPoolList{}, &client.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", c.Pool)})
	if err != nil {
		t.Fatal(err)
	}
	states := make(chan allocator.State, 1000)
	go func() {
		defer close(states)
		for e := range w.ResultChan() {
			object, ok := e.Object.(*crdv1.SpiderIPPool)
			if !ok || e.Type == watch.Bookmark {
				continue
			}
			if s, err := ledger.Read(object); err == nil {
				states <- s.Record.State(c.Address)
			}
		}
	}()
	t.Cleanup(w.Stop)
	return states
}
