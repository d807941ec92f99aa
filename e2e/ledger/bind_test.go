package ledger

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func noFence(*ledger.Tx) error { return nil }

func TestBindingAPodTwiceGivesOneAddress(t *testing.T) {
	t.Parallel()
	a := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.9")
	b := newPool(t, "10.1.1.0/24", "10.1.1.1-10.1.1.9")
	lossy := newFaulty()
	lossy.update = func(ctx context.Context, n int64, p *crdv1.SpiderIPPool) (*crdv1.SpiderIPPool, error) {
		if n%2 == 1 {
			return nil, lossy.landed(ctx, p)
		}
		return lossy.API.UpdateStatus(ctx, p)
	}
	ledgers := []*ledger.Ledger{newLedger(ledger.NewAPI(kube)), newLedger(lossy)}
	var mu sync.Mutex
	given := map[string]map[crdv1.Claim]bool{} // pod -> its claims
	var wg sync.WaitGroup
	for i := range 24 {
		pod := []string{"x", "y", "z"}[i%3]
		wg.Go(func() {
			claims, err := ledgers[i%2].Bind(t.Context(), existing(pod), slotsOf([]string{a.Name, b.Name}), noFence)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if given[pod] == nil {
				given[pod] = map[crdv1.Claim]bool{}
			}
			given[pod][claims[0]] = true
		})
	}
	wg.Wait()
	for pod, claims := range given {
		if len(claims) != 1 {
			t.Errorf("pod %s was given %v, want one address", pod, claims)
		}
	}
	if got := record(t, a.Name).Count() + record(t, b.Name).Count(); got != 3 {
		t.Errorf("%d addresses are taken for three pods", got)
	}
}

// What an earlier call reserved is found, also where the first candidate has come to have room
// meanwhile.
func TestBindingFindsWhatWasReservedInAnyCandidate(t *testing.T) {
	t.Parallel()
	small, large := newPool(t, "10.1.0.0/24", "10.1.0.1"), newPool(t, "10.1.1.0/24", "10.1.1.1-10.1.1.9")
	l := newLedger(ledger.NewAPI(kube))
	slots := slotsOf([]string{small.Name, large.Name})
	token, address, err := reserve(t.Context(), l, small.Name)
	if err != nil {
		t.Fatal(err)
	}
	if claims, err := l.Bind(t.Context(), existing("found"), slots, noFence); err == nil {
		t.Errorf("got %v: others may wait in the second candidate", claims)
	}
	before, err := l.Bind(t.Context(), existing("found"), slotsOf([]string{large.Name}), noFence)
	if err != nil || before[0].Pool != large.Name {
		t.Fatalf("got %v, %v", before, err)
	}
	if err := l.GiveBack(t.Context(), string(token), []crdv1.Claim{{Pool: small.Name, Address: address}}); err != nil {
		t.Fatal(err)
	}
	after, err := newLedger(ledger.NewAPI(kube)).Bind(t.Context(), existing("found"), slots, noFence)
	if err != nil || after[0] != before[0] {
		t.Errorf("got %v, %v, want %v", after, err, before)
	}
}

func TestAFenceStopsBindingAndItsUndoing(t *testing.T) {
	t.Parallel()
	v4, v6 := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.9"), newPool(t, "fc00:1::/64", "fc00:1::1")
	l := newLedger(ledger.NewAPI(kube))
	if _, _, err := reserve(t.Context(), l, v6.Name); err != nil {
		t.Fatal(err)
	}
	slots := slotsOf([]string{v4.Name}, []string{v6.Name})
	bind := func(pod string, fence func(*ledger.Tx) error) error {
		t.Helper()
		_, err := l.Bind(t.Context(), existing(pod), slots, fence)
		return err
	}
	taken := func(pod string) bool {
		t.Helper()
		_, ok := record(t, v4.Name).ByToken(existing(pod).Token, crdv1.DefaultNIC)
		return ok
	}

	err := bind("undone", noFence)
	if cause(err) != crdv1.ReasonPoolFull || taken("undone") {
		t.Errorf("without a fence: %v; its IPv4 address stays taken: %t", err, taken("undone"))
	}

	errDeposed := errors.New("deposed")
	if err := bind("never", func(*ledger.Tx) error { return errDeposed }); !errors.Is(err, errDeposed) || taken("never") {
		t.Errorf("from the start: %v; an address is taken: %t", err, taken("never"))
	}

	var reserved atomic.Bool
	err = bind("stays", func(tx *ledger.Tx) error {
		if _, ok := tx.Record.ByToken(existing("stays").Token, crdv1.DefaultNIC); ok {
			reserved.Store(true)
			return errDeposed
		}
		return nil
	})
	if !errors.Is(err, errDeposed) || cause(err) != crdv1.ReasonPoolFull || !reserved.Load() || !taken("stays") {
		t.Errorf("at the undoing: %v; its IPv4 address stays taken: %t", err, taken("stays"))
	}

	if err := bind("stays", noFence); cause(err) != crdv1.ReasonPoolFull || !taken("stays") {
		t.Errorf("what an earlier call reserved: %v; it stays taken: %t", err, taken("stays"))
	}
}

func TestWhoComesWaitsBehindThoseWhoWait(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.9")
	l := newLedger(ledger.NewAPI(kube))
	kept := identified("web-0")
	claims, err := l.Reserve(t.Context(), kept, slotsOf([]string{pool.Name}))
	if err != nil {
		t.Fatal(err)
	}
	change(t, pool.Name, func(tx *ledger.Tx) error {
		return errors.Join(tx.Record.Settle(claims[0].Address, kept.Token, 1), tx.Record.Release(claims[0].Address))
	})
	wait := func(on bool) {
		t.Helper()
		change(t, pool.Name, func(tx *ledger.Tx) error { tx.WaitedFor = on; return nil })
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(pool), pool); err != nil || pool.Status.WaitedFor != on {
			t.Fatalf("status.waitedFor is %t (%v), want %t", pool.Status.WaitedFor, err, on)
		}
	}

	wait(true)
	_, _, err = reserve(t.Context(), l, pool.Name)
	want := `reserving from pool "` + pool.Name + `": other pods wait longer for its addresses`
	if err == nil || err.Error() != want || cause(err) != crdv1.ReasonQueued {
		t.Errorf("the refusal is\n  %v\nwant\n  %s", err, want)
	}
	if _, err := l.Reserve(t.Context(), identified("web-0"), slotsOf([]string{pool.Name})); err != nil {
		t.Errorf("an address that is kept waits for nobody: %v", err)
	}
	if _, err := l.Bind(t.Context(), existing("waiting"), slotsOf([]string{pool.Name}), noFence); err != nil {
		t.Errorf("binding one that waits: %v", err)
	}

	wait(false)
	if _, _, err := reserve(t.Context(), l, pool.Name); err != nil {
		t.Error(err)
	}
}

func TestNoCapBoundsBinding(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.9")
	l := ledger.New(ledger.Options{API: ledger.NewAPI(kube), Pools: nothing{}, Caps: ledger.Caps{Namespace: 1}})
	for _, pod := range []string{"a", "b", "c"} {
		if _, err := l.Bind(t.Context(), existing(pod), slotsOf([]string{pool.Name}), noFence); err != nil {
			t.Error(err)
		}
	}
	for i, want := range []string{"", crdv1.ReasonOverCap} { // pods bound late count for nobody
		_, err := l.Reserve(t.Context(), toCome("default"), slotsOf([]string{pool.Name}))
		if cause(err) != want || want == "" && err != nil {
			t.Errorf("pod %d to come: %v, want %q", i, err, want)
		}
	}
	r := record(t, pool.Name)
	address, _ := r.ByToken(existing("a").Token, crdv1.DefaultNIC)
	if v, _ := r.AwaitedAt(address); v != existing("a") {
		t.Errorf("the record says %+v, want %+v", v, existing("a"))
	}
}
