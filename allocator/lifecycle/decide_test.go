package lifecycle

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestFinished(t *testing.T) {
	t.Parallel()
	running := []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	ended := []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
	for name, c := range map[string]struct {
		status corev1.PodStatus
		want   bool
	}{
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
			if got := Finished(&c.status); got != c.want {
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

func (v view) Carrier(_ netip.Addr, token string) (*Pod, bool) {
	for _, p := range v.pods {
		if p.Token == token {
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

func TestTending(t *testing.T) {
	t.Parallel()
	a, b := pod("a", tokenA, 10), pod("b", tokenB, 30)
	endOfA := map[netip.Addr]end{x: {pod: finished(a), revision: 20}}
	for name, c := range map[string]struct {
		record    *allocator.Record
		view      view
		ends      map[netip.Addr]end
		wantState allocator.State
		wantVerb  []string
		wantEarly bool
		wantEnds  int // that remain to be acted upon
		wantMark  uint64
	}{
		"a live pod settles its reservation and raises the mark": {
			record: reservedFor(t, tokenA), view: view{10, []*Pod{a}},
			wantState: allocator.StateSettled, wantVerb: []string{settled}, wantMark: 10,
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
			wantState: allocator.StateFree, wantVerb: []string{givenBack},
		},
		"a pod that never ran and is gone gives back": {
			record: reservedFor(t, tokenA), view: view{revision: 20}, ends: endOfA,
			wantState: allocator.StateFree, wantVerb: []string{givenBack},
		},
		"the end of another pod gives nothing back": {
			record: reservedFor(t, tokenB), view: view{revision: 20}, ends: endOfA,
			wantState: allocator.StateReserved,
		},
		"the end of the pod releases": {
			record: settledFor(t, tokenA, 10), view: view{20, []*Pod{finished(a)}}, ends: endOfA,
			wantState: allocator.StateFree, wantVerb: []string{released}, wantMark: 10,
		},
		"a finished pod whose end was not seen to happen releases nothing": {
			record: settledFor(t, tokenA, 10), view: view{20, []*Pod{finished(a)}},
			wantState: allocator.StateSettled, wantMark: 10,
		},
		"a vanished pod releases nothing": {
			record: settledFor(t, tokenA, 10), view: view{revision: 20},
			wantState: allocator.StateSettled, wantMark: 10,
		},
		"a view behind the mark waits": {
			record: settledFor(t, tokenB, 30), view: view{20, []*Pod{finished(a)}}, ends: endOfA,
			wantState: allocator.StateSettled, wantEarly: true, wantEnds: 1, wantMark: 30,
		},
		"another live pod keeps the address, and the old end is void": {
			record: settledFor(t, tokenB, 30), view: view{30, []*Pod{finished(a), b}}, ends: endOfA,
			wantState: allocator.StateSettled, wantMark: 30,
		},
		"settling for the next pod voids the end of the last": {
			record: reservedFor(t, tokenB), view: view{30, []*Pod{b}}, ends: endOfA,
			wantState: allocator.StateSettled, wantVerb: []string{settled}, wantMark: 30,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := tending{claims: c.view}
			d.start(c.ends)
			if err := d.do(c.record); err != nil {
				t.Fatal(err)
			}
			var verbs []string
			for _, s := range d.steps {
				verbs = append(verbs, s.verb)
			}
			if diff := cmp.Diff(c.wantVerb, verbs); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			if got := c.record.State(x); got != c.wantState {
				t.Errorf("the address is %s, want %s", got, c.wantState)
			}
			if left := len(c.ends) - len(d.over); d.early != c.wantEarly || left != c.wantEnds {
				t.Errorf("early is %t and %d ends are left, want %t and %d", d.early, left, c.wantEarly, c.wantEnds)
			}
			if got := c.record.SeenThrough(); got != c.wantMark {
				t.Errorf("the mark is %d, want %d", got, c.wantMark)
			}
		})
	}
}

func TestEndsBeforeTheBaselineProveNothing(t *testing.T) {
	t.Parallel()
	ts := newTenures("me")
	pool := &crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "1"}}
	ts.of(pool)
	a := finished(pod("a", tokenA, 10))
	ts.note(a, 20)
	if got := ts.ends("p"); got != nil {
		t.Errorf("before the take-over: %v", got)
	}
	ts.begin("p", "1", 15)
	ts.see("p", "1", 25)
	if got := ts.ends("p"); len(got) != 0 {
		t.Errorf("an end at 20, before the baseline at 25, counts: %v", got)
	}
	ts.note(a, 26)
	if got := ts.ends("p"); len(got) != 1 {
		t.Errorf("an end after the baseline does not count")
	}
	anew := &crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "2"}}
	if tn := ts.of(anew); tn.begun || tn.baseline != 0 {
		t.Errorf("a pool made anew keeps the tenure of the old: %+v", tn)
	}
	if got := ts.ends("p"); got != nil {
		t.Errorf("of a pool made anew and not taken over: %v", got)
	}
}

func TestDropKeepsANewerEnd(t *testing.T) {
	t.Parallel()
	ts := newTenures("me")
	ts.of(&crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "1"}})
	ts.begin("p", "1", 0)
	ts.see("p", "1", 1)
	ts.note(finished(pod("a", tokenA, 10)), 20)
	seen := ts.ends("p")
	ts.note(finished(pod("b", tokenB, 30)), 40)
	ts.drop("p", seen)
	if got := ts.ends("p")[x]; got.revision != 40 {
		t.Errorf("the end of the second pod is gone")
	}
}

func TestReservationsAreDueAfterTheGraceOnThisClock(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	e := &expire{grace: 90 * time.Second, now: func() time.Time { return now }, first: map[string]map[allocator.Token]time.Time{}}
	r := reservedFor(t, tokenA)
	if due := e.due("p", r); len(due) != 0 {
		t.Errorf("at first sight: %v", due)
	}
	now = now.Add(89 * time.Second)
	if due := e.due("p", r); len(due) != 0 {
		t.Errorf("within the grace: %v", due)
	}
	now = now.Add(time.Second)
	want := map[string]map[allocator.Token]netip.Addr{"default": {tokenA: x}}
	if diff := cmp.Diff(want, e.due("p", r), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("after the grace (-want +got):\n%s", diff)
	}
	again := reservedFor(t, tokenB) // the same address for another admission
	if due := e.due("p", again); len(due) != 0 {
		t.Errorf("a new token inherits the grace of the old: %v", due)
	}
}

// version returns a pool as the API server would.
func version(name string, created int64, ready bool, ips ...string) *crdv1.SpiderIPPool {
	p := &crdv1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), ResourceVersion: "1", Generation: 3, CreationTimestamp: metav1.Unix(created, 0)},
		Spec:       crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", IPs: ips},
	}
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
		"beside one that cannot be read":             {pool: version("p", 5, false, "10.0.0.1-10.0.0.10"), others: []*crdv1.SpiderIPPool{garbage}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := judgement(c.pool, c.others)
			if c.want == "" {
				if got.Status != metav1.ConditionTrue || got.ObservedGeneration != 3 {
					t.Errorf("got %+v, want Ready for generation 3", got)
				}
				return
			}
			if got.Status != metav1.ConditionFalse || got.Reason != crdv1.ReasonOverlap || got.Message != c.want {
				t.Errorf("got %s %s\n  %s\nwant\n  %s", got.Status, got.Reason, got.Message, c.want)
			}
		})
	}
}
