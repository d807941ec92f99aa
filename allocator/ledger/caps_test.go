package ledger

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"testing"

	"pgregory.net/rapid"

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

// The record does not keep the controller of what is pending admission; it is the owner of the
// identity.
func TestAnAddressPendingAdmissionCountsForItsOwner(t *testing.T) {
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
	tx.counts = nil
	for i := range 3 { // at kept addresses: no cap stands before them
		if err := serve(i); err != nil {
			t.Fatal(err)
		}
	}
	tx.counts = nil
	if n := tx.count().byOwner[podOwner{"a", allocator.OwnerDigest("u1")}]; n != 3 {
		t.Errorf("%d addresses are pending admission for pods of the owner, want 3", n)
	}
	var refused *RefusedError
	if err := serve(3); !errors.As(err, &refused) || refused.Cause != crdv1.ReasonOverCap {
		t.Errorf("a fourth, new address: %v", err)
	}
}

// Whoever makes pods may name any UID in their owner references.
func TestAnOwnersCapIsNotUsedUpByAnotherNamespace(t *testing.T) {
	t.Parallel()
	tx := newTx(t)
	serve := func(namespace string) error {
		w := attempt{allocationRequest: allocationRequest{reservation: toCome(namespace, "victim"), caps: Caps{Namespace: 10, Owner: 3}}}
		return applyTo(tx, Change{Do: w.do, counts: true})
	}
	for _, namespace := range []string{"thief", "thief", "thief", "home", "home", "home"} {
		if err := serve(namespace); err != nil {
			t.Fatalf("namespace %q: %v", namespace, err)
		}
	}
	for _, namespace := range []string{"thief", "home"} {
		if refused := (*RefusedError)(nil); !errors.As(serve(namespace), &refused) || refused.Cause != crdv1.ReasonOverCap {
			t.Errorf("a fourth of namespace %q: %v", namespace, serve(namespace))
		}
	}
}

// kept is one of the ways to keep an address without a running pod.
type kept struct {
	name string
	keep func(r *allocator.Record, a netip.Addr) error
}

var waysToKeep = []kept{
	{"reserved", func(r *allocator.Record, a netip.Addr) error { return r.Reserve(a, toCome("greedy", "uid")) }},
	{"pending admission", func(r *allocator.Record, a netip.Addr) error {
		v := stableOf(a)
		return errors.Join(r.PutBack(a, 1, v.For, ""), r.Release(a), r.Reserve(a, v))
	}},
	{"unassigned", func(r *allocator.Record, a netip.Addr) error {
		return errors.Join(r.PutBack(a, 1, stableOf(a).For, ""), r.Release(a))
	}},
	{"retained and held", func(r *allocator.Record, a netip.Addr) error {
		return errors.Join(r.PutBack(a, 1, stableOf(a).For, ""), r.Hold(a, allocator.Hold{Node: "n"}))
	}},
	{"held", func(r *allocator.Record, a netip.Addr) error {
		return errors.Join(r.PutBack(a, 1, allocator.Identity{}, ""), r.Hold(a, allocator.Hold{Node: "n", Pod: allocator.PodRef{Namespace: "greedy", Name: "web"}}))
	}},
	{"held of a pod that was not seen", func(r *allocator.Record, a netip.Addr) error {
		v := toCome("greedy", "uid")
		return errors.Join(r.Reserve(a, v), r.HoldReserved(a, v.Token, allocator.Hold{Pod: v.Pod}))
	}},
}

func stableOf(a netip.Addr) allocator.Reservation {
	r := toCome("greedy", "uid")
	r.For = allocator.Identity{Namespace: "greedy", Group: "apps", Kind: "StatefulSet", Name: "web", Pod: "web-" + strconv.Itoa(int(a.As4()[3]))}
	return r
}

// Caps that each leave half add up to the whole.
func TestOneCapIsOverAllThatANamespaceKeepsWithoutARunningPod(t *testing.T) {
	t.Parallel()
	var m memory
	m.add("p", "10.1.0.0/24", "10.1.0.1-10.1.0.12") // of which 6 may be kept: one in each way
	s := m.state(t, "p")
	tx := begin(s, s.Space, nil, unused)
	a := netip.MustParseAddr("10.1.0.1")
	for i, way := range waysToKeep {
		for _, late := range []bool{false, true} {
			if err := takes(tx.clone(), "greedy", late); err != nil {
				t.Errorf("with %d addresses kept, late %t: %v", i, late, err)
			}
		}
		if err := way.keep(tx.Record, a); err != nil {
			t.Fatalf("%s: %v", way.name, err)
		}
		tx.forget()
		a = a.Next()
	}
	for name, c := range map[string]struct {
		namespace string
		late      bool
		refused   bool
	}{
		"a pod to come":                      {"greedy", false, true},
		"a pod that exists":                  {"greedy", true, true},
		"a pod to come of another namespace": {"other", false, false},
		"a pod that exists of another":       {"other", true, false},
	} {
		err := takes(tx.clone(), c.namespace, c.late)
		if refused := (*RefusedError)(nil); errors.As(err, &refused) != c.refused || c.refused && refused.Cause != crdv1.ReasonOverCap {
			t.Errorf("%s: %v, want it refused: %t", name, err, c.refused)
		}
	}
}

// What neither a pod nor anybody else stands behind is nobody's.
func TestWhatIsNotCountedAsKept(t *testing.T) {
	t.Parallel()
	r := &allocator.Record{}
	a := netip.MustParseAddr("10.1.0.1")
	late := toCome("greedy", "uid")
	late.Pod.Name, late.Pod.UID = "web", "1234"
	for _, err := range []error{
		r.PutBack(a, 1, allocator.Identity{}, ""),
		r.PutBack(a.Next(), 1, stableOf(a).For, ""),
		r.Reserve(a.Next().Next(), late),
		r.PutBack(a.Prev(), 1, allocator.Identity{}, ""), r.Hold(a.Prev(), allocator.Hold{}), // as older controllers wrote it
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if kept := KeptByNamespace(r); len(kept) != 0 {
		t.Errorf("kept: %v", kept)
	}
}

func takes(tx *Tx, namespace string, late bool) error {
	r := toCome(namespace, "uid")
	if late {
		r.Pod.Name, r.Pod.UID = "web", "1234"
		r.Token = allocator.LateToken("1234")
	}
	w := attempt{allocationRequest: allocationRequest{reservation: r, late: late}}
	return applyTo(tx, Change{Do: w.do, counts: true})
}

// clone returns a transaction on the record as it is now.
func (tx *Tx) clone() *Tx {
	c := *tx
	c.Record = tx.Record.Clone()
	c.forget()
	return &c
}

// What is counted along is what a count from the beginning would say.
func TestCountingAlongIsCountingAnew(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var m memory
		m.add("p", "10.1.0.0/24", "10.1.0.1-10.1.0.40")
		s, err := Read(m.pools["p"])
		if err != nil {
			t.Fatal(err)
		}
		tx := begin(s, s.Space, nil, unused)
		a := netip.MustParseAddr("10.1.0.1")
		for range rapid.IntRange(0, 8).Draw(t, "kept") {
			if err := rapid.SampledFrom(waysToKeep).Draw(t, "way").keep(tx.Record, a); err != nil {
				t.Fatal(err)
			}
			a = a.Next()
		}
		tx.count()
		var given []allocator.Reservation
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			if len(given) > 0 && rapid.IntRange(0, 2).Draw(t, "back") == 0 {
				g := rollback{allocationRequest: allocationRequest{reservation: rapid.SampledFrom(given).Draw(t, "which")}}
				if err := applyTo(tx, Change{Do: g.do, counts: true}); err != nil {
					t.Fatal(err)
				}
				continue
			}
			r := stableOf(netip.AddrFrom4([4]byte{10, 1, 0, rapid.ByteRange(1, 9).Draw(t, "pod")}))
			if late := rapid.Bool().Draw(t, "late"); late {
				r.Pod.Name, r.Pod.UID = r.For.Pod, "1234"+r.For.Pod
				r.Token = allocator.LateToken(r.Pod.UID)
			}
			w := attempt{allocationRequest: allocationRequest{reservation: r, late: r.LateBound()}}
			if applyTo(tx, Change{Do: w.do, counts: true}) == nil {
				given = append(given, r)
			}
		}
		along := tx.counts
		tx.forget()
		for what, pair := range map[string][2]int{
			"unconfirmed": {along.unconfirmed["greedy"], tx.count().unconfirmed["greedy"]},
			"kept":        {along.kept["greedy"], tx.count().kept["greedy"]},
			"of its owner": {
				along.byOwner[podOwner{"greedy", allocator.OwnerDigest("uid")}], tx.count().byOwner[podOwner{"greedy", allocator.OwnerDigest("uid")}],
			},
		} {
			if pair[0] != pair[1] {
				t.Fatalf("%s: %d counted along, %d counted anew", what, pair[0], pair[1])
			}
		}
	})
}

func TestMostKept(t *testing.T) {
	t.Parallel()
	for size, want := range map[uint64]int{0: 1, 1: 1, 2: 1, 5: 3, 254: 127, 65534: 2048, math.MaxInt64: 2048} {
		if got := (Caps{}).Kept(size); got != want {
			t.Errorf("of %d addresses %d, want %d", size, got, want)
		}
	}
	if got := (Caps{Namespace: 200}).Kept(254); got != 200 {
		t.Errorf("where 200 may be reserved %d may be kept", got)
	}
	for size := range uint64(5000) { // the caps of reservations stay below it
		if namespace, owner := (Caps{}).Of(size); namespace > (Caps{}).Kept(size) || owner > namespace {
			t.Fatalf("of %d addresses %d may be reserved, for an owner %d, and %d kept", size, namespace, owner, (Caps{}).Kept(size))
		}
	}
}
