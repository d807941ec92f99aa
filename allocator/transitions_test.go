package allocator_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spidernet.io/spiderpool/allocator"
)

// The ways of one address through its life, each step with the text that it leaves. The machine
// goes all ways; these are to be read.
func TestAnAddressGoesTheWaysOfThePicture(t *testing.T) {
	t.Parallel()
	a := ip("70")
	own := statefulSet("web-0")
	plain := allocator.Reservation{Token: tokenA, Pod: allocator.PodRef{Namespace: "default"}}
	stable := plain
	stable.For, stable.ForUID, stable.Owner, stable.Grace = own, "5e1f", "rqkmtdcs", time.Hour
	third := stable
	third.ForUID = "77aa"
	late := allocator.Reservation{Token: tokenB, Pod: allocator.PodRef{Namespace: "default", Name: "web-0", UID: "77aa"}, For: own}
	hold := allocator.Hold{Node: "node1", Since: noon, Grace: time.Hour}

	reserve := func(v allocator.Reservation) func(*allocator.Record) error {
		return func(r *allocator.Record) error { return r.Reserve(a, v) }
	}
	settle := func(tok allocator.Token) func(*allocator.Record) error {
		return func(r *allocator.Record) error { return r.Settle(a, tok, 7) }
	}
	giveBack := func(tok allocator.Token) func(*allocator.Record) error {
		return func(r *allocator.Record) error { return r.GiveBack(a, tok) }
	}
	holdReserved := func(tok allocator.Token) func(*allocator.Record) error {
		return func(r *allocator.Record) error { return r.HoldReserved(a, tok, hold) }
	}
	putBack := func(i allocator.Identity, uid string) func(*allocator.Record) error {
		return func(r *allocator.Record) error { return r.PutBack(a, 8, i, uid) }
	}
	release := func(r *allocator.Record) error { return r.Release(a) }
	holdIt := func(r *allocator.Record) error { return r.Hold(a, hold) }
	unhold := func(r *allocator.Record) error { return r.Unhold(a) }
	free := func(r *allocator.Record) error { return r.FreeRetained(a, own) }
	nothing := func(*allocator.Record) error { return nil }

	const (
		line     = "default/StatefulSet.apps/web 5e1f: -0=172.18.41.70"
		reserved = "172.18.41.70 aaaaaaaaaaaaaaaa default"
		words    = " by:rqkmtdcs grace:3600s for:StatefulSet.apps/web/web-0 of:5e1f"
		lateText = "+bbbbbbbbbbbbbbbb/77aa"
		keptHeld = "@node1@2026-11-23T12:00:00Z~3600s"
	)
	type step struct {
		what string
		do   func(*allocator.Record) error
		want allocator.Encoded // less the mark
	}
	empty := allocator.Encoded{}
	settled := allocator.Encoded{Settled: []string{"172.18.41.70"}}
	kept := func(use string) allocator.Encoded { return allocator.Encoded{Retained: []string{line + use}} }
	for name, way := range map[string][]step{
		"a pod like any other": {
			{"reserved", reserve(plain), allocator.Encoded{Reserved: []string{reserved}}},
			{"and again", reserve(plain), allocator.Encoded{Reserved: []string{reserved}}},
			{"settled", settle(tokenA), settled},
			{"and again", settle(tokenA), settled},
			{"released", release, empty},
		},
		"a pod that never came": {
			{"reserved", reserve(plain), allocator.Encoded{Reserved: []string{reserved}}},
			{"given back", giveBack(tokenA), empty},
		},
		"a pod that vanished": {
			{"put back", putBack(nobody, ""), settled},
			{"held", holdIt, allocator.Encoded{Held: []string{"172.18.41.70 node1 2026-11-23T12:00:00Z 3600s"}}},
			{"freed", unhold, empty},
		},
		"a pod that vanished before it was settled": {
			{"reserved", reserve(plain), allocator.Encoded{Reserved: []string{reserved}}},
			{"held", holdReserved(tokenA), allocator.Encoded{Held: []string{"172.18.41.70 node1 2026-11-23T12:00:00Z 3600s"}}},
			{"freed", unhold, empty},
		},
		"a pod whose reservation another's claim overrides": {
			{"reserved", reserve(stable), allocator.Encoded{Reserved: []string{reserved + words}}},
			{"put back", putBack(nobody, ""), settled},
			{"its token and identity are free again", func(r *allocator.Record) error { return r.Clone().Reserve(ip("71"), stable) }, settled},
		},
		"a stable identity": {
			{"reserved", reserve(stable), allocator.Encoded{Reserved: []string{reserved + words}}},
			{"retained", settle(tokenA), kept("*")},
			{"and again", settle(tokenA), kept("*")},
			{"released", release, kept("")},
			{"pending admission of the next", reserve(stable), kept("+aaaaaaaaaaaaaaaa~3600s")},
			{"and again", reserve(stable), kept("+aaaaaaaaaaaaaaaa~3600s")},
			{"in use again", settle(tokenA), kept("*")},
			{"held", holdIt, kept(keptHeld)},
			{"unassigned", unhold, kept("")},
			{"freed", free, empty},
		},
		"a stable identity whose pod never came": {
			{"reserved", reserve(stable), allocator.Encoded{Reserved: []string{reserved + words}}},
			{"given back", giveBack(tokenA), empty},
			{"reserved once more", reserve(stable), allocator.Encoded{Reserved: []string{reserved + words}}},
		},
		"a stable identity whose pod vanished unseen": {
			{"reserved", reserve(stable), allocator.Encoded{Reserved: []string{reserved + words}}},
			{"retained and held", holdReserved(tokenA), kept(keptHeld)},
			{"unassigned", unhold, kept("")},
			{"pending admission", reserve(late), kept(lateText)},
			{"held", holdReserved(late.Token), kept(keptHeld)},
		},
		"a stable identity, bound late": {
			{"put back", putBack(own, "5e1f"), kept("*")},
			{"released", release, kept("")},
			{"pending admission", reserve(late), kept(lateText)},
			{"and again", reserve(late), kept(lateText)},
			{"given back", giveBack(late.Token), kept("")},
			{"pending admission", reserve(late), kept(lateText)},
			{"put back", putBack(own, ""), kept("*")},
		},
		"an owner made again": {
			{"put back", putBack(own, "0b7c"), allocator.Encoded{Retained: []string{"default/StatefulSet.apps/web 0b7c: -0=172.18.41.70*"}}},
			{"put back under the new one", putBack(own, "5e1f"), kept("*")},
			{"released", release, kept("")},
			{"put back, the owner not known", putBack(own, ""), kept("*")},
			{"released", release, kept("")},
			{"pending admission of the pod of a third one", reserve(third), allocator.Encoded{
				Retained: []string{"default/StatefulSet.apps/web 77aa: -0=172.18.41.70+aaaaaaaaaaaaaaaa~3600s"}}},
		},
		"an identity that has another address": {
			{"elsewhere", func(r *allocator.Record) error { return r.PutBack(ip("71"), 0, own, "5e1f") },
				allocator.Encoded{Retained: []string{"default/StatefulSet.apps/web 5e1f: -0=172.18.41.71*"}}},
			{"settled only", putBack(own, "5e1f"), allocator.Encoded{Settled: settled.Settled, Retained: []string{"default/StatefulSet.apps/web 5e1f: -0=172.18.41.71*"}}},
			{"released", release, allocator.Encoded{Retained: []string{"default/StatefulSet.apps/web 5e1f: -0=172.18.41.71*"}}},
		},
		"a settled address stays that": {
			{"put back", putBack(nobody, ""), settled},
			{"put back with an identity", putBack(own, "5e1f"), settled},
		},
		"nothing": {{"nothing", nothing, empty}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &allocator.Record{}
			for i, s := range way {
				if err := s.do(r); err != nil {
					t.Fatalf("step %d, %s: %v", i, s.what, err)
				}
				got := r.Encode()
				got.PodsSeenThrough, got.LongestGrace = "", ""
				if diff := cmp.Diff(s.want, got); diff != "" {
					t.Fatalf("step %d, %s (-want +got):\n%s", i, s.what, diff)
				}
			}
		})
	}
}

// A transition that moves an address without a pod having been seen does not claim that pods were
// seen.
func TestOnlySeenPodsRaiseTheMark(t *testing.T) {
	t.Parallel()
	r := example(t)
	r.ResetSeenThrough(5)
	for name, tc := range map[string]struct {
		do   func(*allocator.Record) error
		want uint64
	}{
		"settling":                            {func(r *allocator.Record) error { return r.Settle(ip("45"), tokenA, 7) }, 7},
		"settling with an older pod":          {func(r *allocator.Record) error { return r.Settle(ip("45"), tokenA, 4) }, 5},
		"settling for an identity":            {func(r *allocator.Record) error { return r.Settle(ip("43"), tokenD, 7) }, 7},
		"settling what was pending admission": {func(r *allocator.Record) error { return r.Settle(ip("62"), tokenC, 7) }, 7},
		"settling one in use":                 {func(r *allocator.Record) error { return r.Settle(ip("60"), tokenF, 7) }, 7},
		"putting back a free one":             {func(r *allocator.Record) error { return r.PutBack(ip("70"), 7, nobody, "") }, 7},
		"putting back an unassigned one":      {func(r *allocator.Record) error { return r.PutBack(ip("61"), 7, statefulSet("web-0"), "") }, 7},
		"putting back one in use":             {func(r *allocator.Record) error { return r.PutBack(ip("60"), 7, statefulSet("web-1"), "") }, 7},
		"holding":                             {func(r *allocator.Record) error { return r.Hold(ip("60"), allocator.Hold{}) }, 5},
		"holding a reserved one":              {func(r *allocator.Record) error { return r.HoldReserved(ip("45"), tokenA, allocator.Hold{}) }, 5},
		"releasing":                           {func(r *allocator.Record) error { return r.Release(ip("60")) }, 5},
		"settling for the wrong token":        {func(r *allocator.Record) error { _ = r.Settle(ip("45"), tokenF, 7); return nil }, 5},
		"putting back a held one":             {func(r *allocator.Record) error { _ = r.PutBack(ip("46"), 7, nobody, ""); return nil }, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := r.Clone()
			if err := tc.do(c); err != nil {
				t.Fatal(err)
			}
			if c.SeenThrough() != tc.want {
				t.Errorf("mark %d, want %d", c.SeenThrough(), tc.want)
			}
		})
	}
}

// Whoever repeats a reservation has the pod's grace from its manifest, and what it read back from
// the record.
func TestTheSameReservationIsTheSameInOtherWords(t *testing.T) {
	t.Parallel()
	r := example(t)
	before := r.Encode()
	for name, v := range map[string]allocator.Reservation{
		"the usual grace":               {Token: tokenA, Pod: allocator.PodRef{Namespace: "default"}, Grace: time.Second},
		"no grace":                      {Token: tokenA, Pod: allocator.PodRef{Namespace: "default"}},
		"pending admission, with owner": {Token: tokenC, Pod: allocator.PodRef{Namespace: "default"}, Owner: "rqkmtdcs", For: statefulSet("web-2")},
		"pending admission, with UID":   {Token: tokenC, Pod: allocator.PodRef{Namespace: "default"}, For: statefulSet("web-2"), ForUID: "0b7c"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := r.Clone()
			a, _ := c.ByToken(v.Token, v.NIC)
			if err := c.Reserve(a, v); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, c.Encode()); diff != "" {
				t.Errorf("changed (-before +after):\n%s", diff)
			}
		})
	}
	for a, v := range r.Awaited() {
		if err := r.Clone().Reserve(a, v); err != nil {
			t.Errorf("as it was read: %v", err)
		}
	}
}

func TestTheLongestGraceIsForgottenWhenNothingIsInUse(t *testing.T) {
	t.Parallel()
	var r allocator.Record
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	take := func(a netip.Addr, token allocator.Token, grace time.Duration) {
		t.Helper()
		err := r.Reserve(a, allocator.Reservation{Token: token, Pod: allocator.PodRef{Namespace: "default"}, Grace: grace})
		if err == nil {
			err = r.Settle(a, token, 1)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(when string, want time.Duration) {
		t.Helper()
		if got := r.LongestGrace(); got != want {
			t.Errorf("%s it is %s, want %s", when, got, want)
		}
	}
	r.RaiseGrace(time.Hour)
	want("while nothing is in use", 0)
	take(a, "aaaaaaaaaaaaaaaa", time.Hour)
	take(b, "bbbbbbbbbbbbbbbb", time.Minute)
	want("with two in use", time.Hour)
	if err := r.Hold(a, allocator.Hold{Since: time.Unix(0, 0)}); err != nil {
		t.Fatal(err)
	}
	want("while one is in use that came beside the longest", time.Hour)
	if err := r.Release(b); err != nil {
		t.Fatal(err)
	}
	want("with nothing in use", 0)
}
