package ledger

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go4.org/netipx"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

var web0 = allocator.Identity{Namespace: "default", Group: "apps", Kind: "StatefulSet", Name: "web", Pod: "web-0"}

func identified(i allocator.Identity) allocator.Reservation {
	r := toCome(i.Namespace, "")
	r.For, r.ForUID = i, "uid-of-"+i.Name
	return r
}

func TestAKeptAddressServesItsIdentityAlone(t *testing.T) {
	t.Parallel()
	const kept = "10.1.0.1"
	address := netip.MustParseAddr(kept)
	before := identified(web0)
	unassigned := func(tx *Tx) error {
		return errors.Join(tx.Record.Reserve(address, before), tx.Record.Settle(address, before.Token, 1), tx.Record.Release(address))
	}
	for name, c := range map[string]struct {
		prepare    func(*Tx) error
		used       string
		wantCause  string // empty where it is served
		wantReason string
	}{
		"unassigned": {prepare: unassigned},
		"unassigned in a pool that is waited for": {prepare: func(tx *Tx) error {
			tx.WaitedFor = true
			return unassigned(tx)
		}},
		"unassigned while the namespace is over its cap": {prepare: func(tx *Tx) error {
			err := unassigned(tx)
			for range 64 {
				a, _ := tx.Pick()
				err = errors.Join(err, tx.Record.Reserve(a, toCome("default", "")))
			}
			return err
		}},
		"reserved by an earlier admission": {
			prepare:   func(tx *Tx) error { return tx.Record.Reserve(address, before) },
			wantCause: crdv1.ReasonPredecessor, wantReason: "the pod's address 10.1.0.1 was given to an earlier admission of the pod, which may still bring it",
		},
		"pending admission of an earlier admission": {
			prepare:   func(tx *Tx) error { return errors.Join(unassigned(tx), tx.Record.Reserve(address, identified(web0))) },
			wantCause: crdv1.ReasonPredecessor, wantReason: "the pod's address 10.1.0.1 was given to an earlier admission of the pod, which may still bring it",
		},
		"in use by the predecessor": {
			prepare: func(tx *Tx) error {
				return errors.Join(tx.Record.Reserve(address, before), tx.Record.Settle(address, before.Token, 1))
			},
			wantCause: crdv1.ReasonPredecessor, wantReason: "the pod's address 10.1.0.1 is still its predecessor's, whose end was not seen yet",
		},
		"held": {
			prepare: func(tx *Tx) error {
				h := allocator.Hold{Node: "node1", Since: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)}
				return errors.Join(tx.Record.Reserve(address, before), tx.Record.HoldReserved(address, before.Token, h))
			},
			wantCause: crdv1.ReasonAddressHeld, wantReason: `the pod's address 10.1.0.1 is held since 2026-11-23T10:00:00Z: no kubelet confirmed the end of its predecessor on node "node1"`,
		},
		"unassigned in a pool that is not ready": {
			prepare: func(tx *Tx) error {
				tx.Pool.Generation++
				return unassigned(tx)
			},
			wantCause: crdv1.ReasonPoolNotReady, wantReason: "the pod's address 10.1.0.1 is kept in it, and it is not Ready yet since its last change",
		},
		"unassigned and never to be handed out any more": {
			prepare: func(tx *Tx) error {
				tx.free = tx.free.Without([]netipx.IPRange{netipx.IPRangeFrom(address, address)})
				return unassigned(tx)
			},
			wantCause:  crdv1.ReasonWithdrawn,
			wantReason: "the pod's address 10.1.0.1 may not be handed out any more (spec.ips, spec.excludeIPs, a router or a SpiderReservedIP); it is given another",
		},
		"unassigned and used by something else": {
			prepare: unassigned, used: kept,
			wantCause: crdv1.ReasonPredecessor, wantReason: "the pod's address 10.1.0.1 is still used by a pod or a node",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx := newTx(t)
			tx.used = func(a netip.Addr) bool { return a.String() == c.used }
			if err := c.prepare(tx); err != nil {
				t.Fatal(err)
			}
			count := tx.Record.Count()
			w := attempt{allocationRequest: allocationRequest{reservation: identified(web0)}}
			err := w.do(tx)
			if tx.Record.Count() != count {
				t.Errorf("%d addresses are taken, %d were", tx.Record.Count(), count)
			}
			if c.wantCause == "" {
				if v, ok := tx.Record.RetainedAt(address); err != nil || w.address != address || !w.fresh || !ok || !v.PendingAdmission() {
					t.Errorf("got %s, %v, the record says %v", w.address, err, v)
				}
				return
			}
			var refused *RefusedError
			if !errors.As(err, &refused) || refused.Cause != c.wantCause || refused.Reason != c.wantReason || !refused.final {
				t.Errorf("got %+v, want %s, final:\n  %s", err, c.wantCause, c.wantReason)
			}
		})
	}
}

func TestTheKeptAddressGoesBeforeTheFirstCandidate(t *testing.T) {
	t.Parallel()
	keep := func(m *memory, pool, address string, hold bool) {
		m.edit(pool, func(p *crdv1.SpiderIPPool) {
			a, r, v := netip.MustParseAddr(address), allocator.Record{}, identified(web0)
			err := r.Reserve(a, v)
			if hold {
				err = errors.Join(err, r.HoldReserved(a, v.Token, allocator.Hold{Since: time.Unix(1, 0)}))
			} else {
				err = errors.Join(err, r.Settle(a, v.Token, 1), r.Release(a))
			}
			if err != nil {
				t.Fatal(err)
			}
			tx := Tx{State: &State{}, Record: &r, Conditions: p.Status.Conditions}
			p.Status = tx.status(r.Encode())
		})
	}
	for name, c := range map[string]struct {
		prepare func(*memory)
		want    string // address, or what the error has
	}{
		"kept by none": {func(*memory) {}, "10.1.0.1"},
		"kept by the second": {
			func(m *memory) { keep(m, "b", "10.1.1.7", false) }, "10.1.1.7",
		},
		"kept by both": {
			func(m *memory) { keep(m, "a", "10.1.0.7", false); keep(m, "b", "10.1.1.7", false) }, "10.1.0.7",
		},
		"kept by the second, the first being unreadable": {
			func(m *memory) {
				m.edit("a", func(p *crdv1.SpiderIPPool) { p.Status.Settled = []string{"?"} })
				keep(m, "b", "10.1.1.7", false)
			}, "10.1.1.7",
		},
		"held by the second": {
			func(m *memory) { keep(m, "b", "10.1.1.7", true) },
			`reserving from pool "b": the pod's address 10.1.1.7 is held since 1970-01-01T00:00:01Z: no kubelet confirmed the end of its predecessor on an unknown node`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m memory
			m.add("a", "10.1.0.0/24", "10.1.0.1-10.1.0.254")
			m.add("b", "10.1.1.0/24", "10.1.1.1-10.1.1.254")
			c.prepare(&m)
			dry := NewDryRun(Options{Pools: shown{&m}})
			l := New(Options{API: &m, Pools: &m})
			for _, reserve := range []func(context.Context, allocator.Reservation, []choice.Slot) ([]crdv1.Claim, error){dry.Reserve, l.Reserve} {
				claims, err := reserve(t.Context(), identified(web0), slots([]string{"a", "b"}))
				var got string
				if err != nil {
					got = err.Error()
				} else {
					got = claims[0].Address.String()
				}
				if got != c.want {
					t.Errorf("got\n  %s\nwant\n  %s", got, c.want)
				}
			}
		})
	}
}

// shown is a watch that is never late.
type shown struct{ m *memory }

func (s shown) Pool(name string) (*crdv1.SpiderIPPool, bool) {
	p, err := s.m.Get(context.Background(), name)
	return p, err == nil
}

func TestAFullPoolTellsWhatUsesIt(t *testing.T) {
	t.Parallel()
	tx := newTx(t)
	tx.used = func(a netip.Addr) bool { return a.As4()[3] <= 4 }
	never := netipx.IPRangeFrom(netip.MustParseAddr("10.1.0.6"), netip.MustParseAddr("10.1.0.254"))
	tx.free = tx.Space.Without([]netipx.IPRange{never})
	first := attempt{allocationRequest: allocationRequest{reservation: toCome("default", "")}}
	if err := first.do(tx); err != nil || first.address.String() != "10.1.0.5" {
		t.Fatalf("got %s, %v, want the one that nothing uses", first.address, err)
	}
	second := attempt{allocationRequest: allocationRequest{reservation: toCome("default", "")}}
	err := second.do(tx)
	const want = `reserving from pool "p": all 254 addresses are not handed out or taken (1 reserved until its pod comes or it expires, 249 named by SpiderReservedIPs, 4 used by something else in the cluster, a pod or a node)`
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Cause != crdv1.ReasonPoolFull || err.Error() != want {
		t.Errorf("the refusal is\n  %v\nwant\n  %s", err, want)
	}
	// The reason is counted anew when an address came back.
	g := rollback{allocationRequest: first.allocationRequest}
	if err := applyTo(tx, Change{Do: g.do, counts: true}); err != nil {
		t.Fatal(err)
	}
	tx.free = tx.Space.Without([]netipx.IPRange{never, netipx.IPRangeFrom(first.address, first.address)})
	if err := second.do(tx); err == nil || !strings.Contains(err.Error(), "taken (250 named") {
		t.Errorf("the refusal is %v", err)
	}
}

func TestSlotsAreCheckedBeforeAnythingIsReserved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		slots []choice.Slot
		want  string
	}{
		"a pool in two slots of a NIC": {slots([]string{"a"}, []string{"b", "a"}), `pool "a" is a candidate of two families of NIC eth0`},
		"a slot without candidates":    {slots([]string{"a"}, nil), "IPv6 of NIC eth0 has no candidate pool"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m memory
			m.add("a", "10.1.0.0/24", "10.1.0.1")
			m.add("b", "10.1.1.0/24", "10.1.1.1")
			o := Options{API: &m, Pools: &m}
			_, err := New(o).Reserve(t.Context(), toCome("default", ""), c.slots)
			_, dry := NewDryRun(o).Reserve(t.Context(), toCome("default", ""), c.slots)
			for _, err := range []error{err, dry} {
				if err == nil || err.Error() != c.want {
					t.Errorf("got %v, want %s", err, c.want)
				}
			}
			if m.writes > 0 {
				t.Error("something was written")
			}
		})
	}
}

func TestBindWantsAPodThatExists(t *testing.T) {
	t.Parallel()
	var m memory
	m.add("p", "10.1.0.0/24", "10.1.0.1")
	_, err := New(Options{API: &m, Pools: &m}).Bind(t.Context(), toCome("default", ""), slots([]string{"p"}), nil)
	if err == nil || m.writes > 0 {
		t.Errorf("got %v after %d writes", err, m.writes)
	}
}

func TestWhoIsAskedForWhat(t *testing.T) {
	t.Parallel()
	var named allocationRequest
	named.reservation.For.Name = "web"
	late := named
	late.late = true
	for name, c := range map[string]struct {
		order allocationRequest
		pools []string
		want  []candidate
	}{
		"a pod to come":                     {allocationRequest{}, []string{"a", "b"}, []candidate{{"a", false}, {"b", false}}},
		"one with a stable identity":        {named, []string{"a", "b"}, []candidate{{"a", true}, {"b", true}, {"a", false}, {"b", false}}},
		"one that is bound late":            {late, []string{"a", "b"}, []candidate{{"a", true}, {"b", true}, {"a", false}}},
		"one that is bound late, one pool":  {late, []string{"a"}, []candidate{{"a", false}}},
		"a stable identity in but one pool": {named, []string{"a"}, []candidate{{"a", false}}},
	} {
		if got := c.order.candidates(c.pools); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// One pool serves two NICs of a pod, with one token, and gives both back.
func TestOnePoolServesTwoNICs(t *testing.T) {
	t.Parallel()
	var m memory
	m.add("a", "10.1.0.0/24", "10.1.0.1-10.1.0.2")
	l := New(Options{API: &m, Pools: &m, Caps: Caps{Namespace: 9, Owner: 9}})
	both := []choice.Slot{{NIC: "eth0", Pools: []string{"a"}}, {NIC: "net1", Pools: []string{"a"}}}
	r := toCome("default", "")
	claims, err := l.Reserve(t.Context(), r, both)
	if err != nil || len(claims) != 2 || claims[0].Address == claims[1].Address || claims[0].NIC != "eth0" || claims[1].NIC != "net1" {
		t.Fatalf("got %v, %v", claims, err)
	}
	again, err := l.Reserve(t.Context(), r, both)
	if err != nil || again[0] != claims[0] || again[1] != claims[1] {
		t.Errorf("asked again: %v, %v, want %v", again, err, claims)
	}
	if _, err := l.Reserve(t.Context(), toCome("default", ""), both[:1]); err == nil {
		t.Error("a third address of two was given")
	}
	if err := l.GiveBack(t.Context(), string(r.Token), claims[:1]); err != nil || m.state(t, "a").Record.Count() != 0 {
		t.Errorf("given back: %v, left %d", err, m.state(t, "a").Record.Count())
	}
	// Where the second NIC gets nothing, the first has nothing either (I9).
	m.add("b", "10.2.0.0/24", "10.2.0.1")
	one := []choice.Slot{{NIC: "eth0", Pools: []string{"b"}}, {NIC: "net1", Pools: []string{"b"}}}
	if _, err := l.Reserve(t.Context(), toCome("default", ""), one); err == nil || m.state(t, "b").Record.Count() != 0 {
		t.Errorf("got %v, left %d", err, m.state(t, "b").Record.Count())
	}
}
