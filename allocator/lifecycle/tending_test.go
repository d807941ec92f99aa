package lifecycle

import (
	"net/netip"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/view"
)

func TestTending(t *testing.T) {
	t.Parallel()
	a, b := pod("a", tokenA, 10), pod("b", tokenB, 30)
	unbound := pod("a", tokenA, 10)
	unbound.Node = ""
	keyA := podAddress{a.UID, x}
	endOfA := map[podAddress]end{keyA: {pod: finished(a), revision: 20}}
	vanishedA := map[podAddress]end{keyA: {pod: a, revision: 20, vanished: true}}
	for name, c := range map[string]struct {
		record     *allocator.Record
		view       podView
		holder     *view.Pod // of x, known from before
		ends       map[podAddress]end
		appeared   map[podAddress]*view.Pod
		unseen     map[netip.Addr]orphanedAllocation
		stable     bool // the pods have identities
		wantState  allocator.State
		wantUse    allocator.Use
		wantVerb   string
		wantHolder *view.Pod // after what was done; nil: nothing was done, or x is free
		wantOver   int       // ends that need no more acting upon
		wantEarly  bool
		wantLate   int // pods that are live again while x is another's
		wantMark   uint64
		outside    bool // x is no address of the pool
		noNode     bool // no node is shown
		wantNone   bool // a pod is not settled for that
	}{
		"a pod on a node that is not shown leaves its reservation": {
			record: reservedFor(t, tokenA), view: podView{10, []*view.Pod{a}}, appeared: map[podAddress]*view.Pod{keyA: a}, noNode: true,
			wantState: allocator.StateReserved, wantNone: true,
		},
		"so does one with a stable identity": {
			record: keptFor(t, tokenA), view: podView{10, []*view.Pod{a}}, noNode: true,
			wantState: allocator.StateReserved, wantNone: true,
		},
		"a pod that has no node yet settles": {
			record: reservedFor(t, tokenA), view: podView{10, []*view.Pod{unbound}}, noNode: true,
			wantState: allocator.StateSettled, wantVerb: settled, wantHolder: a, wantMark: 10,
		},
		"a pod on a node that is not shown gives back when it has finished": {
			record: reservedFor(t, tokenA), view: podView{20, []*view.Pod{finished(a)}}, noNode: true,
			wantState: allocator.StateFree, wantVerb: givenBack,
		},
		"a pod on a node that is not shown has its address held when it vanished": {
			record: reservedFor(t, tokenA), view: podView{revision: 20}, ends: vanishedA, noNode: true,
			wantState: allocator.StateHeld, wantVerb: held, wantOver: 1,
		},

		"a live pod settles its reservation and raises the mark": {
			record: reservedFor(t, tokenA), view: podView{10, []*view.Pod{a}},
			wantState: allocator.StateSettled, wantVerb: settled, wantHolder: a, wantMark: 10,
		},
		"a pod that was not seen leaves its reservation": {
			record: reservedFor(t, tokenA), view: podView{revision: 10},
			wantState: allocator.StateReserved,
		},
		"a pod of another token does not settle it": {
			record: reservedFor(t, tokenB), view: podView{10, []*view.Pod{a}},
			wantState: allocator.StateReserved,
		},
		"a pod that finished before it was settled gives back": {
			record: reservedFor(t, tokenA), view: podView{20, []*view.Pod{finished(a)}},
			wantState: allocator.StateFree, wantVerb: givenBack,
		},
		"a pod that never ran and is gone gives back": {
			record: reservedFor(t, tokenA), view: podView{revision: 20}, ends: endOfA,
			wantState: allocator.StateFree, wantVerb: givenBack, wantOver: 1,
		},
		"the end of another pod gives nothing back": {
			record: reservedFor(t, tokenB), view: podView{revision: 20}, ends: endOfA,
			wantState: allocator.StateReserved, wantOver: 1,
		},
		"the end of the pod releases": {
			record: settledFor(t, tokenA, 10), view: podView{20, []*view.Pod{finished(a)}}, holder: a, ends: endOfA,
			wantState: allocator.StateFree, wantVerb: released, wantOver: 1, wantMark: 10,
		},
		"a finished pod whose end was not seen to happen releases nothing": {
			record: settledFor(t, tokenA, 10), view: podView{20, []*view.Pod{finished(a)}}, holder: a,
			wantState: allocator.StateSettled, wantMark: 10,
		},
		"a pod whose end is not known yet keeps its address": {
			record: settledFor(t, tokenA, 10), view: podView{revision: 20}, holder: a,
			wantState: allocator.StateSettled, wantMark: 10,
		},
		"the address of a pod that vanished is held": {
			record: settledFor(t, tokenA, 10), view: podView{revision: 20}, holder: a, ends: vanishedA,
			wantState: allocator.StateHeld, wantVerb: held, wantOver: 1, wantMark: 10,
		},
		"a pod that vanished before it was settled has its address held": {
			record: reservedFor(t, tokenA), view: podView{revision: 20}, ends: vanishedA,
			wantState: allocator.StateHeld, wantVerb: held, wantOver: 1,
		},
		"a vanished pod waits for the mark": {
			record: settledFor(t, tokenA, 30), view: podView{revision: 20}, holder: a, ends: vanishedA,
			wantState: allocator.StateSettled, wantEarly: true, wantMark: 30,
		},
		"an address that was nobody's when the pool was taken over is held": {
			record: settledFor(t, tokenA, 10), view: podView{revision: 20}, unseen: map[netip.Addr]orphanedAllocation{x: {pod: a, hold: allocator.Hold{Node: "node", Since: moment}}},
			wantState: allocator.StateHeld, wantVerb: held, wantMark: 10,
		},
		"an address that was nobody's and is somebody's again is not held": {
			record: settledFor(t, tokenA, 10), view: podView{20, []*view.Pod{a}}, appeared: map[podAddress]*view.Pod{keyA: a},
			unseen:    map[netip.Addr]orphanedAllocation{x: {pod: a, hold: allocator.Hold{Node: "node", Since: moment}}},
			wantState: allocator.StateSettled, wantVerb: passedOn, wantHolder: a, wantMark: 10,
		},
		"a held address stays held although a pod that claims it comes into view": {
			record: heldFor(t, tokenA), view: podView{20, []*view.Pod{a}}, appeared: map[podAddress]*view.Pod{keyA: a},
			wantState: allocator.StateHeld, wantMark: 10,
		},
		"a pod with a stable identity makes its address retained": {
			record: keptFor(t, tokenA), view: podView{10, []*view.Pod{a}},
			wantState: allocator.StateRetained, wantUse: allocator.InUse, wantVerb: settled, wantHolder: a, wantMark: 10,
		},
		"the end of a pod with a stable identity leaves the address to the next": {
			record: usedFor(t, tokenA), view: podView{20, []*view.Pod{finished(a)}}, holder: a, ends: endOfA,
			wantState: allocator.StateRetained, wantVerb: vacated, wantOver: 1, wantMark: 10,
		},
		"the address of a stable identity whose pod vanished is kept and held": {
			record: usedFor(t, tokenA), view: podView{revision: 20}, holder: a, ends: vanishedA,
			wantState: allocator.StateRetained, wantUse: allocator.Held, wantVerb: held, wantOver: 1, wantMark: 10,
		},
		"a claim of the identity that an address is kept for is put back": {
			record: leftFor(t, tokenA), view: podView{40, []*view.Pod{a}}, stable: true, appeared: map[podAddress]*view.Pod{keyA: a},
			wantState: allocator.StateRetained, wantUse: allocator.InUse, wantVerb: putBack, wantHolder: a, wantMark: 10,
		},
		"a claim of another identity is told of": {
			record: leftFor(t, tokenA), view: podView{40, []*view.Pod{b}}, stable: true, appeared: map[podAddress]*view.Pod{{b.UID, x}: b},
			wantState: allocator.StateRetained, wantLate: 1, wantMark: 10,
		},
		"a view behind the mark waits": {
			record: settledFor(t, tokenA, 30), view: podView{20, []*view.Pod{finished(a)}}, holder: a, ends: endOfA,
			wantState: allocator.StateSettled, wantEarly: true, wantMark: 30,
		},
		"the end of a pod that had the address before releases nothing": {
			record: settledFor(t, tokenB, 30), view: podView{40, []*view.Pod{finished(a)}}, holder: b, ends: endOfA,
			wantState: allocator.StateSettled, wantOver: 1, wantMark: 30,
		},
		"the end of a pod releases nothing where it is not known whose the address is": {
			record: settledFor(t, tokenB, 30), view: podView{40, []*view.Pod{finished(a)}}, ends: endOfA,
			wantState: allocator.StateSettled, wantOver: 1, wantMark: 30,
		},
		"another live pod that claims the address keeps it, and is its holder then": {
			record: settledFor(t, tokenA, 10), view: podView{30, []*view.Pod{finished(a), b}}, holder: a, ends: endOfA,
			wantState: allocator.StateSettled, wantVerb: passedOn, wantHolder: b, wantOver: 1, wantMark: 10,
		},
		"a pod that is live again keeps its address": {
			record: settledFor(t, tokenA, 10), view: podView{30, []*view.Pod{a}}, holder: a, ends: endOfA,
			wantState: allocator.StateSettled, wantOver: 1, wantMark: 10,
		},
		"settling for the next pod voids the end of the last": {
			record: reservedFor(t, tokenB), view: podView{30, []*view.Pod{b}}, ends: endOfA,
			wantState: allocator.StateSettled, wantVerb: settled, wantHolder: b, wantOver: 1, wantMark: 30,
		},
		"a pod that is live again has its free address put back": {
			record: &allocator.Record{}, view: podView{40, []*view.Pod{a}}, appeared: map[podAddress]*view.Pod{keyA: a},
			wantState: allocator.StateSettled, wantVerb: putBack, wantHolder: a, wantMark: 10,
		},
		"a claim of an address that the pool does not have is not put back": {
			record: &allocator.Record{}, view: podView{40, []*view.Pod{a}}, appeared: map[podAddress]*view.Pod{keyA: a}, outside: true,
			wantState: allocator.StateFree,
		},
		"a pod that is live again after its address was given on is told of": {
			record: settledFor(t, tokenB, 30), view: podView{40, []*view.Pod{a, b}}, holder: b, appeared: map[podAddress]*view.Pod{keyA: a},
			wantState: allocator.StateSettled, wantLate: 1, wantMark: 30,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := tending{
				pool: "p", in: func(netip.Addr) bool { return !c.outside }, claims: c.view, identity: nobody, now: moment, nodes: well{"node": time.Second}, mostHeld: mostHeld,
				observations: observations{ends: c.ends, appeared: c.appeared, unseen: c.unseen},
				holder: func(netip.Addr) types.UID {
					if c.holder == nil {
						return ""
					}
					return c.holder.UID
				},
			}
			if c.noNode {
				d.nodes = well{}
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
			if d.nodeless != c.wantNone {
				t.Errorf("a pod is not settled: %t", d.nodeless)
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

// The first write landed and its answer was lost; the second attempt finds its effect, and must
// report it all the same.
func TestTendingTwiceReportsWhatTheFirstAttemptDid(t *testing.T) {
	t.Parallel()
	a := pod("a", tokenA, 10)
	d := tending{pool: "p", claims: podView{10, []*view.Pod{a}}, identity: identityOfTests, nodes: well{"node": 0}, holder: func(netip.Addr) types.UID { return "" }}
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
		pool: "p", claims: podView{20, []*view.Pod{finished(a)}}, identity: identityOfTests, holder: func(netip.Addr) types.UID { return a.UID },
		observations: observations{ends: map[podAddress]end{{a.UID, x}: {pod: finished(a), revision: 20}}},
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
