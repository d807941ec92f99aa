package allocator_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spidernet.io/spiderpool/allocator"
)

const (
	tokenA = allocator.Token("aaaaaaaaaaaaaaaa")
	tokenB = allocator.Token("bbbbbbbbbbbbbbbb")
	tokenC = allocator.Token("cccccccccccccccc")
)

func ip(last string) netip.Addr { return netip.MustParseAddr("172.18.41." + last) }

func statefulSet(pod string) allocator.Identity {
	return allocator.Identity{Namespace: "default", Group: "apps", Kind: "StatefulSet", Name: "web", Pod: pod}
}

// example has something in each set.
func example(t *testing.T) *allocator.Record {
	t.Helper()
	r := &allocator.Record{}
	bare := allocator.Identity{Namespace: "default", Kind: "Bare", Name: "web", Pod: "webserver"}
	for _, err := range []error{
		r.PutBack(ip("40"), 7), r.PutBack(ip("41"), 9), r.PutBack(ip("42"), 8), r.PutBack(ip("50"), 1),
		r.Reserve(ip("45"), allocator.Reservation{Token: tokenA, Pod: allocator.PodRef{Namespace: "default"}}),
		r.Reserve(ip("44"), allocator.Reservation{Token: tokenB, Pod: allocator.PodRef{Namespace: "default", Name: "late-x", UID: "77aa"}}),
		r.PutBack(ip("46"), 0), r.Hold(ip("46"), allocator.Hold{Node: "node1", Since: noon.Add(time.Millisecond).In(time.FixedZone("CET", 3600))}),
		r.PutBack(ip("47"), 0), r.Hold(ip("47"), allocator.Hold{Since: noon}),
		r.Retain(ip("61"), allocator.Retention{Identity: statefulSet("web-0"), OwnerUID: "5e1f"}),
		r.Retain(ip("60"), allocator.Retention{Identity: statefulSet("web-1"), OwnerUID: "5e1f", Tokens: []allocator.Token{tokenC, "2222222222222222"}}),
		r.Retain(ip("62"), allocator.Retention{Identity: statefulSet("web-2"), OwnerUID: "0b7c"}),
		r.Retain(ip("63"), allocator.Retention{Identity: statefulSet("other"), OwnerUID: "5e1f"}),
		r.Retain(ip("64"), allocator.Retention{Identity: bare}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r.SetTerm("leader-1")
	return r
}

func TestEncodeIsReadable(t *testing.T) {
	t.Parallel()
	want := allocator.Encoded{
		Settled: []string{"172.18.41.40-42,50"},
		Reserved: []string{
			"172.18.41.44 bbbbbbbbbbbbbbbb default/late-x 77aa",
			"172.18.41.45 aaaaaaaaaaaaaaaa default",
		},
		Retained: []string{
			"default/Bare/web -: webserver=172.18.41.64",
			"default/StatefulSet.apps/web 0b7c: -2=172.18.41.62",
			"default/StatefulSet.apps/web 5e1f: other=172.18.41.63 -0=172.18.41.61 -1=172.18.41.60+cccccccccccccccc+2222222222222222",
		},
		Held: []string{
			"172.18.41.46 node1 2026-11-23T12:00:00Z",
			"172.18.41.47 - 2026-11-23T12:00:00Z",
		},
		PodsSeenThrough: "9",
		Term:            "leader-1",
	}
	r := example(t)
	got := r.Encode()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	read, err := allocator.Decode(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, read.Encode()); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	size := len(want.PodsSeenThrough) + len(want.Term)
	for _, set := range [][]string{want.Settled, want.Reserved, want.Retained, want.Held} {
		for _, l := range set {
			size += len(l) + 3
		}
	}
	if got.Size() != size {
		t.Errorf("size %d, want %d", got.Size(), size)
	}
}

func TestDecodeNamesWhatItRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change  func(*allocator.Encoded)
		wantErr string
	}{
		"nothing wrong": {func(*allocator.Encoded) {}, ""},
		"a settled line": {func(e *allocator.Encoded) { e.Settled = append(e.Settled, "172.18.42.5,4") },
			`status.settled[1]: "172.18.42.5,4": not canonical, write "172.18.42.4-5"`},
		"settled and reserved": {func(e *allocator.Encoded) { e.Settled[0] = "172.18.41.40-42,45,50" },
			`status.reserved[1]: 172.18.41.45 stands elsewhere too`},
		"reserved and retained": {func(e *allocator.Encoded) { e.Retained[1] = "default/StatefulSet.apps/web 0b7c: -2=172.18.41.44" },
			`status.retained[1]: 172.18.41.44 stands elsewhere too`},
		"retained and held": {func(e *allocator.Encoded) { e.Held[1] = "172.18.41.60 - 2026-11-23T12:00:00Z" },
			`status.held[1]: 172.18.41.60 stands elsewhere too`},
		"reserved twice": {func(e *allocator.Encoded) { e.Reserved[1] = "172.18.41.44 aaaaaaaaaaaaaaaa default" },
			`status.reserved[1]: 172.18.41.44 stands elsewhere too`},
		"another family": {func(e *allocator.Encoded) { e.Reserved[1] = "fc00::1 aaaaaaaaaaaaaaaa default" },
			`status.reserved[1]: recording fc00::1: the pool has addresses of the other family`},
		"one token for two": {func(e *allocator.Encoded) { e.Reserved[1] = "172.18.41.45 bbbbbbbbbbbbbbbb default" },
			`status: token bbbbbbbbbbbbbbbb stands at 172.18.41.44 and at 172.18.41.45`},
		"one token for reserved and retained": {func(e *allocator.Encoded) { e.Reserved[1] = "172.18.41.45 cccccccccccccccc default" },
			`status: token cccccccccccccccc stands at 172.18.41.45 and at 172.18.41.60`},
		"one identity for two": {func(e *allocator.Encoded) { e.Retained[1] = "default/StatefulSet.apps/web 0b7c: -1=172.18.41.62" },
			`status: identity default/StatefulSet.apps/web pod web-1 stands at 172.18.41.60 and at 172.18.41.62`},
		"lines out of order": {func(e *allocator.Encoded) { e.Reserved[0], e.Reserved[1] = e.Reserved[1], e.Reserved[0] },
			`status.reserved[0]: "172.18.41.45 aaaaaaaaaaaaaaaa default": not canonical, write "172.18.41.44 bbbbbbbbbbbbbbbb default/late-x 77aa"`},
		"an owner on two lines": {func(e *allocator.Encoded) {
			e.Retained = []string{"default/Bare/web -: -0=172.18.41.64", "default/Bare/web -: -1=172.18.41.65"}
		}, `status.retained[0]: "default/Bare/web -: -0=172.18.41.64": not canonical, write "default/Bare/web -: -0=172.18.41.64 -1=172.18.41.65"`},
		"a pod's name not shortened": {func(e *allocator.Encoded) { e.Retained[1] = "default/StatefulSet.apps/web 0b7c: web-2=172.18.41.62" },
			`status.retained[1]: "default/StatefulSet.apps/web 0b7c: web-2=172.18.41.62": not canonical, write "default/StatefulSet.apps/web 0b7c: -2=172.18.41.62"`},
		"an owner without pods": {func(e *allocator.Encoded) { e.Retained[1] = "default/StatefulSet.apps/web 0b7c:" },
			`status.retained[1]: "default/StatefulSet.apps/web 0b7c:": want namespace/Kind.group/name, the owner's UID with a colon, and pods`},
		"a pod without address": {func(e *allocator.Encoded) { e.Retained[1] = "default/StatefulSet.apps/web 0b7c: -2" },
			`status.retained[1]: "-2": "": not an address`},
		"a token that is none": {func(e *allocator.Encoded) { e.Reserved[1] = "172.18.41.45 AAAAAAAAAAAAAAAA default" },
			`status.reserved[1]: "172.18.41.45 AAAAAAAAAAAAAAAA default": token "AAAAAAAAAAAAAAAA": want 16 characters of a-z and 2-7`},
		"a field too few": {func(e *allocator.Encoded) { e.Reserved[1] = "172.18.41.45 aaaaaaaaaaaaaaaa" },
			`status.reserved[1]: "172.18.41.45 aaaaaaaaaaaaaaaa": want address, token, namespace; or address, token, namespace/name, UID`},
		"a late one without UID": {func(e *allocator.Encoded) { e.Reserved[1] = "172.18.41.45 aaaaaaaaaaaaaaaa default/web" },
			`status.reserved[1]: "172.18.41.45 aaaaaaaaaaaaaaaa default/web": name "default/web"`},
		"a late one without name": {func(e *allocator.Encoded) { e.Reserved[1] = "172.18.41.45 aaaaaaaaaaaaaaaa default 77aa" },
			`status.reserved[1]: "172.18.41.45 aaaaaaaaaaaaaaaa default 77aa": pod "" of namespace "default", UID "77aa": name and UID go together`},
		"a hold's time in another zone": {func(e *allocator.Encoded) { e.Held[1] = "172.18.41.47 - 2026-11-23T13:00:00+01:00" },
			`status.held[1]: "172.18.41.47 - 2026-11-23T13:00:00+01:00": not canonical, write "172.18.41.47 - 2026-11-23T12:00:00Z"`},
		"a hold's time that is none": {func(e *allocator.Encoded) { e.Held[1] = "172.18.41.47 - noon" },
			`status.held[1]: "172.18.41.47 - noon": "noon": not a time`},
		"a hold without time":     {func(e *allocator.Encoded) { e.Held[1] = "172.18.41.47 -" }, `status.held[1]: "172.18.41.47 -": want address, node, time`},
		"an empty mark spelled 0": {func(e *allocator.Encoded) { e.PodsSeenThrough = "0" }, `status.podsSeenThrough: "0": not a positive number`},
		"a mark with a sign":      {func(e *allocator.Encoded) { e.PodsSeenThrough = "+7" }, `status.podsSeenThrough: "+7": not a positive number`},
		"a mark too large":        {func(e *allocator.Encoded) { e.PodsSeenThrough = "18446744073709551616" }, `status.podsSeenThrough: "18446744073709551616": not a positive number`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := example(t).Encode()
			tc.change(&e)
			r, err := allocator.Decode(e)
			wantError(t, err, tc.wantErr)
			if (r == nil) != (tc.wantErr != "") {
				t.Errorf("record %v with error %v", r, err)
			}
		})
	}
}
