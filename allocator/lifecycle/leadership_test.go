package lifecycle

import (
	"errors"
	"net/netip"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestEndsBeforeTheBaselineProveNothing(t *testing.T) {
	t.Parallel()
	ts := newLeaderships("me", ledger.Read)
	pool := &crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "1"}}
	ts.of(pool)
	seen := func() int { return len(ts.seen("p").ends) }
	a := finished(pod("a", tokenA, 20))
	ts.noteEnd(end{pod: a, revision: a.Revision})
	if seen() != 0 {
		t.Error("an end counts before the take-over")
	}
	ts.begin(pool, &allocator.Record{}, 1)
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
		t.Error("a pool made anew keeps the leadership of the old")
	}
	if seen() != 0 {
		t.Error("an end counts in a pool made anew and not taken over")
	}
}

func TestAFormerLeaderWritesNothing(t *testing.T) {
	t.Parallel()
	tx := ledger.Tx{State: &ledger.State{Pool: version("p", 1, true, "10.0.0.1")}, Record: &allocator.Record{}}
	tx.Record.SetTerm("another")
	wrote := false
	err := newLeaderships("me", ledger.Read).fence("p", func(*ledger.Tx) error { wrote = true; return nil })(&tx)
	if !errors.Is(err, ledger.ErrLeadershipLost) || wrote {
		t.Errorf("a leader whose term is over did not lose the pool: %v, wrote %t", err, wrote)
	}
}

func TestDropKeepsWhatIsNewer(t *testing.T) {
	t.Parallel()
	ts := newLeaderships("me", ledger.Read)
	pool := &crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "1"}}
	ts.of(pool)
	ts.begin(pool, &allocator.Record{}, 1)
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
	if now := ts.seen("p"); len(now.appeared) != 0 || now.ends[podAddress{a.UID, x}].revision != 40 {
		t.Error("the second end of the pod is gone")
	}
}
