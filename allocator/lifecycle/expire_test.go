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

func (*watcher) Listing() bool { return false }

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

func TestWhatBecomesOfAReservationThatNoPodCarries(t *testing.T) {
	t.Parallel()
	pool := &crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "1"}}
	for name, c := range map[string]struct {
		before *allocator.Record // when this leader took the pool over
		lists  uint64
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
		"it stood before this leader did":                  {before: reservedFor(t, tokenA), lists: 3, told: 45, seen: view.Gap{Through: 50}, want: held},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ts := newLeaderships("me", ledger.Read)
			ts.of(pool)
			ts.begin(pool, c.before)
			ts.noteTold(c.told)
			if c.ended {
				ts.noteEnd(end{pod: pod("a", tokenA, 40), revision: 41, vanished: true})
			}
			e := &expire{claims: &watcher{lists: c.lists}, leaderships: ts}
			r, _ := reservedFor(t, tokenA).AwaitedAt(x)
			if got := e.verdict("p", dueReservation{x, r, &watchedReservation{lists: 3, absent: 50, told: 45, came: c.came}}, c.seen); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
