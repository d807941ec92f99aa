package lifecycle

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestFinished(t *testing.T) {
	t.Parallel()
	running := []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	ended := []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
	starting := []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}}
	collected := []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByPodGC"}}
	for name, c := range map[string]struct {
		status corev1.PodStatus
		want   bool
	}{
		"failed by the pod garbage collector, starting": {corev1.PodStatus{Phase: corev1.PodFailed, Conditions: collected, ContainerStatuses: starting}, false},
		"failed by the pod garbage collector, unheard":  {corev1.PodStatus{Phase: corev1.PodFailed, Conditions: collected}, false},
		"failed by the pod garbage collector, ended":    {corev1.PodStatus{Phase: corev1.PodFailed, Conditions: collected, ContainerStatuses: ended}, true},
		"running":                                      {corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: running}, false},
		"pending":                                      {corev1.PodStatus{Phase: corev1.PodPending}, false},
		"unknown":                                      {corev1.PodStatus{Phase: corev1.PodUnknown}, false},
		"succeeded with all containers ended":          {corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: ended}, true},
		"failed with all containers ended":             {corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: ended, InitContainerStatuses: ended}, true},
		"refused by the kubelet, no container":         {corev1.PodStatus{Phase: corev1.PodFailed}, true},
		"a phase written over a running container":     {corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: running}, false},
		"succeeded with a sidecar that still runs":     {corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: ended, InitContainerStatuses: running}, false},
		"succeeded with a debug container that runs":   {corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: ended, EphemeralContainerStatuses: running}, false},
		"one of two containers ended, phase is failed": {corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: append(ended, running...)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := corev1.Pod{Spec: corev1.PodSpec{NodeName: "node", Containers: make([]corev1.Container, 1)}, Status: c.status}
			if got := Finished(&pod); got != c.want {
				t.Errorf("Finished is %t, want %t", got, c.want)
			}
		})
	}
}

var (
	x      = netip.MustParseAddr("10.0.0.1")
	tokenA = allocator.Token("aaaaaaaaaaaaaaaa")
	tokenB = allocator.Token("bbbbbbbbbbbbbbbb")
)

// pod returns a live pod that claims x by a token.
func pod(name string, token allocator.Token, revision uint64) *Pod {
	return &Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)},
		Revision:   revision,
		Node:       "node",
		Token:      string(token),
		Claims:     []crdv1.Claim{{Pool: "p", Address: x}},
	}
}

func finished(p *Pod) *Pod {
	f := *p
	f.Finished = true
	return &f
}

// view is the pods that claim x, as seen at a revision.
type view struct {
	revision uint64
	pods     []*Pod
}

func (v view) Revision() uint64 { return v.revision }

func (v view) Live(netip.Addr) (live []*Pod) {
	for _, p := range v.pods {
		if p.Live() {
			live = append(live, p)
		}
	}
	return live
}

func (v view) Carrier(_ string, _ netip.Addr, r allocator.Reservation) (*Pod, bool) {
	for _, p := range v.pods {
		if p.Token == string(r.Token) {
			return p, true
		}
	}
	return nil, false
}

func reservedFor(t *testing.T, token allocator.Token) *allocator.Record {
	t.Helper()
	var r allocator.Record
	if err := r.Reserve(x, allocator.Reservation{Token: token, Pod: allocator.PodRef{Namespace: "default"}}); err != nil {
		t.Fatal(err)
	}
	return &r
}

func settledFor(t *testing.T, token allocator.Token, mark uint64) *allocator.Record {
	t.Helper()
	r := reservedFor(t, token)
	if err := r.Settle(x, token, mark); err != nil {
		t.Fatal(err)
	}
	return r
}

var moment = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// identityOfTests says that the pods are of a StatefulSet web.
func identityOfTests(p *Pod) (allocator.Identity, string) {
	return allocator.Identity{Namespace: p.Namespace, Group: "apps", Kind: "StatefulSet", Name: "web", Pod: p.Name}, "owner"
}

// nobody says that no pod has an identity.
func nobody(*Pod) (allocator.Identity, string) { return allocator.Identity{}, "" }

// keptFor returns a record with x reserved for the identity of pod a.
func keptFor(t *testing.T, token allocator.Token) *allocator.Record {
	t.Helper()
	id, uid := identityOfTests(pod("a", token, 1))
	var r allocator.Record
	if err := r.Reserve(x, allocator.Reservation{Token: token, Pod: allocator.PodRef{Namespace: "default"}, For: id, ForUID: uid}); err != nil {
		t.Fatal(err)
	}
	return &r
}

// usedFor returns a record with x retained and in use, its mark at 10.
func usedFor(t *testing.T, token allocator.Token) *allocator.Record {
	t.Helper()
	r := keptFor(t, token)
	if err := r.Settle(x, token, 10); err != nil {
		t.Fatal(err)
	}
	return r
}

// leftFor returns a record with x retained and vacant, its mark at 10.
func leftFor(t *testing.T, token allocator.Token) *allocator.Record {
	t.Helper()
	r := usedFor(t, token)
	if err := r.Release(x); err != nil {
		t.Fatal(err)
	}
	return r
}

func heldFor(t *testing.T, token allocator.Token) *allocator.Record {
	t.Helper()
	r := settledFor(t, token, 10)
	if err := r.Hold(x, allocator.Hold{Node: "node", Since: moment}); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTending(t *testing.T) {
	t.Parallel()
	a, b := pod("a", tokenA, 10), pod("b", tokenB, 30)
	keyA := carried{a.UID, x}
	endOfA := map[carried]end{keyA: {pod: finished(a), revision: 20}}
	vanishedA := map[carried]end{keyA: {pod: a, revision: 20, vanished: true}}
	for name, c := range map[string]struct {
		record     *allocator.Record
		view       view
		holder     *Pod // of x, known from before
		ends       map[carried]end
		appeared   map[carried]*Pod
		unseen     map[netip.Addr]lost
		stable     bool // the pods have identities
		wantState  allocator.State
		wantUse    allocator.Use
		wantVerb   string
		wantHolder *Pod // after what was done; nil: nothing was done, or x is free
		wantOver   int  // ends that need no more acting upon
		wantEarly  bool
		wantLate   int // pods that are live again while x is another's
		wantMark   uint64
		outside    bool // x is no address of the pool
	}{
		"a live pod settles its reservation and raises the mark": {
			record: reservedFor(t, tokenA), view: view{10, []*Pod{a}},
			wantState: allocator.StateSettled, wantVerb: settled, wantHolder: a, wantMark: 10,
		},
		"a pod that was not seen leaves its reservation": {
			record: reservedFor(t, tokenA), view: view{revision: 10},
			wantState: allocator.StateReserved,
		},
		"a pod of another token does not settle it": {
			record: reservedFor(t, tokenB), view: view{10, []*Pod{a}},
			wantState: allocator.StateReserved,
		},
		"a pod that finished before it was settled gives back": {
			record: reservedFor(t, tokenA), view: view{20, []*Pod{finished(a)}},
			wantState: allocator.StateFree, wantVerb: givenBack,
		},
		"a pod that never ran and is gone gives back": {
			record: reservedFor(t, tokenA), view: view{revision: 20}, ends: endOfA,
			wantState: allocator.StateFree, wantVerb: givenBack, wantOver: 1,
		},
		"the end of another pod gives nothing back": {
			record: reservedFor(t, tokenB), view: view{revision: 20}, ends: endOfA,
			wantState: allocator.StateReserved, wantOver: 1,
		},
		"the end of the pod releases": {
			record: settledFor(t, tokenA, 10), view: view{20, []*Pod{finished(a)}}, holder: a, ends: endOfA,
			wantState: allocator.StateFree, wantVerb: released, wantOver: 1, wantMark: 10,
		},
		"a finished pod whose end was not seen to happen releases nothing": {
			record: settledFor(t, tokenA, 10), view: view{20, []*Pod{finished(a)}}, holder: a,
			wantState: allocator.StateSettled, wantMark: 10,
		},
		"a pod whose end is not known yet keeps its address": {
			record: settledFor(t, tokenA, 10), view: view{revision: 20}, holder: a,
			wantState: allocator.StateSettled, wantMark: 10,
		},
		"the address of a pod that vanished is held": {
			record: settledFor(t, tokenA, 10), view: view{revision: 20}, holder: a, ends: vanishedA,
			wantState: allocator.StateHeld, wantVerb: held, wantOver: 1, wantMark: 10,
		},
		"a pod that vanished before it was settled has its address held": {
			record: reservedFor(t, tokenA), view: view{revision: 20}, ends: vanishedA,
			wantState: allocator.StateHeld, wantVerb: held, wantOver: 1,
		},
		"a vanished pod waits for the mark": {
			record: settledFor(t, tokenA, 30), view: view{revision: 20}, holder: a, ends: vanishedA,
			wantState: allocator.StateSettled, wantEarly: true, wantMark: 30,
		},
		"an address that was nobody's when the pool was taken over is held": {
			record: settledFor(t, tokenA, 10), view: view{revision: 20}, unseen: map[netip.Addr]lost{x: {pod: a, hold: allocator.Hold{Node: "node", Since: moment}}},
			wantState: allocator.StateHeld, wantVerb: held, wantMark: 10,
		},
		"an address that was nobody's and is somebody's again is not held": {
			record: settledFor(t, tokenA, 10), view: view{20, []*Pod{a}}, appeared: map[carried]*Pod{keyA: a},
			unseen:    map[netip.Addr]lost{x: {pod: a, hold: allocator.Hold{Node: "node", Since: moment}}},
			wantState: allocator.StateSettled, wantVerb: passedOn, wantHolder: a, wantMark: 10,
		},
		"a held address stays held although a pod that claims it comes into view": {
			record: heldFor(t, tokenA), view: view{20, []*Pod{a}}, appeared: map[carried]*Pod{keyA: a},
			wantState: allocator.StateHeld, wantMark: 10,
		},
		"a pod with a stable identity makes its address retained": {
			record: keptFor(t, tokenA), view: view{10, []*Pod{a}},
			wantState: allocator.StateRetained, wantUse: allocator.InUse, wantVerb: settled, wantHolder: a, wantMark: 10,
		},
		"the end of a pod with a stable identity leaves the address to the next": {
			record: usedFor(t, tokenA), view: view{20, []*Pod{finished(a)}}, holder: a, ends: endOfA,
			wantState: allocator.StateRetained, wantVerb: vacated, wantOver: 1, wantMark: 10,
		},
		"the address of a stable identity whose pod vanished is kept and held": {
			record: usedFor(t, tokenA), view: view{revision: 20}, holder: a, ends: vanishedA,
			wantState: allocator.StateRetained, wantUse: allocator.Held, wantVerb: held, wantOver: 1, wantMark: 10,
		},
		"a claim of the identity that an address is kept for is put back": {
			record: leftFor(t, tokenA), view: view{40, []*Pod{a}}, stable: true, appeared: map[carried]*Pod{keyA: a},
			wantState: allocator.StateRetained, wantUse: allocator.InUse, wantVerb: putBack, wantHolder: a, wantMark: 10,
		},
		"a claim of another identity is told of": {
			record: leftFor(t, tokenA), view: view{40, []*Pod{b}}, stable: true, appeared: map[carried]*Pod{{b.UID, x}: b},
			wantState: allocator.StateRetained, wantLate: 1, wantMark: 10,
		},
		"a view behind the mark waits": {
			record: settledFor(t, tokenA, 30), view: view{20, []*Pod{finished(a)}}, holder: a, ends: endOfA,
			wantState: allocator.StateSettled, wantEarly: true, wantMark: 30,
		},
		"the end of a pod that had the address before releases nothing": {
			record: settledFor(t, tokenB, 30), view: view{40, []*Pod{finished(a)}}, holder: b, ends: endOfA,
			wantState: allocator.StateSettled, wantOver: 1, wantMark: 30,
		},
		"the end of a pod releases nothing where it is not known whose the address is": {
			record: settledFor(t, tokenB, 30), view: view{40, []*Pod{finished(a)}}, ends: endOfA,
			wantState: allocator.StateSettled, wantOver: 1, wantMark: 30,
		},
		"another live pod that claims the address keeps it, and is its holder then": {
			record: settledFor(t, tokenA, 10), view: view{30, []*Pod{finished(a), b}}, holder: a, ends: endOfA,
			wantState: allocator.StateSettled, wantVerb: passedOn, wantHolder: b, wantOver: 1, wantMark: 10,
		},
		"a pod that is live again keeps its address": {
			record: settledFor(t, tokenA, 10), view: view{30, []*Pod{a}}, holder: a, ends: endOfA,
			wantState: allocator.StateSettled, wantOver: 1, wantMark: 10,
		},
		"settling for the next pod voids the end of the last": {
			record: reservedFor(t, tokenB), view: view{30, []*Pod{b}}, ends: endOfA,
			wantState: allocator.StateSettled, wantVerb: settled, wantHolder: b, wantOver: 1, wantMark: 30,
		},
		"a pod that is live again has its free address put back": {
			record: &allocator.Record{}, view: view{40, []*Pod{a}}, appeared: map[carried]*Pod{keyA: a},
			wantState: allocator.StateSettled, wantVerb: putBack, wantHolder: a, wantMark: 10,
		},
		"a claim of an address that the pool does not have is not put back": {
			record: &allocator.Record{}, view: view{40, []*Pod{a}}, appeared: map[carried]*Pod{keyA: a}, outside: true,
			wantState: allocator.StateFree,
		},
		"a pod that is live again after its address was given on is told of": {
			record: settledFor(t, tokenB, 30), view: view{40, []*Pod{a, b}}, holder: b, appeared: map[carried]*Pod{keyA: a},
			wantState: allocator.StateSettled, wantLate: 1, wantMark: 30,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := tending{
				pool: "p", in: func(netip.Addr) bool { return !c.outside }, claims: c.view, identity: nobody, now: moment,
				sights: sights{ends: c.ends, appeared: c.appeared, unseen: c.unseen},
				holder: func(netip.Addr) types.UID {
					if c.holder == nil {
						return ""
					}
					return c.holder.UID
				},
			}
			if c.stable {
				d.identity = identityOfTests
			}
			if err := d.do(c.record); err != nil {
				t.Fatal(err)
			}
			if got := c.record.State(x); got != c.wantState {
				t.Errorf("the address is %s, want %s", got, c.wantState)
			}
			if v, ok := c.record.RetainedAt(x); ok && v.Use != c.wantUse {
				t.Errorf("the address is %s, want %s", v.Use, c.wantUse)
			}
			if got := c.record.SeenThrough(); got != c.wantMark {
				t.Errorf("the mark is %d, want %d", got, c.wantMark)
			}
			done, holders, over := d.outcome()
			if got := done[x].verb; got != c.wantVerb {
				t.Errorf("the address was %q, want %q", got, c.wantVerb)
			}
			if c.wantHolder != nil && holders[x] != c.wantHolder.UID || c.wantHolder == nil && holders[x] != "" {
				t.Errorf("the address is %q's, want %v", holders[x], c.wantHolder)
			}
			if len(over.unseen) != len(c.unseen) {
				t.Errorf("%d of %d lost addresses need no more acting upon", len(over.unseen), len(c.unseen))
			}
			if len(over.ends) != c.wantOver || d.early != c.wantEarly || len(d.late) != c.wantLate {
				t.Errorf("%d ends are over, early is %t, %d are late, want %d, %t and %d", len(over.ends), d.early, len(d.late), c.wantOver, c.wantEarly, c.wantLate)
			}
		})
	}
}

// The first write landed and its answer was lost; the second attempt finds its
// effect, and must report it all the same.
func TestTendingTwiceReportsWhatTheFirstAttemptDid(t *testing.T) {
	t.Parallel()
	a := pod("a", tokenA, 10)
	d := tending{pool: "p", claims: view{10, []*Pod{a}}, identity: identityOfTests, holder: func(netip.Addr) types.UID { return "" }}
	r := reservedFor(t, tokenA)
	for range 2 {
		if err := d.do(r); err != nil {
			t.Fatal(err)
		}
	}
	if done, holders, _ := d.outcome(); done[x].verb != settled || holders[x] != a.UID {
		t.Errorf("settling: got %+v, %v", done, holders)
	}
	d = tending{
		pool: "p", claims: view{20, []*Pod{finished(a)}}, identity: identityOfTests, holder: func(netip.Addr) types.UID { return a.UID },
		sights: sights{ends: map[carried]end{{a.UID, x}: {pod: finished(a), revision: 20}}},
	}
	for range 2 {
		if err := d.do(r); err != nil {
			t.Fatal(err)
		}
	}
	if done, holders, over := d.outcome(); done[x].verb != released || holders[x] != "" || len(over.ends) != 1 {
		t.Errorf("releasing: got %+v, %v, %v", done, holders, over)
	}
	// And where the first attempt did not land after all, it is as if it never was.
	d.final = settledFor(t, tokenA, 10)
	if done, _, over := d.outcome(); len(done) != 0 || len(over.ends) != 0 {
		t.Errorf("an attempt that was not stored: got %+v, %v", done, over)
	}
}

func TestEndsBeforeTheBaselineProveNothing(t *testing.T) {
	t.Parallel()
	ts := newTenures("me")
	pool := &crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "1"}}
	ts.of(pool)
	seen := func() int { return len(ts.seen("p").ends) }
	a := finished(pod("a", tokenA, 20))
	ts.noteEnd(end{pod: a, revision: a.Revision})
	if seen() != 0 {
		t.Error("an end counts before the take-over")
	}
	ts.begin(pool, &allocator.Record{})
	ts.see(pool, 25, map[netip.Addr]types.UID{x: "uid-b"}, nil)
	if seen() != 0 {
		t.Error("an end at 20 counts, before the baseline at 25")
	}
	later := *a
	later.Revision = 26
	ts.noteEnd(end{pod: &later, revision: later.Revision})
	if seen() != 1 {
		t.Error("an end after the baseline does not count")
	}
	if got := ts.holder("p", x); got != "uid-b" {
		t.Errorf("the address is %q's", got)
	}
	anew := &crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "2"}}
	if begun, before, baseline := ts.of(anew); begun || before != nil || baseline != 0 || ts.holder("p", x) != "" {
		t.Error("a pool made anew keeps the tenure of the old")
	}
	if seen() != 0 {
		t.Error("an end counts in a pool made anew and not taken over")
	}
}

func TestALongerGraceCountsThoughItWasShortened(t *testing.T) {
	t.Parallel()
	ts := newTenures("me")
	h := ends{tenures: ts, claims: view{}, queue: deaf{}}
	with := func(grace time.Duration, revision uint64) *Pod {
		p := pod("a", tokenA, revision)
		p.Node, p.Grace = "n", grace
		return p
	}
	h.OnAdd(with(0, 1), false)
	h.OnUpdate(with(0, 1), with(2*time.Hour, 2)) // deleted, with much time to end
	h.OnUpdate(with(2*time.Hour, 2), with(0, 3)) // deleted by force: its node may not learn of it
	h.OnDelete(with(0, 3))
	if e := ts.byPool["p"].ends[carried{"uid-a", x}]; !e.vanished || e.pod.Grace != 2*time.Hour {
		t.Errorf("its end is %+v", e)
	}
	if len(ts.graces) != 0 {
		t.Errorf("remembered for ever: %v", ts.graces)
	}
}

func TestPoolsOfOneSubnetAreJudgedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	a, b := version("a", 1, false, "10.0.0.1"), version("b", 2, false, "10.0.0.2")
	far := version("far", 3, false, "fd00::1")
	far.Spec.Subnet = "fd00::/64"
	var turns turns
	if !turns.take(a) || !turns.take(far) {
		t.Error("nothing was in the way")
	}
	if turns.take(b) {
		t.Error("two of one subnet are judged at once")
	}
	turns.giveBack(a)
	if !turns.take(b) {
		t.Error("the first was done")
	}
}

func TestAPodThatCarriesAnAddressFromAnotherPoolStandsAgainstThisOne(t *testing.T) {
	t.Parallel()
	p := pod("a", tokenA, 1) // of pool p
	r := readiness{claims: crowded{p}}
	for name, c := range map[string]struct {
		self *crdv1.SpiderIPPool
		want bool
	}{
		"from another":                       {version("q", 1, false, x.String()), true},
		"from this one":                      {version("p", 1, false, x.String()), false},
		"the other pool has other addresses": {version("q", 1, false, x.Next().String()), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if a, got, from := r.stray(c.self); (got == p) != c.want || c.want && (a != x || from != "p") {
				t.Errorf("got %s, %v, %q", a, got, from)
			}
		})
	}
}

// crowded are claimants.
type crowded []*Pod

func (crowded) Revision() uint64 { return 0 }

func (crowded) Pools() []string { return []string{"p"} }

func (c crowded) Claimants(string) []*Pod { return c }

func TestAFormerLeaderWritesNothing(t *testing.T) {
	t.Parallel()
	tx := ledger.Tx{State: &ledger.State{Pool: version("p", 1, true, "10.0.0.1")}, Record: &allocator.Record{}}
	tx.Record.SetTerm("another")
	wrote := false
	err := newTenures("me").fence("p", func(*ledger.Tx) error { wrote = true; return nil })(&tx)
	if !errors.Is(err, errDeposed) || wrote {
		t.Errorf("a leader whose term is over was not deposed: %v, wrote %t", err, wrote)
	}
}

func TestDropKeepsWhatIsNewer(t *testing.T) {
	t.Parallel()
	ts := newTenures("me")
	pool := &crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "1"}}
	ts.of(pool)
	ts.begin(pool, &allocator.Record{})
	ts.see(pool, 1, nil, nil)
	a := pod("a", tokenA, 20)
	ts.noteEnd(end{pod: finished(a), revision: 20})
	before := ts.seen("p")
	again := pod("a", tokenA, 30)
	ts.noteLive(again)
	ts.drop("p", before)
	if now := ts.seen("p"); len(now.ends) != 0 || len(now.appeared) != 1 {
		t.Errorf("%d ends and %d appearances, want none and one: it lives", len(now.ends), len(now.appeared))
	}
	ts.noteEnd(end{pod: finished(pod("a", tokenA, 40)), revision: 40})
	ts.drop("p", before)
	if now := ts.seen("p"); len(now.appeared) != 0 || now.ends[carried{a.UID, x}].revision != 40 {
		t.Error("the second end of the pod is gone")
	}
}

// watcher is a view of the pods as expiry asks for it.
type watcher struct {
	view
	lists uint64
}

func (w *watcher) Lists() uint64 { return w.lists }

func (*watcher) Listing() bool { return false }

func (w *watcher) Received() uint64 { return w.revision }

func (*watcher) Since(context.Context, string) (Gap, error) { return Gap{}, errors.New("nobody asks") }

func TestReservationsAreDueAfterTheGraceOnThisClock(t *testing.T) {
	t.Parallel()
	now := moment
	e := &expire{grace: 90 * time.Second, claims: &watcher{}, now: func() time.Time { return now }}
	r := reservedFor(t, tokenA)
	if due := e.due("p", r); len(due) != 0 {
		t.Errorf("at first sight: %v", due)
	}
	now = now.Add(89 * time.Second)
	if due := e.due("p", r); len(due) != 0 {
		t.Errorf("before the grace is over: %v", due)
	}
	now = now.Add(time.Second)
	if due := e.due("p", r); len(due["default"]) != 1 || due["default"][0].address != x {
		t.Errorf("after the grace: %v", due)
	}
	e.due("p", &allocator.Record{})
	if due := e.due("p", r); len(due) != 0 {
		t.Errorf("a reservation that was gone in between: %v", due)
	}
	now = now.Add(time.Hour)
	e.claims = &watcher{view: view{1, []*Pod{pod("a", tokenA, 1)}}}
	if due := e.due("p", r); len(due) != 0 {
		t.Errorf("while its pod is in view: %v", due)
	}
}

func TestWhatBecomesOfAReservationThatNoPodCarries(t *testing.T) {
	t.Parallel()
	pool := &crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "1"}}
	for name, c := range map[string]struct {
		before *allocator.Record // when this leader took the pool over
		lists  uint64
		came   bool
		ended  bool   // and tending has not got to it
		told   uint64 // handlers, of what they must have been told until 45
		seen   Gap
		want   string
	}{
		"watched all along, and beyond the proof":          {before: &allocator.Record{}, lists: 3, told: 45, seen: Gap{through: 50}, want: expired},
		"what is seen is behind the proof":                 {before: &allocator.Record{}, lists: 3, told: 45, seen: Gap{through: 49}},
		"handlers were not told of all that the view has":  {before: &allocator.Record{}, lists: 3, told: 44, seen: Gap{through: 50}},
		"a pod came and went beyond the view":              {before: &allocator.Record{}, lists: 3, came: true, told: 45, seen: Gap{through: 50}},
		"the end of its pod was not acted upon yet":        {before: &allocator.Record{}, lists: 3, ended: true, told: 45, seen: Gap{through: 50}},
		"the watch broke, so a pod may have come and gone": {before: &allocator.Record{}, lists: 4, told: 45, seen: Gap{through: 50}, want: held},
		"it stood before this leader did":                  {before: reservedFor(t, tokenA), lists: 3, told: 45, seen: Gap{through: 50}, want: held},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ts := newTenures("me")
			ts.of(pool)
			ts.begin(pool, c.before)
			ts.noteTold(c.told)
			if c.ended {
				ts.noteEnd(end{pod: pod("a", tokenA, 40), revision: 41, vanished: true})
			}
			e := &expire{claims: &watcher{lists: c.lists}, tenures: ts}
			r, _ := reservedFor(t, tokenA).AwaitedAt(x)
			if got := e.verdict("p", due{x, r, &sight{lists: 3, absent: 50, told: 45, came: c.came}}, c.seen); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// version returns a pool as the API server would.
func version(name string, created int64, ready bool, ips ...string) *crdv1.SpiderIPPool {
	p := &crdv1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), ResourceVersion: "1", Generation: 3, CreationTimestamp: metav1.Unix(created, 0)},
		Spec:       crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", IPs: ips},
	}
	p.Status.Term = "me"
	if ready {
		meta.SetStatusCondition(&p.Status.Conditions, metav1.Condition{Type: crdv1.ConditionReady, Status: metav1.ConditionTrue, ObservedGeneration: 3})
	}
	return p
}

func TestJudgement(t *testing.T) {
	t.Parallel()
	using := version("using", 9, true, "10.0.0.200")
	using.Status.Settled = []string{"10.0.0.5"}
	garbage := version("garbage", 1, true, "10.0.0.9-10.0.0.1")
	corrupt := version("corrupt", 9, true, "10.0.0.9-10.0.0.20")
	corrupt.Status.Settled = []string{"nonsense"}
	routed := version("routed", 5, false, "10.0.0.99")
	routed.Spec.Gateway = new("10.0.0.1")
	foreign := version("foreign", 9, false, "10.0.0.100")
	foreign.Status.Term = "another"
	edited := version("edited", 9, true, "10.0.0.5-10.0.0.20")
	edited.Generation++
	for name, c := range map[string]struct {
		pool   *crdv1.SpiderIPPool
		others []*crdv1.SpiderIPPool
		want   string // message; empty means Ready
	}{
		"alone":                                      {pool: version("p", 5, false, "10.0.0.1-10.0.0.10")},
		"beside one with other addresses":            {pool: version("p", 5, false, "10.0.0.1-10.0.0.10"), others: []*crdv1.SpiderIPPool{version("o", 1, true, "10.0.0.11")}},
		"over an older one":                          {version("p", 5, false, "10.0.0.1-10.0.0.10"), []*crdv1.SpiderIPPool{version("o", 4, false, "10.0.0.7-10.0.0.20")}, `10.0.0.7-10.0.0.10 is in pool "o" too; take it out of spec.ips of one of the two`},
		"over a younger one that waits":              {pool: version("p", 5, false, "10.0.0.1-10.0.0.10"), others: []*crdv1.SpiderIPPool{version("o", 6, false, "10.0.0.7-10.0.0.20")}},
		"over a younger one that is Ready":           {version("p", 5, false, "10.0.0.1-10.0.0.10"), []*crdv1.SpiderIPPool{version("o", 6, true, "10.0.0.7-10.0.0.20")}, `10.0.0.7-10.0.0.10 is in pool "o" too; take it out of spec.ips of one of the two`},
		"over a younger one Ready for an older spec": {pool: version("p", 5, false, "10.0.0.10"), others: []*crdv1.SpiderIPPool{edited}},
		"of the same second, the UID decides":        {version("p", 5, false, "10.0.0.1"), []*crdv1.SpiderIPPool{version("o", 5, false, "10.0.0.1")}, `10.0.0.1 is in pool "o" too; take it out of spec.ips of one of the two`},
		"over an address in use from another":        {version("p", 5, false, "10.0.0.1-10.0.0.10"), []*crdv1.SpiderIPPool{using}, `address 10.0.0.5 is in use from pool "using"; take it out of spec.ips`},
		"over one whose record cannot be read":       {version("p", 5, false, "10.0.0.1-10.0.0.10"), []*crdv1.SpiderIPPool{corrupt}, `10.0.0.9-10.0.0.10 is in pool "corrupt" too; take it out of spec.ips of one of the two`},
		"over the gateway of another":                {version("p", 5, false, "10.0.0.1-10.0.0.10"), []*crdv1.SpiderIPPool{routed}, `10.0.0.1 is the gateway of pool "routed"; take it out of spec.ips`},
		"with a gateway that another has":            {routed, []*crdv1.SpiderIPPool{version("o", 9, false, "10.0.0.1-10.0.0.10")}, `the gateway 10.0.0.1 is an address of pool "o"; take it out of its spec.ips`},
		"beside one whose record cannot be read":     {pool: version("p", 5, false, "10.0.0.1"), others: []*crdv1.SpiderIPPool{corrupt}},
		"beside one that another leader has":         {version("p", 5, false, "10.0.0.1"), []*crdv1.SpiderIPPool{foreign}, `pool "foreign" of an overlapping subnet was not taken over yet`},
		"beside one whose spec cannot be read":       {pool: version("p", 5, false, "10.0.0.1-10.0.0.10"), others: []*crdv1.SpiderIPPool{garbage}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := judgement(ledger.Read, c.pool, c.others, "me")
			if c.want == "" {
				if got.Status != metav1.ConditionTrue || got.ObservedGeneration != 3 {
					t.Errorf("got %+v, want Ready for generation 3", got)
				}
				return
			}
			if got.Status != metav1.ConditionFalse || got.Message != c.want {
				t.Errorf("got %s %s\n  %s\nwant\n  %s", got.Status, got.Reason, got.Message, c.want)
			}
		})
	}
}

func TestAllPoolsAreReadOnlyWhereTheWatchShowsSomethingNew(t *testing.T) {
	t.Parallel()
	first := version("first", 1, true, "10.0.0.1-10.0.0.9")
	second := version("second", 2, false, "10.0.0.9-10.0.0.20")
	told := second.DeepCopy()
	told.Status.Conditions = []metav1.Condition{judgement(ledger.Read, told, []*crdv1.SpiderIPPool{first}, "me")}
	elsewhere := version("first", 1, true, "10.0.0.1-10.0.0.10")
	for name, c := range map[string]struct {
		pool   *crdv1.SpiderIPPool
		others []*crdv1.SpiderIPPool
		want   bool
	}{
		"it was told what stands against it":     {told, []*crdv1.SpiderIPPool{first}, true},
		"it was not told yet":                    {second, []*crdv1.SpiderIPPool{first}, false},
		"something else stands against it":       {told, []*crdv1.SpiderIPPool{elsewhere}, false},
		"nothing stands against it any more":     {told, nil, false},
		"a pool far away has nothing against it": {told, []*crdv1.SpiderIPPool{first, {ObjectMeta: metav1.ObjectMeta{Name: "far"}, Spec: crdv1.IPPoolSpec{Subnet: "fd00::/64"}}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := shownPools{c.pool.Name: c.pool}
			for _, o := range c.others {
				all[o.Name] = o
			}
			if got := (&readiness{pools: all, tenures: newTenures("me")}).stays(c.pool); got != c.want {
				t.Errorf("it stays: %t", got)
			}
		})
	}
}

func TestAPodIsKeptAsItIs(t *testing.T) {
	t.Parallel()
	deleted := metav1.Now()
	for name, c := range map[string]struct {
		pod          corev1.Pod
		wantGrace    time.Duration
		wantFinished bool
	}{
		"the default grace is written as nothing": {pod: corev1.Pod{}},
		"a long grace": {pod: corev1.Pod{Spec: corev1.PodSpec{TerminationGracePeriodSeconds: new(int64(3600))}}, wantGrace: time.Hour},
		"a grace that no duration can say is as long as one can be": {
			pod: corev1.Pod{Spec: corev1.PodSpec{TerminationGracePeriodSeconds: new(int64(math.MaxInt64))}}, wantGrace: allocator.GraceOf(math.MaxInt64),
		},
		"one that overflows": {
			pod: corev1.Pod{Spec: corev1.PodSpec{TerminationGracePeriodSeconds: new(int64(9223372037))}}, wantGrace: allocator.GraceOf(9223372037),
		},
		"deleted before it had a node, and kept by a finalizer": {pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &deleted}}, wantFinished: true},
		"deleted while on a node": {
			pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &deleted}, Spec: corev1.PodSpec{NodeName: "node"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.pod.ResourceVersion = "1"
			object, err := podOf(&c.pod)
			if err != nil {
				t.Fatal(err)
			}
			p, ok := object.(*Pod)
			if !ok || p.Grace != c.wantGrace || p.Finished != c.wantFinished || p.Grace < 0 {
				t.Errorf("got grace %s, finished %t, want %s, %t", p.Grace, p.Finished, c.wantGrace, c.wantFinished)
			}
		})
	}
}

// A settled address costs nothing in the record, a held one a line.
func TestMoreThanARecordHoldsStaysInUse(t *testing.T) {
	t.Parallel()
	var r allocator.Record
	ends := map[carried]end{}
	holders := map[netip.Addr]types.UID{}
	for i, a := 0, netip.MustParseAddr("10.1.0.0"); i < mostHeld+10; i, a = i+1, a.Next() {
		if err := r.PutBack(a, 1, allocator.Identity{}, ""); err != nil {
			t.Fatal(err)
		}
		p := pod(a.String(), tokenA, 20)
		p.Claims = []crdv1.Claim{{Pool: "p", Address: a}}
		holders[a], ends[carried{p.UID, a}] = p.UID, end{pod: p, revision: 20, vanished: true, noticed: moment}
	}
	d := tending{
		pool: "p", claims: view{revision: 20}, identity: nobody, now: moment, sights: sights{ends: ends},
		in: func(netip.Addr) bool { return true }, holder: func(a netip.Addr) types.UID { return holders[a] },
	}
	if err := d.do(&r); err != nil {
		t.Fatal(err)
	}
	if c := r.Counts(); c.Held != mostHeld || c.Settled != 10 || !d.full {
		t.Errorf("%+v, full %t, want %d held and 10 settled", c, d.full, mostHeld)
	}
	if _, _, over := d.outcome(); len(over.ends) != 0 {
		t.Errorf("%d ends are forgotten, want none: those held are kept in mind for a while, the others wait", len(over.ends))
	}
}
