package ledger

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// unseen counts the reservations of a namespace that a pool's status has.
func unseen(pool *crdv1.SpiderIPPool, namespace string) (n int, err error) {
	state, err := ledger.Read(pool)
	if err != nil {
		return 0, err
	}
	for _, r := range state.Record.Awaited() {
		if r.Pod.Namespace == namespace {
			n++
		}
	}
	return n, nil
}

func TestTwoLedgersNeverGoOverACap(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.254")
	const limit = 64
	var most atomic.Int64
	watchful := func() *ledger.Ledger { // each version that is stored is looked at
		api := newFaulty()
		api.update = func(ctx context.Context, _ int64, p *crdv1.SpiderIPPool) (*crdv1.SpiderIPPool, error) {
			stored, err := api.API.UpdateStatus(ctx, p)
			if err == nil {
				n, bad := unseen(stored, "greedy")
				if bad != nil {
					t.Error(bad)
				}
				for was := most.Load(); int64(n) > was && !most.CompareAndSwap(was, int64(n)); was = most.Load() {
				}
			}
			return stored, err
		}
		return newLedger(api)
	}
	ledgers := []*ledger.Ledger{watchful(), watchful()}
	var mu sync.Mutex
	served := map[allocator.Token]netip.Addr{} // token -> address
	var modest atomic.Int64
	var wg sync.WaitGroup
	for i := range 32 {
		l := ledgers[i%2]
		wg.Go(func() {
			for range 8 { // 256 wishes, and 32 of another namespace among them
				r := toCome("greedy")
				claims, err := l.Reserve(t.Context(), r, slotsOf([]string{pool.Name}))
				mu.Lock()
				switch {
				case err == nil:
					served[r.Token] = claims[0].Address
				case cause(err) != crdv1.ReasonOverCap:
					t.Error(err)
				}
				mu.Unlock()
			}
			if _, err := l.Reserve(t.Context(), toCome("modest"), slotsOf([]string{pool.Name})); err != nil {
				t.Errorf("another namespace: %v", err)
				return
			}
			modest.Add(1)
		})
	}
	wg.Wait()
	if len(served) != limit || most.Load() != limit || modest.Load() != 32 {
		t.Errorf("%d pods of the greedy namespace were served, at most %d at once, and %d others; want %d, %d and 32", len(served), most.Load(), modest.Load(), limit, limit)
	}

	// Each pod that is seen makes room for one more, and no further.
	seen := 0
	change(t, pool.Name, func(tx *ledger.Tx) (err error) {
		seen = 0
		for token, address := range served {
			if seen == 10 {
				break
			}
			seen++
			err = errors.Join(err, tx.Record.Settle(address, token, 1))
		}
		return err
	})
	for i := range 11 {
		_, err := ledgers[i%2].Reserve(t.Context(), toCome("greedy"), slotsOf([]string{pool.Name}))
		if want := i == 10; (cause(err) == crdv1.ReasonOverCap) != want || !want && err != nil {
			t.Errorf("wish %d after ten pods were seen: %v", i, err)
		}
	}
}

func TestAControllerHasACapOfItsOwn(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.254")
	l := ledger.New(ledger.Options{API: ledger.NewAPI(kube), Pools: nothing{}, Caps: ledger.Caps{Namespace: 20, Owner: 5}})
	served := func(owner string) (n int) {
		for range 10 {
			r := toCome("default")
			r.Owner = allocator.OwnerDigest(owner)
			_, err := l.Reserve(t.Context(), r, slotsOf([]string{pool.Name}))
			if err == nil {
				n++
			} else if cause(err) != crdv1.ReasonOverCap {
				t.Error(err)
			}
		}
		return n
	}
	for _, c := range []struct {
		owner string
		want  int
	}{{"a", 5}, {"b", 5}, {"a", 0}, {"", 10}, {"c", 0}} {
		if got := served(c.owner); got != c.want {
			t.Errorf("controller %q was served %d times, want %d", c.owner, got, c.want)
		}
	}
}

func TestWhatTheClusterUsesIsNotHandedOut(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.5")
	foreign := map[string]bool{"10.1.0.1": true, "10.1.0.2": true, "10.1.0.4": true}
	o := ledger.Options{API: ledger.NewAPI(kube), Pools: nothing{}, Used: func(a netip.Addr) bool { return foreign[a.String()] }}
	l := ledger.New(o)
	for _, want := range []string{"10.1.0.3", "10.1.0.5"} {
		if _, got, err := reserve(t.Context(), l, pool.Name); err != nil || got.String() != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
	_, _, err := reserve(t.Context(), l, pool.Name)
	want := `reserving from pool "` + pool.Name + `": all 5 addresses are not handed out or taken (2 reserved until their pods come or they expire, 3 used by something else in the cluster, a pod or a node)`
	if err == nil || err.Error() != want || cause(err) != crdv1.ReasonPoolFull {
		t.Errorf("the refusal is\n  %v\nwant\n  %s", err, want)
	}
	if _, got, err := reserve(t.Context(), newLedger(ledger.NewAPI(kube)), pool.Name); err != nil || got.String() != "10.1.0.1" {
		t.Errorf("a ledger that is told of nothing gave %s, %v", got, err)
	}
}
