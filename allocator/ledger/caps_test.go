package ledger

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestCapsFollowTheSizeOfThePool(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		caps                     Caps
		size                     uint64
		wantNamespace, wantOwner int
	}{
		"no address":                          {Caps{}, 0, 1, 1},
		"one address":                         {Caps{}, 1, 1, 1},
		"three addresses":                     {Caps{}, 3, 1, 1},
		"half of a small pool":                {Caps{}, 11, 5, 5},
		"an owner's least":                    {Caps{}, 20, 10, 8},
		"half of a pool just below the least": {Caps{}, 126, 63, 31},
		"a /24":                               {Caps{}, 254, 64, 32},
		"the last that 64 is a tenth of":      {Caps{}, 649, 64, 32},
		"a tenth":                             {Caps{}, 1000, 100, 50},
		"a /16":                               {Caps{}, 65534, 2048, 1024},
		"an IPv6 /64":                         {Caps{}, math.MaxInt64, 2048, 1024},
		"a namespace's cap given":             {Caps{Namespace: 10}, 254, 10, 8},
		"more than half of the pool given":    {Caps{Namespace: 200}, 254, 200, 100},
		"an owner's cap given":                {Caps{Owner: 3}, 254, 64, 3},
		"an owner's cap above its namespace's": {
			Caps{Owner: 500}, 254, 64, 64,
		},
		"both given": {Caps{Namespace: 7, Owner: 7}, 254, 7, 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace, owner := c.caps.Of(c.size)
			if namespace != c.wantNamespace || owner != c.wantOwner {
				t.Errorf("got %d and %d, want %d and %d", namespace, owner, c.wantNamespace, c.wantOwner)
			}
		})
	}
}

// newTx returns a transaction on an empty pool of 254 addresses.
func newTx(t *testing.T) *Tx {
	t.Helper()
	var m memory
	m.add("p", "10.1.0.0/24", "10.1.0.1-10.1.0.254")
	s := m.state(t, "p")
	return begin(s, s.Space, nil, unused)
}

func TestACapCountsWhatStandsInTheTransaction(t *testing.T) {
	t.Parallel()
	tx := newTx(t)
	caps := Caps{Namespace: 5, Owner: 3}
	reserve := func(r allocator.Reservation, late bool) error {
		w := attempt{allocationRequest: allocationRequest{reservation: r, caps: caps, late: late}}
		return applyTo(tx, Change{Do: w.do, counts: true})
	}
	mustServe := func(r allocator.Reservation, late bool) allocator.Reservation {
		t.Helper()
		if err := reserve(r, late); err != nil {
			t.Fatal(err)
		}
		return r
	}
	mustRefuse := func(r allocator.Reservation, want string) {
		t.Helper()
		err := reserve(r, false)
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Cause != crdv1.ReasonOverCap || refused.Error() != want {
			t.Fatalf("got\n  %v\nwant\n  %s", err, want)
		}
	}
	const until = " (they settle when the pods are seen and expire when none comes)"
	first := mustServe(toCome("a", "u1"), false)
	mustServe(toCome("a", "u1"), false)
	mustServe(toCome("a", "u1"), false)
	mustRefuse(toCome("a", "u1"), `reserving from pool "p": the pod's controller has 3 addresses reserved for pods that were not seen yet, of at most 3`+until)
	mustServe(toCome("a", ""), false)
	last := mustServe(toCome("a", "u2"), false)
	mustRefuse(toCome("a", "u3"), `reserving from pool "p": namespace "a" has 5 addresses reserved for pods that were not seen yet, of at most 5`+until)
	mustServe(toCome("b", "u4"), false)

	late := toCome("a", "u1")
	late.Pod.Name, late.Pod.UID = "web", "1234"
	late.Token = allocator.LateToken("1234")
	mustServe(late, true)

	g := rollback{allocationRequest: allocationRequest{reservation: first}}
	if err := applyTo(tx, Change{Do: g.do, counts: true}); err != nil {
		t.Fatal(err)
	}
	mustServe(toCome("a", "u1"), false)
	mustRefuse(toCome("a", ""), `reserving from pool "p": namespace "a" has 5 addresses reserved for pods that were not seen yet, of at most 5`+until)

	// What others do in the same transaction counts too.
	address, _ := tx.Record.ByToken(last.Token, "")
	if err := applyTo(tx, Change{Do: func(tx *Tx) error { return tx.Record.Settle(address, last.Token, 1) }}); err != nil {
		t.Fatal(err)
	}
	mustServe(toCome("a", ""), false)
	mustRefuse(toCome("a", ""), `reserving from pool "p": namespace "a" has 5 addresses reserved for pods that were not seen yet, of at most 5`+until)
}

// The record does not keep the controller of what is promised; it is the owner
// of the identity.
func TestAPromisedAddressCountsForItsOwner(t *testing.T) {
	t.Parallel()
	tx := newTx(t)
	serve := func(i int) error {
		r := toCome("a", "u1")
		r.For = allocator.Identity{Namespace: "a", Group: "apps", Kind: "StatefulSet", Name: "web", Pod: fmt.Sprintf("web-%d", i)}
		r.ForUID = "u1"
		w := attempt{allocationRequest: allocationRequest{reservation: r, caps: Caps{Namespace: 10, Owner: 3}}}
		return applyTo(tx, Change{Do: w.do, counts: true})
	}
	for i := range 3 {
		if err := serve(i); err != nil {
			t.Fatal(err)
		}
		address, _ := tx.Record.ByIdentity(allocator.Identity{Namespace: "a", Group: "apps", Kind: "StatefulSet", Name: "web", Pod: fmt.Sprintf("web-%d", i)})
		r, _ := tx.Record.AwaitedAt(address)
		if err := errors.Join(tx.Record.Settle(address, r.Token, 1), tx.Record.Release(address)); err != nil {
			t.Fatal(err)
		}
	}
	tx.unconfirmed = nil
	for i := range 3 { // at kept addresses: no cap stands before them
		if err := serve(i); err != nil {
			t.Fatal(err)
		}
	}
	tx.unconfirmed = nil
	if n := tx.count().byOwner[allocator.OwnerDigest("u1")]; n != 3 {
		t.Errorf("%d addresses are promised to pods of the owner, want 3", n)
	}
	var refused *RefusedError
	if err := serve(3); !errors.As(err, &refused) || refused.Cause != crdv1.ReasonOverCap {
		t.Errorf("a fourth, new address: %v", err)
	}
}

func TestANamespaceKeepsHalfOfAPoolForPodsThatAreNotThere(t *testing.T) {
	t.Parallel()
	var m memory
	m.add("small", "10.1.0.0/24", "10.1.0.1-10.1.0.5")
	s := m.state(t, "small")
	tx := begin(s, s.Space, nil, unused)
	of := func(namespace, pod string) allocator.Reservation {
		r := toCome(namespace, "uid")
		r.For = allocator.Identity{Namespace: namespace, Group: "apps", Kind: "StatefulSet", Name: "web", Pod: pod}
		return r
	}
	take := func(r allocator.Reservation) error {
		w := attempt{allocationRequest: allocationRequest{reservation: r, late: true}}
		return applyTo(tx, Change{Do: w.do, counts: true})
	}
	leave := func(r allocator.Reservation) {
		a, _ := tx.Record.ByToken(r.Token, "")
		err := applyTo(tx, Change{Do: func(tx *Tx) error { return errors.Join(tx.Record.Settle(a, r.Token, 1), tx.Record.Release(a)) }})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, pod := range []string{"web-0", "web-1", "web-2"} {
		r := of("greedy", pod)
		if err := take(r); err != nil {
			t.Fatal(err)
		}
		leave(r)
	}
	err := take(of("greedy", "web-3"))
	if refused := (*RefusedError)(nil); !errors.As(err, &refused) || refused.Cause != crdv1.ReasonOverCap {
		t.Errorf("a fourth of five addresses: %v", err)
	}
	for name, r := range map[string]allocator.Reservation{
		"one that has its address kept":  of("greedy", "web-1"),
		"a pod that keeps nothing":       toCome("greedy", "uid"),
		"another namespace is as before": of("other", "web-0"),
	} {
		if err := take(r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMostVacant(t *testing.T) {
	t.Parallel()
	for size, want := range map[uint64]int{0: 0, 1: 1, 2: 1, 5: 3, 254: 127, 65534: 2048, math.MaxInt64: 2048} {
		if got := mostVacant(size); got != want {
			t.Errorf("of %d addresses %d, want %d", size, got, want)
		}
	}
}
