package lifecycle

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// patience lets settling and releasing share writes with admissions. It is well below the second
// within which an address is released.
const patience = 100 * time.Millisecond

// retry is how soon what failed for a reason that may pass is tried again.
const retry = time.Second

// catchUp is how long to wait before looking again whether the view of the pods has reached a mark.
const catchUp = 20 * time.Millisecond

// addresses settles, releases and holds the addresses of one pool per reconciliation.
type addresses struct {
	ledger           Applier
	pools            ledger.Pools
	claims           listedIndex
	identity         Identifier
	nodes            nodesShown
	history          *history
	endpoints        endpointLister
	conflicts        *conflicts
	leaderships      *leaderships
	metrics          *Metrics
	events           *events
	onLeadershipLost func(error)     // stops leading
	slow             reminders       // of pools in which something waits
	freed            func(*view.Pod) // tells that an address of a pod is free again; does not block
}

// listedIndex is what taking a pool over asks about pods, beside what tending asks.
type listedIndex interface {
	index
	// Listed returns how often all pods were listed, and whether the last of these lists is surely
	// over.
	Listed() (count uint64, answered bool)
}

// endpointLister says which pods had which addresses of a pool, as far as people were told.
type endpointLister interface {
	Of(ctx context.Context, pool string) (map[netip.Addr][]*view.Pod, error)
}

// Reconcile takes a pool over and then brings its record in line with the pods.
func (a *addresses) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	pool, ok := a.pools.Pool(r.Name)
	if !ok {
		a.leaderships.forget(r.Name)
		return reconcile.Result{}, nil
	}
	begun, before, baseline := a.leaderships.of(pool)
	if !begun {
		var err error
		if before, err = a.takeOver(ctx, pool); err != nil {
			return a.result(err)
		}
	}
	if baseline == 0 {
		revision := a.claims.Revision()
		reached, reset, err := a.history.reached(ctx, pool.Name, before.SeenThrough())
		if err != nil {
			return reconcile.Result{}, err
		}
		if !reached {
			a.remind(ctx, pool.Name, "no address of the pool is settled or comes free until the view of the pods has caught up", "view", revision, "needed", before.SeenThrough())
			return reconcile.Result{RequeueAfter: catchUp}, nil
		}
		if reset > 0 {
			if err := a.resetMark(ctx, pool, before.SeenThrough(), reset); err != nil {
				return a.result(err)
			}
		}
		holders, unseen, err := a.standing(ctx, pool.Name, before)
		if err != nil {
			return reconcile.Result{}, err
		}
		a.leaderships.see(pool, revision, holders, unseen)
	}
	return a.tend(ctx, pool)
}

// result turns errors that a later look resolves into waiting.
func (a *addresses) result(err error) (reconcile.Result, error) {
	var refused *ledger.RefusedError
	if errors.Is(err, ledger.ErrReplaced) || errors.As(err, &refused) { // the pool is gone: the watch will tell
		return reconcile.Result{RequeueAfter: time.Second}, nil
	}
	return reconcile.Result{}, stopOnLostLeadership(err, a.onLeadershipLost)
}

// takeOver writes this leader's term into the record of the pool and returns what the record said.
func (a *addresses) takeOver(ctx context.Context, pool *crdv1.SpiderIPPool) (*allocator.Record, error) {
	var before *allocator.Record
	lists, answered := a.claims.Listed()
	if !answered {
		lists = 0
	}
	err := a.ledger.Apply(ctx, pool.Name, ledger.Change{Do: ledger.TakeOver(a.leaderships.term, pool.UID, func(tx *ledger.Tx) {
		before = tx.State.Record // nobody changes it
	})})
	if err != nil {
		return nil, err
	}
	a.leaderships.begin(pool, before, lists)
	log.FromContext(ctx).Info("took the pool over", "pool", pool.Name, "term", a.leaderships.term, "podsSeenThrough", before.SeenThrough())
	return before, nil
}

// resetMark lowers a mark that comes from another history of the cluster (I11).
func (a *addresses) resetMark(ctx context.Context, pool *crdv1.SpiderIPPool, mark, reset uint64) error {
	err := a.ledger.Apply(ctx, pool.Name, ledger.Change{Do: a.leaderships.fence(pool.UID, func(tx *ledger.Tx) error {
		if tx.Record.SeenThrough() == mark {
			tx.Record.ResetSeenThrough(reset)
		}
		return nil
	})})
	if err == nil {
		log.FromContext(ctx).Info("the pool's mark came from another history of the cluster and was reset", "pool", pool.Name, "podsSeenThrough", mark, "revision", reset)
	}
	return err
}

// standing returns whose the addresses in use were when the pool was taken over, and those that
// have no live pod: nobody saw its end, so they are to be held.
func (a *addresses) standing(ctx context.Context, pool string, before *allocator.Record) (map[netip.Addr]types.UID, map[netip.Addr]orphanedAllocation, error) {
	holders, unseen := map[netip.Addr]types.UID{}, map[netip.Addr]orphanedAllocation{}
	var had map[netip.Addr][]*view.Pod
	for address := range before.AllInUse() {
		if live := a.claims.Live(address); len(live) > 0 {
			holders[address] = live[0].UID
			continue
		}
		if had == nil {
			var err error
			if had, err = a.endpoints.Of(ctx, pool); err != nil {
				return nil, nil, err
			}
		}
		unseen[address] = orphanOf(had[address], before.LongestGrace(), time.Now())
	}
	return holders, unseen, nil
}

// orphanOf returns the hold of an address whose pod ended while nobody led. Where endpoints name
// several pods, or none, neither its node nor its termination grace is known; longest is that of
// all pods of the pool.
func orphanOf(had []*view.Pod, longest time.Duration, now time.Time) orphanedAllocation {
	if len(had) == 1 {
		return orphanedAllocation{had[0], allocator.Hold{Node: had[0].Node, Since: now, Grace: had[0].Grace, Pod: podOf(had[0])}}
	}
	return orphanedAllocation{&view.Pod{}, allocator.Hold{Since: now, Grace: longest}}
}

// tend settles, releases and holds what the view of the pods allows.
func (a *addresses) tend(ctx context.Context, pool *crdv1.SpiderIPPool) (reconcile.Result, error) {
	t := tending{
		pool:     pool.Name,
		claims:   a.claims,
		identity: a.identity,
		nodes:    a.nodes,
		mostHeld: a.leaderships.mostHeld,
		holder:   func(address netip.Addr) types.UID { return a.leaderships.holder(pool.Name, address) },
	}
	err := a.ledger.Apply(ctx, pool.Name, ledger.Change{
		Patience: patience,
		Do: a.leaderships.fence(pool.UID, func(tx *ledger.Tx) error {
			t.observations = a.leaderships.seen(pool.Name)
			t.in, t.now = tx.Space.Contains, tx.Now
			return t.do(tx.Record)
		}),
	})
	if err != nil {
		return a.result(err)
	}
	done, holders, over := t.outcome()
	a.leaderships.hold(pool.Name, holders)
	unmet := a.resolveConflicts(ctx, pool.Name, t.late, over.appeared)
	a.leaderships.drop(pool.Name, over)
	a.tell(ctx, pool.Name, done)
	switch {
	case t.early:
		a.remind(ctx, pool.Name, "addresses do not come free until the view of the pods has caught up", "view", a.claims.Revision(), "needed", t.final.SeenThrough())
		return reconcile.Result{RequeueAfter: catchUp}, nil
	case unmet:
		return reconcile.Result{RequeueAfter: retry}, nil
	case t.full:
		a.remind(ctx, pool.Name, "addresses of pods that vanished stay settled until other holds of the pool have ended: it has as many as it may", "holds", t.mostHeld)
		return reconcile.Result{RequeueAfter: holdInterval}, nil
	case t.nodeless:
		a.remind(ctx, pool.Name, "addresses stay reserved although pods carry them, since the pods name nodes that do not exist")
		return reconcile.Result{RequeueAfter: holdInterval}, nil
	}
	return reconcile.Result{}, nil
}

// remind has the log say what goes on for long.
func (a *addresses) remind(ctx context.Context, pool, what string, keysAndValues ...any) {
	if a.slow.due(pool+" "+what, time.Now(), remindGap) {
		log.FromContext(ctx).Info(what, append([]any{"pool", pool}, keysAndValues...)...)
	}
}

// resolveConflicts deals with those that claim what is another's. Whom it could not deal with stays
// to be acted upon.
func (a *addresses) resolveConflicts(ctx context.Context, pool string, late, over map[podAddress]*view.Pod) (unmet bool) {
	for key, p := range late {
		if err := a.conflicts.resolveConflict(ctx, pool, key.address, p); err != nil {
			log.FromContext(ctx).Error(err, "two live pods may carry one address still; trying again", "pool", pool, "address", key.address)
			delete(over, key)
			unmet = true
		}
	}
	return unmet
}

// tell reports what was done: to the log always, to people where it is unusual.
func (a *addresses) tell(ctx context.Context, pool string, done map[netip.Addr]step) {
	for address, s := range done {
		view.LogStep(log.FromContext(ctx), s.verb, pool, address, s.pod)
		a.metrics.ended(s.verb, s.since)
		switch s.verb {
		case held:
			if s.pod.Name != "" {
				a.events.held(s.pod, pool, address)
			}
		case putBack:
			a.metrics.violated(violatedI2)
		}
		if s.ends() {
			a.freed(s.pod)
		}
	}
}
