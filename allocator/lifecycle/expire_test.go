package lifecycle

import (
	"context"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// watcher is a view of the pods as expiry asks for it.
type watcher struct {
	podView
	lists uint64
}

func (w *watcher) Lists() uint64 { return w.lists }

func (w *watcher) Received() uint64 { return w.revision }

func (*watcher) Since(context.Context, string) (view.Gap, error) {
	return view.Gap{}, errors.New("nobody asks")
}

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
	e.claims = &watcher{podView: podView{1, []*view.Pod{pod("a", tokenA, 1)}}}
	if due := e.due("p", r); len(due) != 0 {
		t.Errorf("while its pod is in view: %v", due)
	}
}

// knows is what a process knows of the pods of all reservations.
type knows view.Arrival

func (k knows) Of(string, allocator.Token, uint64) view.Arrival { return view.Arrival(k) }

func TestWhatBecomesOfAReservationThatNoPodCarries(t *testing.T) {
	t.Parallel()
	pool := &crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "1"}}
	for name, c := range map[string]struct {
		before *allocator.Record // when this leader took the pool over
		lists  uint64            // how often pods were listed; 3 when this leader took the pool over
		pod    view.Arrival      // what is known of its pod
		came   bool
		ended  bool   // and tending has not got to it
		told   uint64 // handlers, of what they must have been told until 45
		seen   view.Gap
		want   string
	}{
		"watched all along, and beyond the proof":          {before: &allocator.Record{}, lists: 3, told: 45, seen: view.Gap{Through: 50}, want: expired},
		"what is seen is behind the proof":                 {before: &allocator.Record{}, lists: 3, told: 45, seen: view.Gap{Through: 49}},
		"handlers were not told of all that the view has":  {before: &allocator.Record{}, lists: 3, told: 44, seen: view.Gap{Through: 50}},
		"a pod came and went beyond the view":              {before: &allocator.Record{}, lists: 3, came: true, told: 45, seen: view.Gap{Through: 50}},
		"the end of its pod was not acted upon yet":        {before: &allocator.Record{}, lists: 3, ended: true, told: 45, seen: view.Gap{Through: 50}},
		"the watch broke, so a pod may have come and gone": {before: &allocator.Record{}, lists: 4, told: 45, seen: view.Gap{Through: 50}, want: held},
		"the watch broke before it was made": {
			before: &allocator.Record{}, lists: 4, pod: view.NoneVanished, told: 45, seen: view.Gap{Through: 50}, want: expired,
		},
		"it stood before this leader did": {before: reservedFor(t, tokenA), lists: 3, told: 45, seen: view.Gap{Through: 50}, want: held},
		"it stood before this leader did, which had watched all along": {
			before: reservedFor(t, tokenA), lists: 3, pod: view.NoneVanished, told: 45, seen: view.Gap{Through: 50}, want: expired,
		},
		"the same, and what is seen is behind the proof": {
			before: reservedFor(t, tokenA), lists: 3, pod: view.NoneVanished, told: 45, seen: view.Gap{Through: 49},
		},
		"the same, and what remembers was not told of all that the view has": {
			before: reservedFor(t, tokenA), lists: 3, pod: view.NotToldYet, told: 45, seen: view.Gap{Through: 50},
		},
		"the same, and the end of its pod was not acted upon yet": {
			before: reservedFor(t, tokenA), lists: 3, pod: view.NoneVanished, ended: true, told: 45, seen: view.Gap{Through: 50},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ts := newLeaderships("me", ledger.Read)
			ts.of(pool)
			ts.begin(pool, c.before, 3)
			ts.noteTold(c.told)
			if c.ended {
				ts.noteEnd(end{pod: pod("a", tokenA, 40), revision: 41, vanished: true})
			}
			e := &expire{claims: &watcher{lists: c.lists}, arrivals: knows(c.pod), leaderships: ts}
			r, _ := reservedFor(t, tokenA).AwaitedAt(x)
			got, why := e.verdict("p", dueReservation{x, r, &watchedReservation{absent: 50, told: 45, came: c.came}}, c.seen)
			if got != c.want || (got == "") != (why == "") {
				t.Errorf("got %q because %q, want %q", got, why, c.want)
			}
		})
	}
}
