package lifecycle

import (
	"context"
	"errors"
	"net/netip"
	"time"

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

// addresses settles and releases the addresses of one pool per reconciliation.
type addresses struct {
	ledger  Applier
	pools   ledger.Pools
	claims  *Claims
	tenures *tenures
	depose  func(error)                  // stops leading
	freed   func(pod *Pod, a netip.Addr) // tells that an address of a pod is free again
}

// Reconcile takes a pool over and then brings its record in line with the pods.
func (a *addresses) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	pool, ok := a.pools.Pool(r.Name)
	if !ok {
		a.tenures.forget(r.Name)
		return reconcile.Result{}, nil
	}
	tn := a.tenures.of(pool)
	if !tn.begun {
		if err := a.takeOver(ctx, pool); err != nil {
			return a.result(err)
		}
		tn = a.tenures.of(pool)
	}
	if tn.baseline == 0 {
		revision := a.claims.Revision()
		if revision < tn.mark {
			return reconcile.Result{RequeueAfter: catchUp}, nil
		}
		a.tenures.see(pool.Name, pool.UID, revision)
		a.reportUnseen(ctx, pool)
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

// takeOver writes this leader's term into the record of the pool.
func (a *addresses) takeOver(ctx context.Context, pool *crdv1.SpiderIPPool) error {
	var mark uint64
	err := a.ledger.Apply(ctx, pool.Name, ledger.Change{Do: func(tx *ledger.Tx) error {
		if tx.Pool.UID != pool.UID {
			return errReplaced
		}
		mark = tx.Record.SeenThrough()
		tx.Record.SetTerm(a.tenures.term)
		return nil
	}})
	if err != nil {
		return err
	}
	a.tenures.begin(pool.Name, pool.UID, mark)
	log.FromContext(ctx).Info("took the pool over", "pool", pool.Name, "term", a.tenures.term, "podsSeenThrough", mark)
	return nil
}

// reportUnseen names the settled addresses whose pods ended while nobody led:
// no kubelet's word on their end was seen, so they stay taken.
func (a *addresses) reportUnseen(ctx context.Context, pool *crdv1.SpiderIPPool) {
	state, err := ledger.Read(pool)
	if err != nil {
		return // take-over has read a newer version
	}
	for address := range state.Record.Settled().All() {
		if len(a.claims.Live(address)) == 0 {
			log.FromContext(ctx).Info("address stays taken: the end of its pod was not seen", "pool", pool.Name, "address", address)
		}
	}
}

// tend settles and releases what the view of the pods allows.
func (a *addresses) tend(ctx context.Context, pool *crdv1.SpiderIPPool) (reconcile.Result, error) {
	t := tending{claims: a.claims}
	err := a.ledger.Apply(ctx, pool.Name, ledger.Change{
		Patience: patience,
		Do: a.tenures.fence(pool.UID, func(tx *ledger.Tx) error {
			t.start(a.tenures.ends(pool.Name))
			return t.do(tx.Record)
		}),
	})
	if err != nil {
		return a.result(err)
	}
	a.tenures.drop(pool.Name, t.over)
	t.log(ctx, pool.Name)
	for _, step := range t.steps {
		if step.verb != settled {
			a.freed(step.pod, step.address)
		}
	}
	if t.early {
		return reconcile.Result{RequeueAfter: catchUp}, nil
	}
	return reconcile.Result{}, nil
}

// index is what tending asks about pods.
type index interface {
	Live(netip.Addr) []*Pod
	Carrier(a netip.Addr, token string) (*Pod, bool)
	Revision() uint64
}

var _ index = (*Claims)(nil)

// tending is one attempt to bring a record in line with the pods. Its decisions
// hold for the version of the record it was given.
type tending struct {
	claims index

	ends  map[netip.Addr]end // what was seen and not acted upon
	over  map[netip.Addr]end // of ends: acted upon, or overtaken
	steps []step
	early bool // the view of the pods has not reached the mark
}

// step is one transition, for the log.
type step struct {
	verb    string
	address netip.Addr
	pod     *Pod
}

const (
	settled   = "settled"
	released  = "released"
	givenBack = "given back"
)

func (t *tending) start(ends map[netip.Addr]end) {
	t.ends, t.over, t.steps, t.early = ends, map[netip.Addr]end{}, nil, false
}

func (t *tending) do(r *allocator.Record) error {
	if err := t.reservations(r); err != nil {
		return err
	}
	return t.releases(r)
}

// reservations settles those whose pod is in view. A token is given to one pod
// only, so the end of that pod ends its reservation, settled or not.
func (t *tending) reservations(r *allocator.Record) error {
	type reservation struct {
		address netip.Addr
		token   allocator.Token
	}
	var all []reservation // transitions below change what r yields
	for address, v := range r.Reserved() {
		all = append(all, reservation{address, v.Token})
	}
	for _, v := range all {
		pod, ok := t.claims.Carrier(v.address, string(v.token))
		e, ended := t.ends[v.address]
		switch {
		case ok && pod.Live():
			if err := r.Settle(v.address, v.token, pod.Revision); err != nil {
				return err
			}
			if ended { // of an earlier pod: its proof is not about this one
				t.over[v.address] = e
			}
			t.steps = append(t.steps, step{settled, v.address, pod})
			continue
		case !ok && ended && e.pod.Token == string(v.token):
			pod = e.pod
			t.over[v.address] = e
		case !ok:
			continue
		}
		if err := r.GiveBack(v.address, v.token); err != nil {
			return err
		}
		t.steps = append(t.steps, step{givenBack, v.address, pod})
	}
	return nil
}

// releases frees the settled addresses whose pod was seen to end.
func (t *tending) releases(r *allocator.Record) error {
	for address, e := range t.ends {
		if _, over := t.over[address]; over {
			continue
		}
		switch {
		case !r.IsSettled(address): // free again, or another admission's
		case t.claims.Revision() < r.SeenThrough():
			t.early = true
			continue
		case len(t.claims.Live(address)) > 0: // it is another pod's by now
		default:
			if err := r.Release(address); err != nil {
				return err
			}
			t.steps = append(t.steps, step{released, address, e.pod})
		}
		t.over[address] = e
	}
	return nil
}

func (t *tending) log(ctx context.Context, pool string) {
	for _, s := range t.steps {
		log.FromContext(ctx).Info("address "+s.verb, "pool", pool, "address", s.address, "pod", s.pod.String(), "uid", s.pod.UID, "node", s.pod.Node)
	}
}
