package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// identified is the reservation of a pod to come with a stable identity.
func identified(pod string) allocator.Reservation {
	r := toCome("default")
	r.For = allocator.Identity{Namespace: "default", Group: "apps", Kind: "StatefulSet", Name: "web", Pod: pod}
	r.ForUID = "4b2e5f0c"
	return r
}

func TestTwoLedgersGiveAnIdentityItsAddressToOneAdmissionAtATime(t *testing.T) {
	t.Parallel()
	a := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.4")
	b := newPool(t, "10.1.1.0/24", "10.1.1.1-10.1.1.254")
	const identities, rounds = 8, 4
	ledgers := []*ledger.Ledger{newLedger(ledger.NewAPI(kube)), newLedger(ledger.NewAPI(kube))}
	of := map[string]crdv1.Claim{} // pod -> its claim, the same in each round
	for round := range rounds {
		var mu sync.Mutex
		served := map[string][]crdv1.Claim{} // pod -> claims of this round
		tokens := map[string]allocator.Token{}
		var wg sync.WaitGroup
		for i := range 4 * identities { // each pod four times, twice by each ledger
			pod := fmt.Sprintf("web-%d", i%identities)
			r := identified(pod)
			wg.Go(func() {
				claims, err := ledgers[i/identities%2].Reserve(t.Context(), r, slotsOf([]string{a.Name, b.Name}))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					served[pod] = append(served[pod], claims...)
					tokens[pod] = r.Token
				case cause(err) != crdv1.ReasonPredecessor:
					t.Errorf("%s was refused: %v", pod, err)
				}
			})
		}
		wg.Wait()
		given := map[netip.Addr]string{} // address -> pod
		for i := range identities {
			pod := fmt.Sprintf("web-%d", i)
			if len(served[pod]) != 1 {
				t.Fatalf("round %d: %d admissions of %s were served, want 1: %v", round, len(served[pod]), pod, served[pod])
			}
			claim := served[pod][0]
			if other, ok := given[claim.Address]; ok {
				t.Errorf("round %d: %s was given to %s and to %s", round, claim.Address, other, pod)
			}
			given[claim.Address] = pod
			if was, ok := of[pod]; ok && was != claim {
				t.Errorf("round %d: %s was given %v, it had %v", round, pod, claim, was)
			}
			of[pod] = claim
			change(t, claim.Pool, func(tx *ledger.Tx) error { // the pod comes and goes
				return errors.Join(tx.Record.Settle(claim.Address, tokens[pod], 1), tx.Record.Release(claim.Address))
			})
		}
	}
}

func TestGivingBackLeavesAnIdentityItsAddress(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.9")
	l := newLedger(ledger.NewAPI(kube))
	address := netip.MustParseAddr("10.1.0.1")
	take := func(r allocator.Reservation) []crdv1.Claim {
		t.Helper()
		claims, err := l.Reserve(t.Context(), r, slotsOf([]string{pool.Name}))
		if err != nil || claims[0].Address != address {
			t.Fatalf("got %v, %v, want %s", claims, err, address)
		}
		return claims
	}
	first, second := identified("web-0"), identified("web-0")
	take(first)
	change(t, pool.Name, func(tx *ledger.Tx) error {
		return errors.Join(tx.Record.Settle(address, first.Token, 1), tx.Record.Release(address))
	})
	if err := l.GiveBack(t.Context(), string(second.Token), take(second)); err != nil {
		t.Fatal(err)
	}
	if v, ok := record(t, pool.Name).RetainedAt(address); !ok || !v.Unassigned() {
		t.Errorf("the record says %+v, want it kept and unassigned", v)
	}
	if _, other, err := reserve(t.Context(), l, pool.Name); err != nil || other == address {
		t.Errorf("another pod got %s, %v", other, err)
	}
	take(identified("web-0"))
}

func TestAnIdentityWithOneCandidateCostsNoRead(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.9")
	object, err := ledger.NewAPI(kube).Get(t.Context(), pool.Name)
	if err != nil {
		t.Fatal(err)
	}
	api := newFaulty()
	l := ledger.New(ledger.Options{API: api, Pools: stale{object}})
	if _, err := l.Reserve(t.Context(), identified("web-0"), slotsOf([]string{pool.Name})); err != nil {
		t.Fatal(err)
	}
	if reads, writes := api.reads.Load(), api.writes.Load(); reads != 0 || writes != 1 {
		t.Errorf("%d reads and %d writes, want none and 1", reads, writes)
	}
}

// The watch may be late: that no candidate keeps an address for the identity is confirmed before a
// new one is taken.
func TestThatNoneKeepsTheAddressIsConfirmed(t *testing.T) {
	t.Parallel()
	a, b := newPool(t, "10.1.0.0/24", "10.1.0.1"), newPool(t, "10.1.1.0/24", "10.1.1.1")
	before, err := ledger.NewAPI(kube).Get(t.Context(), b.Name)
	if err != nil {
		t.Fatal(err)
	}
	r := identified("web-0")
	claims, err := newLedger(ledger.NewAPI(kube)).Reserve(t.Context(), r, slotsOf([]string{b.Name}))
	if err != nil {
		t.Fatal(err)
	}
	hold := allocator.Hold{Node: "node1", Since: time.Unix(1, 0)}
	change(t, b.Name, func(tx *ledger.Tx) error { return tx.Record.HoldReserved(claims[0].Address, r.Token, hold) })

	l := ledger.New(ledger.Options{API: ledger.NewAPI(kube), Pools: stale{before}})
	_, err = l.Reserve(context.Background(), identified("web-0"), slotsOf([]string{a.Name, b.Name}))
	if cause(err) != crdv1.ReasonAddressHeld {
		t.Errorf("got %v, want %s", err, crdv1.ReasonAddressHeld)
	}
	if got := record(t, a.Name).Count(); got != 0 {
		t.Errorf("%d addresses of the first candidate are taken, want none", got)
	}
}
