package latebind

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

var (
	x      = netip.MustParseAddr("10.0.0.1")
	tokenA = allocator.Token("aaaaaaaaaaaaaaaa")
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// waiter returns a pod created so many seconds after noon that asks for slots.
func waiter(name string, age int, slots ...[]string) *request {
	p := &view.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name)}}
	p.CreationTimestamp = metav1.NewTime(noon.Add(time.Duration(age) * time.Second))
	return &request{pod: p, rule: "a rule", slots: slotsOf(slots...), token: allocator.LateToken(string(p.UID))}
}

// slotsOf are for the default NIC.
func slotsOf(pools ...[]string) []choice.Slot {
	all := make([]choice.Slot, len(pools))
	for i, p := range pools {
		all[i] = choice.Slot{NIC: crdv1.DefaultNIC, Family: choice.Family(i % 2), Pools: p}
	}
	return all
}

// onTwoNICs moves the second address of a waiter to another NIC.
func onTwoNICs(a *request) *request {
	a.slots[1].NIC, a.slots[1].Family = "net1", choice.IPv4
	return a
}

// urgent gives a waiter a priority.
func urgent(a *request, priority int32) *request {
	a.pod.Priority = priority
	return a
}

func identityOfWaiter(name string) allocator.Identity {
	return allocator.Identity{Namespace: "ns", Group: "apps", Kind: "StatefulSet", Name: "web", Pod: name}
}

// stable gives a waiter a stable identity.
func stable(a *request) *request {
	a.identity = identityOfWaiter(a.pod.Name)
	return a
}

// of puts a waiter into another namespace.
func of(namespace string, a *request) *request {
	a.pod.Namespace = namespace
	return a
}

// keepsOne is why a namespace gets nothing of a pool of two.
const keepsOne = `namespace "ns" keeps as many of its addresses as it may without a running pod, 1: reserved for pods to come, kept for stable identities ` +
	`that have no pod (scale their owners down, or delete them), or held after deletions by force (see status.reserved, retained and held)`

// having returns a pool of 11 addresses of which so many can be given.
func having(free int) *capacity {
	return &capacity{size: 11, most: 6, free: free, record: &allocator.Record{}}
}

// with changes the record of a pool.
func (s *capacity) with(t *testing.T, change func(*allocator.Record) error) *capacity {
	t.Helper()
	if err := change(s.record); err != nil {
		t.Fatal(err)
	}
	return s
}

func pendingAdmission(token allocator.Token, name string) func(*allocator.Record) error {
	return func(r *allocator.Record) error {
		return r.Reserve(x, allocator.Reservation{Token: token, Pod: allocator.PodRef{Namespace: "ns"}, For: identityOfWaiter(name)})
	}
}

// keepingWeb0 retains x for the pod web-0 and then changes the record further.
func keepingWeb0(then ...func(*allocator.Record) error) func(*allocator.Record) error {
	return func(r *allocator.Record) error {
		if err := r.PutBack(x, 1, identityOfWaiter("web-0"), ""); err != nil {
			return err
		}
		for _, do := range then {
			if err := do(r); err != nil {
				return err
			}
		}
		return nil
	}
}

func release(r *allocator.Record) error { return r.Release(x) }

func notReady(s *capacity, why string) *capacity {
	s.unready = why
	return s
}

func ofTwo(s *capacity) *capacity {
	s.size, s.most = 2, ledger.Caps{}.Kept(2)
	return s
}

func TestDecide(t *testing.T) {
	t.Parallel()
	type pools = map[string]*capacity
	const full = "all 11 addresses are taken"
	const given = full + " (1 given to pods before it)"
	for name, c := range map[string]struct {
		asks  []*request
		pools pools
		// want has for each pod, in the order in which they are served, its pools, or reason and
		// message.
		want         []string
		wantWaitsFor []string // pools that any pod waits for
	}{
		"the oldest is served first": {
			asks:  []*request{waiter("young", 2, []string{"a"}), waiter("old", 1, []string{"a"})},
			pools: pools{"a": having(1)},
			want:  []string{"old: a", `young: PoolFull pool "a": ` + given}, wantWaitsFor: []string{"a"},
		},
		"priority goes before age": {
			asks:  []*request{waiter("old", 1, []string{"a"}), urgent(waiter("young", 2, []string{"a"}), 5)},
			pools: pools{"a": having(1)},
			want:  []string{"young: a", `old: PoolFull pool "a": ` + given}, wantWaitsFor: []string{"a"},
		},
		"of the same age the name decides": {
			asks:  []*request{waiter("b", 1, []string{"a"}), waiter("a", 1, []string{"a"})},
			pools: pools{"a": having(1)},
			want:  []string{"a: a", `b: PoolFull pool "a": ` + given}, wantWaitsFor: []string{"a"},
		},
		"a pod that is not the first in the queue of a pool says so": {
			asks:  []*request{waiter("first", 1, []string{"a"}), waiter("second", 2, []string{"a"})},
			pools: pools{"a": having(0)},
			want:  []string{`first: PoolFull pool "a": ` + full, `second: OthersWaitLonger pool "a": ` + full + ", and other pods wait longer for one"}, wantWaitsFor: []string{"a"},
		},
		"one pool may serve two NICs of a pod, all or nothing": {
			asks:  []*request{onTwoNICs(waiter("two", 1, []string{"a"}, []string{"a"})), waiter("one", 2, []string{"a"})},
			pools: map[string]*capacity{"a": having(2)},
			want:  []string{"two: a a", `one: PoolFull pool "a": ` + full + " (2 given to pods before it)"}, wantWaitsFor: []string{"a"},
		},
		"one address is too few for two NICs": {
			asks:  []*request{onTwoNICs(waiter("two", 1, []string{"a"}, []string{"a"}))},
			pools: map[string]*capacity{"a": having(1)},
			want:  []string{`two: PoolFull pool "a": ` + given}, wantWaitsFor: []string{"a"},
		},
		"the next candidate serves when the first is full": {
			asks:  []*request{waiter("p", 1, []string{"a", "b"})},
			pools: pools{"a": having(0), "b": having(1)},
			want:  []string{"p: b"},
		},
		"a pod that lacks one family takes nothing in the other, and holds up no pod there": {
			asks:  []*request{waiter("both", 1, []string{"v4"}, []string{"v6"}), waiter("one", 2, []string{"v4"}), waiter("other", 3, []string{"v6"})},
			pools: pools{"v4": having(1), "v6": having(0)},
			want: []string{
				`both: PoolFull pool "v6": ` + full, "one: v4",
				`other: OthersWaitLonger pool "v6": ` + full + ", and other pods wait longer for one",
			}, wantWaitsFor: []string{"v6"},
		},
		"a pod that gets both families takes from both": {
			asks:  []*request{waiter("both", 1, []string{"v4"}, []string{"v6"}), waiter("one", 2, []string{"v4"})},
			pools: pools{"v4": having(1), "v6": having(1)},
			want:  []string{"both: v4 v6", `one: PoolFull pool "v4": ` + given}, wantWaitsFor: []string{"v4"},
		},
		"a pool that is not ready is no queue": {
			asks:  []*request{waiter("p", 1, []string{"a"}), waiter("q", 2, []string{"a", "b"})},
			pools: pools{"a": notReady(having(5), "it is disabled"), "b": having(1)},
			want:  []string{`p: PoolNotReady pool "a": it is disabled`, "q: b"},
		},
		"of two causes the reason is the weightier, and the message has both": {
			asks:  []*request{waiter("p", 1, []string{"a", "b"})},
			pools: pools{"a": having(0), "b": notReady(having(5), "it is disabled")},
			want:  []string{`p: PoolNotReady pool "a": ` + full + `; pool "b": it is disabled`}, wantWaitsFor: []string{"a"},
		},
		"whose namespace keeps half of the pool for identities holds up nobody": {
			asks:  []*request{waiter("web-1", 1, []string{"a"}), of("other", waiter("z", 2, []string{"a"}))},
			pools: pools{"a": ofTwo(having(1).with(t, keepingWeb0(release)))},
			want:  []string{`web-1: OverReservationCap pool "a": ` + keepsOne, "z: a"},
		},
		"so does what is held for it": {
			asks: []*request{waiter("web-1", 1, []string{"a"}), of("other", waiter("z", 2, []string{"a"}))},
			pools: pools{"a": ofTwo(having(1).with(t, func(r *allocator.Record) error {
				return errors.Join(r.PutBack(x, 1, allocator.Identity{}, ""), r.Hold(x, allocator.Hold{Node: "n", Pod: allocator.PodRef{Namespace: "ns", Name: "web-0"}}))
			}))},
			want: []string{`web-1: OverReservationCap pool "a": ` + keepsOne, "z: a"},
		},
		"and what is reserved for pods to come": {
			asks:  []*request{waiter("web-1", 1, []string{"a"}), of("other", waiter("z", 2, []string{"a"}))},
			pools: pools{"a": ofTwo(having(1).with(t, pendingAdmission(tokenA, "web-0")))},
			want:  []string{`web-1: OverReservationCap pool "a": ` + keepsOne, "z: a"},
		},
		"whose namespace keeps half of a full pool does not wait for what comes free": {
			asks:  []*request{waiter("web-1", 1, []string{"a"}), of("other", waiter("z", 2, []string{"a"}))},
			pools: pools{"a": ofTwo(having(0).with(t, keepingWeb0(release)))},
			want:  []string{`web-1: OverReservationCap pool "a": ` + keepsOne, `z: PoolFull pool "a": all 2 addresses are taken (1 kept for a stable identity until its owner is deleted or scaled down)`}, wantWaitsFor: []string{"a"},
		},
		"whose namespace keeps half of one pool is served by another": {
			asks:  []*request{waiter("web-1", 1, []string{"a", "b"})},
			pools: pools{"a": ofTwo(having(1).with(t, keepingWeb0(release))), "b": having(1)},
			want:  []string{"web-1: b"},
		},
		"the address kept for an identity is its own, whatever its namespace keeps": {
			asks:  []*request{stable(waiter("web-0", 1, []string{"a"}))},
			pools: pools{"a": ofTwo(having(1).with(t, keepingWeb0(release)))},
			want:  []string{"web-0: a (kept)"},
		},
		"what was reserved for the pod before is found, full or not ready": {
			asks: []*request{waiter("p", 1, []string{"b", "a"})},
			pools: pools{"b": having(1), "a": notReady(having(0), "it is disabled").with(t, func(r *allocator.Record) error {
				return r.Reserve(x, allocator.Reservation{Token: allocator.LateToken("uid-p"), Pod: allocator.PodRef{Namespace: "ns", Name: "p", UID: "uid-p"}})
			})},
			want: []string{"p: a (found)"},
		},
		"a pool that this leader has not taken over gives nothing, found or not": {
			asks: []*request{waiter("p", 1, []string{"a"})},
			pools: pools{"a": func() *capacity {
				s := notReady(having(1), "not taken over").with(t, func(r *allocator.Record) error {
					return r.Reserve(x, allocator.Reservation{Token: allocator.LateToken("uid-p"), Pod: allocator.PodRef{Namespace: "ns", Name: "p", UID: "uid-p"}})
				})
				s.foreign = true
				return s
			}()},
			want: []string{`p: PoolNotReady pool "a": not taken over`},
		},
		"the address kept for an identity is taken from a full pool, before any other": {
			asks:  []*request{stable(waiter("web-0", 1, []string{"b", "a"}))},
			pools: pools{"b": having(1), "a": having(0).with(t, keepingWeb0(release))},
			want:  []string{"web-0: a (kept)"},
		},
		"an identity waits for its predecessor, takes no other address and holds up no pod": {
			asks:  []*request{stable(waiter("web-0", 1, []string{"a", "b"})), waiter("q", 2, []string{"a"})},
			pools: pools{"a": having(1).with(t, keepingWeb0()), "b": having(1)},
			want:  []string{`web-0: PredecessorNotEnded pool "a": the pod's address 10.0.0.1 is still its predecessor's, whose end was not seen yet`, "q: a"},
		},
		"an identity waits for an earlier admission": {
			asks:  []*request{stable(waiter("web-0", 1, []string{"a"}))},
			pools: pools{"a": having(1).with(t, pendingAdmission(tokenA, "web-0"))},
			want:  []string{`web-0: PredecessorNotEnded pool "a": the pod's address 10.0.0.1 was given to an earlier admission of the pod, which may still bring it`},
		},
		"an identity waits for a hold": {
			asks: []*request{stable(waiter("web-0", 1, []string{"a"}))},
			pools: pools{"a": having(1).with(t, keepingWeb0(func(r *allocator.Record) error {
				return r.Hold(x, allocator.Hold{Node: "n1", Since: noon})
			}))},
			want: []string{`web-0: PredecessorHeld pool "a": the pod's address 10.0.0.1 is held since 2026-11-23T12:00:00Z: no kubelet confirmed the end of its predecessor on node "n1"`},
		},
		"an identity waits for the pool that keeps its address": {
			asks:  []*request{stable(waiter("web-0", 1, []string{"a", "b"}))},
			pools: pools{"a": notReady(having(1), "it is disabled").with(t, keepingWeb0(release)), "b": having(1)},
			want:  []string{`web-0: PoolNotReady pool "a": the pod's address 10.0.0.1 is kept in it, and it is disabled`},
		},
		"an identity without an address gets a new one": {
			asks:  []*request{stable(waiter("web-1", 1, []string{"a"}))},
			pools: pools{"a": having(1).with(t, keepingWeb0())},
			want:  []string{"web-1: a"},
		},
		"the message names the pools that the rule passed over": {
			asks:  []*request{{pod: waiter("p", 1).pod, rule: "a rule", passed: `"z" is of the other family`, slots: slotsOf([]string{"a"})}},
			pools: pools{"a": having(0)},
			want:  []string{`p: PoolFull pool "a": ` + full + `; passed over: "z" is of the other family`}, wantWaitsFor: []string{"a"},
		},
		"a pool whose free addresses may not be handed out says so": {
			asks:  []*request{waiter("p", 1, []string{"a"})},
			pools: pools{"a": {size: 11, most: 6, withheld: 3, record: &allocator.Record{}}},
			want:  []string{`p: PoolFull pool "a": all 11 addresses are not handed out or taken (3 named by SpiderReservedIPs or used by something else in the cluster)`}, wantWaitsFor: []string{"a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			waitsFor := map[string]bool{}
			for _, v := range decide(c.asks, c.pools) {
				got = append(got, verdictText(v))
				for _, pool := range v.waitsFor {
					waitsFor[pool] = true
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.wantWaitsFor, slices.Sorted(maps.Keys(waitsFor))); diff != "" {
				t.Errorf("waited for (-want +got):\n%s", diff)
			}
		})
	}
}

func verdictText(v verdict) string {
	text := v.pod.Name + ":"
	if v.grants == nil {
		return text + " " + v.reason + " " + strings.TrimPrefix(v.message, "pools chosen by a rule: ")
	}
	for _, g := range v.grants {
		text += " " + g.pool
		switch {
		case g.found:
			text += " (found)"
		case !g.fresh:
			text += " (kept)"
		}
	}
	return text
}

// Whatever is asked for: a pod gets all or nothing, no more is given than there is, no pod is
// served before another in a pool that the other lacks, and no pod waits that could be served.
func TestNoPodOvertakesInThePoolThatAnotherLacks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c", "d", "e"}
		pools := map[string]*capacity{}
		for _, name := range names {
			pools[name] = having(rapid.IntRange(0, 4).Draw(t, "free"))
			if rapid.IntRange(0, 5).Draw(t, "readiness") == 0 {
				pools[name].unready = "it is disabled"
			}
			if rapid.IntRange(0, 3).Draw(t, "kept") == 0 {
				pools[name].most = 1
				if err := pools[name].record.Reserve(x, allocator.Reservation{Token: tokenA, Pod: allocator.PodRef{Namespace: "greedy"}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		var all []*request
		for i := range rapid.IntRange(1, 12).Draw(t, "pods") {
			order := rapid.Permutation(names).Draw(t, "order")
			cut, end := rapid.IntRange(1, 3).Draw(t, "cut"), rapid.IntRange(3, 5).Draw(t, "end")
			slots := [][]string{order[:cut]}
			if cut < end && rapid.Bool().Draw(t, "two families") {
				slots = append(slots, order[cut:end])
			}
			a := urgent(waiter(fmt.Sprintf("p%d", i), rapid.IntRange(0, 3).Draw(t, "age"), slots...), rapid.Int32Range(0, 2).Draw(t, "priority"))
			if rapid.Bool().Draw(t, "greedy") {
				a = of("greedy", a)
			}
			if rapid.IntRange(0, 4).Draw(t, "history") == 0 {
				remember(t, pools[slots[0][0]].record, a, i)
			}
			all = append(all, a)
		}
		verdicts := decide(all, pools)
		checkVerdicts(t, verdicts, pools)
		again := decide(rapid.Permutation(all).Draw(t, "another order"), pools)
		for i, v := range again {
			if verdictText(v) != verdictText(verdicts[i]) {
				t.Fatalf("it depends on the order: %s, %s", verdictText(verdicts[i]), verdictText(v))
			}
		}
	})
}

// remember reserves an address for a pod, as a former leader would have.
func remember(t *rapid.T, r *allocator.Record, a *request, i int) {
	address := netip.AddrFrom4([4]byte{10, 0, 0, byte(100 + i)})
	ref := allocator.PodRef{Namespace: a.pod.Namespace, Name: a.pod.Name, UID: string(a.pod.UID)}
	if err := r.Reserve(address, allocator.Reservation{Token: a.token, Pod: ref}); err != nil {
		t.Fatal(err)
	}
}

// overCap reports whether a pod's namespace keeps as many addresses of a pool as it may.
func overCap(v verdict, s *capacity) bool { return v.pod.Namespace == "greedy" && s.most == 1 }

func checkVerdicts(t *rapid.T, verdicts []verdict, pools map[string]*capacity) {
	given := map[string]int{}
	lacking := map[string]string{} // pool -> a pod that waits for it
	for i, v := range verdicts {
		if i > 0 && compareWaiting(verdicts[i-1].pod, v.pod) > 0 {
			t.Fatalf("%s comes before %s", verdicts[i-1].pod, v.pod)
		}
		if v.grants == nil {
			for _, pool := range v.waitsFor {
				lacking[pool] = v.pod.Name
			}
			if v.reason == "" || v.message == "" {
				t.Fatalf("%s waits without a reason", v.pod)
			}
			continue
		}
		if len(v.grants) != len(v.slots) {
			t.Fatalf("%s is given %d of %d addresses", v.pod, len(v.grants), len(v.slots))
		}
		for j, g := range v.grants {
			if !slices.Contains(v.slots[j].Pools, g.pool) {
				t.Fatalf("%s is given an address of %s, which is no candidate", v.pod, g.pool)
			}
			if !g.fresh {
				continue
			}
			if other, ok := lacking[g.pool]; ok {
				t.Fatalf("%s overtakes %s in pool %s", v.pod, other, g.pool)
			}
			if overCap(v, pools[g.pool]) {
				t.Fatalf("%s is given an address of pool %s, of which its namespace keeps as many as it may", v.pod, g.pool)
			}
			if given[g.pool]++; given[g.pool] > pools[g.pool].free {
				t.Fatalf("%d addresses of pool %s are given, it has %d", given[g.pool], g.pool, pools[g.pool].free)
			}
		}
	}
	for _, v := range verdicts {
		left := func(pool string) bool {
			return pools[pool].unready == "" && !overCap(v, pools[pool]) && given[pool] < pools[pool].free
		}
		served := v.grants == nil
		for _, slot := range v.slots {
			candidates := slot.Pools
			_, found := pools[candidates[0]].record.ByToken(v.token, crdv1.DefaultNIC)
			served = served && (found || slices.ContainsFunc(candidates, left))
		}
		if served {
			t.Fatalf("%s waits although all that it asks for is left", v.pod)
		}
	}
}
