package ledger

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

const secondNIC = "net1"

// twoNICs are slots of two NICs that one pool serves.
func twoNICs(pool string) []choice.Slot {
	return []choice.Slot{
		{NIC: crdv1.DefaultNIC, Family: choice.IPv4, Pools: []string{pool}},
		{NIC: secondNIC, Family: choice.IPv4, Pools: []string{pool}},
	}
}

// reservedLines returns what the API server has of the reservations of a pool.
func reservedLines(t *testing.T, pool string) []string {
	t.Helper()
	var p crdv1.SpiderIPPool
	if err := kube.Get(t.Context(), client.ObjectKey{Name: pool}, &p); err != nil {
		t.Fatal(err)
	}
	return p.Status.Reserved
}

// nicLines are the lines of two addresses reserved for a pod with two NICs.
func nicLines(claims []crdv1.Claim, token allocator.Token, pod string) []string {
	lines := []string{
		fmt.Sprintf("%s %s %s", claims[0].Address, token, pod),
		fmt.Sprintf("%s %s %s nic:%s", claims[1].Address, token, pod, secondNIC),
	}
	if claims[1].Address.Less(claims[0].Address) {
		slices.Reverse(lines)
	}
	return lines
}

// atOnceThrough calls serve through each of two ledgers at once, and returns the claims that both
// were given, each NIC its own.
func atOnceThrough(t *testing.T, serve func(*ledger.Ledger) ([]crdv1.Claim, error)) []crdv1.Claim {
	t.Helper()
	var got [2][]crdv1.Claim
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = serve(newLedger(ledger.NewAPI(kube))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() || !slices.Equal(got[0], got[1]) {
		t.Fatalf("one pod was given %v and %v", got[0], got[1])
	}
	claims := got[0]
	if len(claims) != 2 || claims[0].NIC != crdv1.DefaultNIC || claims[1].NIC != secondNIC || claims[0].Address == claims[1].Address {
		t.Fatalf("got %v, want one address of its own for each NIC", claims)
	}
	return claims
}

func TestOnePoolServesTwoNICsOfAPod(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.9").Name
	r := toCome("default")
	claims := atOnceThrough(t, func(l *ledger.Ledger) ([]crdv1.Claim, error) {
		return l.Reserve(t.Context(), r, twoNICs(pool))
	})
	if got, want := reservedLines(t, pool), nicLines(claims, r.Token, "default"); !slices.Equal(got, want) {
		t.Errorf("the record says\n  %q\nwant\n  %q", got, want)
	}
	settle := func(c crdv1.Claim) {
		t.Helper()
		change(t, pool, func(tx *ledger.Tx) error { return tx.Record.Settle(c.Address, r.Token, 1) })
	}
	settle(claims[1])
	now := record(t, pool)
	if a, ok := now.ByToken(r.Token, crdv1.DefaultNIC); !ok || a != claims[0].Address || now.State(claims[1].Address) != allocator.StateSettled {
		t.Errorf("one of two is settled, and the record says %+v", now.Counts())
	}
	settle(claims[0])
	for _, c := range claims {
		if got := record(t, pool).State(c.Address); got != allocator.StateSettled {
			t.Errorf("%s of NIC %s is %s, want it settled", c.Address, c.NIC, got)
		}
	}
	if lines := reservedLines(t, pool); len(lines) > 0 {
		t.Errorf("reserved are still %q", lines)
	}
	change(t, pool, func(tx *ledger.Tx) error { return tx.Record.Release(claims[0].Address) })
	if got := record(t, pool).Counts(); got.Settled != 1 {
		t.Errorf("when one of the two came free the record says %+v", got)
	}
}

func TestAReservationOfTwoNICsIsGivenBackWhole(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.9").Name
	r, other := toCome("default"), toCome("default")
	l := newLedger(ledger.NewAPI(kube))
	var claims []crdv1.Claim
	for _, r := range []allocator.Reservation{other, r} {
		var err error
		if claims, err = l.Reserve(t.Context(), r, twoNICs(pool)); err != nil {
			t.Fatal(err)
		}
	}
	if err := newLedger(ledger.NewAPI(kube)).GiveBack(t.Context(), string(r.Token), claims); err != nil {
		t.Fatal(err)
	}
	now := record(t, pool)
	if mine, theirs := now.AllByToken(r.Token), now.AllByToken(other.Token); len(mine) > 0 || len(theirs) != 2 {
		t.Errorf("reserved are %v for the pod, which gave all back, and %v for another, which gave nothing back", mine, theirs)
	}
}

func TestAPodWithTwoNICsIsBoundLateToTwoAddressesOfOnePool(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.9").Name
	bind := func(l *ledger.Ledger) ([]crdv1.Claim, error) {
		return l.Bind(t.Context(), existing("two"), twoNICs(pool), noFence)
	}
	claims := atOnceThrough(t, bind)
	want := nicLines(claims, allocator.LateToken("uid-of-two"), "default/two uid-of-two")
	if got := reservedLines(t, pool); !slices.Equal(got, want) {
		t.Errorf("the record says\n  %q\nwant\n  %q", got, want)
	}
	again, err := bind(newLedger(ledger.NewAPI(kube)))
	if err != nil || !slices.Equal(again, claims) {
		t.Errorf("who binds the pod next finds %v, %v, want %v", again, err, claims)
	}
}

func TestTwoNICsGetTheirAddressesOrNone(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(l *ledger.Ledger, pool string) error{
		"a pod to come": func(l *ledger.Ledger, pool string) error {
			_, err := l.Reserve(t.Context(), toCome("default"), twoNICs(pool))
			return err
		},
		"a pod that waits": func(l *ledger.Ledger, pool string) error {
			_, err := l.Bind(t.Context(), existing("waiting"), twoNICs(pool), noFence)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.2").Name
			l := newLedger(ledger.NewAPI(kube))
			if _, _, err := reserve(t.Context(), l, pool); err != nil {
				t.Fatal(err)
			}
			err := serve(l, pool)
			var exhausted *ledger.ExhaustedError
			if !errors.As(err, &exhausted) || cause(err) != crdv1.ReasonPoolFull || len(exhausted.Refusals) != 1 {
				t.Errorf("one address is left for two NICs: %v", err)
			}
			if lines := reservedLines(t, pool); len(lines) != 1 {
				t.Errorf("reserved are %q, want only what was before", lines)
			}
		})
	}
}

// What a call found reserved was given to the pod by an earlier one, whose answer may be on its
// way: that stays where the other NIC gets nothing.
func TestWhatOneNICHadStaysWhereTheOtherGetsNothing(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1").Name
	l := newLedger(ledger.NewAPI(kube))
	if _, err := l.Bind(t.Context(), existing("two"), twoNICs(pool)[:1], noFence); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Bind(t.Context(), existing("two"), twoNICs(pool), noFence); cause(err) != crdv1.ReasonPoolFull {
		t.Errorf("binding both: %v", err)
	}
	if _, ok := record(t, pool).ByToken(existing("two").Token, crdv1.DefaultNIC); !ok {
		t.Error("the address of the NIC that had one is free")
	}
}
