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
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// patience lets settling and releasing share writes with admissions. It is well
// below the second within which an address is released.
const patience = 100 * time.Millisecond

// catchUp is how long to wait before looking again whether the view of the pods
// has reached a mark.
const catchUp = 20 * time.Millisecond

var errTwo = errors.New("the address that the pod claims is another's in the record")

// addresses settles and releases the addresses of one pool per reconciliation.
type addresses struct {
	ledger  Applier
	pools   ledger.Pools
	claims  *Claims
	tenures *tenures
	depose  func(error) // stops leading
	freed   func(*Pod)  // tells that an address of a pod is free again; does not block
}

// Reconcile takes a pool over and then brings its record in line with the pods.
func (a *addresses) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	pool, ok := a.pools.Pool(r.Name)
	if !ok {
		a.tenures.forget(r.Name)
		return reconcile.Result{}, nil
	}
	begun, before, baseline := a.tenures.of(pool)
	if !begun {
		var err error
		if before, err = a.takeOver(ctx, pool); err != nil {
			return a.result(err)
		}
	}
	if baseline == 0 {
		revision := a.claims.Revision()
		if revision < before.SeenThrough() {
			return reconcile.Result{RequeueAfter: catchUp}, nil
		}
		a.tenures.see(pool, revision, a.holders(ctx, pool.Name, before))
	}
	return a.tend(ctx, pool)
}

// result turns errors that a later look resolves into waiting.
func (a *addresses) result(err error) (reconcile.Result, error) {
	var refused *ledger.RefusedError
	if errors.Is(err, errReplaced) || errors.As(err, &refused) { // the pool is gone: the watch will tell
		return reconcile.Result{RequeueAfter: time.Second}, nil
	}
	return reconcile.Result{}, stop(err, a.depose)
}

// takeOver writes this leader's term into the record of the pool and returns
// what the record said.
func (a *addresses) takeOver(ctx context.Context, pool *crdv1.SpiderIPPool) (*allocator.Record, error) {
	var before *allocator.Record
	err := a.ledger.Apply(ctx, pool.Name, ledger.Change{Do: func(tx *ledger.Tx) error {
		if tx.Pool.UID != pool.UID {
			return errReplaced
		}
		before = tx.State.Record // nobody changes it
		tx.Record.SetTerm(a.tenures.term)
		return nil
	}})
	if err != nil {
		return nil, err
	}
	a.tenures.begin(pool, before)
	log.FromContext(ctx).Info("took the pool over", "pool", pool.Name, "term", a.tenures.term, "podsSeenThrough", before.SeenThrough())
	return before, nil
}

// holders returns whose the settled addresses of a pool were when it was taken
// over, and reports those that have no live pod: nobody saw its end, so they
// stay taken.
func (a *addresses) holders(ctx context.Context, pool string, before *allocator.Record) map[netip.Addr]types.UID {
	holders := map[netip.Addr]types.UID{}
	var unseen allocator.Set
	for address := range before.Settled().All() {
		if live := a.claims.Live(address); len(live) > 0 {
			holders[address] = live[0].UID
			continue
		}
		unseen.Add(address)
	}
	if unseen.Len() > 0 {
		log.FromContext(ctx).Info("addresses stay taken: their pods ended while nobody led", "pool", pool, "addresses", unseen.Lines(), "count", unseen.Len())
	}
	return holders
}

// tend settles and releases what the view of the pods allows.
func (a *addresses) tend(ctx context.Context, pool *crdv1.SpiderIPPool) (reconcile.Result, error) {
	t := tending{
		pool:   pool.Name,
		claims: a.claims,
		holder: func(address netip.Addr) types.UID { return a.tenures.holder(pool.Name, address) },
	}
	err := a.ledger.Apply(ctx, pool.Name, ledger.Change{
		Patience: patience,
		Do: a.tenures.fence(pool.UID, func(tx *ledger.Tx) error {
			t.ends, t.appeared = a.tenures.seen(pool.Name)
			t.in = tx.Space.Contains
			return t.do(tx.Record)
		}),
	})
	if err != nil {
		return a.result(err)
	}
	done, holders, over := t.outcome()
	a.tenures.hold(pool.Name, holders)
	a.tenures.drop(pool.Name, over, t.appeared)
	for address, s := range done {
		log.FromContext(ctx).Info("address "+s.verb, "pool", pool.Name, "address", address, "pod", s.pod.String(), "uid", s.pod.UID, "node", s.pod.Node)
		if holders[address] == "" {
			a.freed(s.pod)
		}
	}
	for key, p := range t.late {
		log.FromContext(ctx).Error(errTwo, "two live pods may carry one address", "pool", pool.Name, "address", key.address, "pod", p.String(), "uid", p.UID, "node", p.Node)
	}
	if t.early {
		return reconcile.Result{RequeueAfter: catchUp}, nil
	}
	return reconcile.Result{}, nil
}
