package lifecycle

import (
	"testing"
	"time"

	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
)

func TestALongerGraceCountsThoughItWasShortened(t *testing.T) {
	t.Parallel()
	ts := newLeaderships("me", ledger.Read)
	h := ends{leaderships: ts, claims: podView{}, queue: deaf{}}
	with := func(grace time.Duration, revision uint64) *view.Pod {
		p := pod("a", tokenA, revision)
		p.Node, p.Grace = "n", grace
		return p
	}
	h.OnAdd(with(0, 1), false)
	h.OnUpdate(with(0, 1), with(2*time.Hour, 2)) // deleted, with much time to end
	h.OnUpdate(with(2*time.Hour, 2), with(0, 3)) // deleted by force: its node may not learn of it
	h.OnDelete(with(0, 3))
	if e := ts.byPool["p"].ends[podAddress{"uid-a", x}]; !e.vanished || e.pod.Grace != 2*time.Hour {
		t.Errorf("its end is %+v", e)
	}
	if len(ts.graces) != 0 {
		t.Errorf("remembered for ever: %v", ts.graces)
	}
}
