package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/lifecycle/latebind"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// rejudge is how soon a pool that is not Ready is looked at again when no event says that what
// stood against it has changed.
const rejudge = 5 * time.Second

// retake is the same while a neighbour waits to be taken over, which takes as long as a write.
const retake = 100 * time.Millisecond

// readiness puts the addresses of a pool in service, and lets go of a deleted pool once nothing of
// it is taken.
//
// Two pools, or two edits, can pass validation at one moment: webhooks do not see one another. So
// an address is handed out only once it was judged here, and stays in service until spec has it no
// more. An edit that adds no address needs no proof and leaves the pool Ready; of one that adds
// some, only those are judged.
//
// The judgement reads all pools, and every one it compares must carry this leader's term: then no
// other leader can put an address of one of them in service without taking this pool over first,
// which breaks the write below. Addresses in service of any two pools are therefore disjoint.
type readiness struct {
	client           client.Client // writes
	api              client.Reader // not a cache
	ledger           Applier
	pools            latebind.Pools
	claims           claimants
	leaderships      *leaderships
	onLeadershipLost func(error)
	podLists         *podLister
	serial           subnetSerializer
	barriers         *barriers

	identity Identifier
	metrics  *Metrics
	events   *events
}

// claimants says which live pods claim addresses of which pools: *Claims.
type claimants interface {
	progress
	Pools() []string
	Claimants(pool string) []*view.Pod
}

// Reconcile judges a pool.
func (r *readiness) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	pool, ok := r.pools.Pool(req.Name)
	if !ok {
		r.barriers.forget(req.Name)
		return reconcile.Result{}, nil
	}
	if !pool.DeletionTimestamp.IsZero() {
		return r.letGo(ctx, pool)
	}
	if !controllerutil.ContainsFinalizer(pool, crdv1.PoolFinalizer) {
		pool = pool.DeepCopy()
		controllerutil.AddFinalizer(pool, crdv1.PoolFinalizer)
		return again(r.client.Update(ctx, pool)) // its event leads back here
	}
	state, err := r.leaderships.decode(pool)
	if err != nil {
		return again(r.tellUnreadable(ctx, pool, err))
	}
	if judged(state) {
		return reconcile.Result{}, nil
	}
	if begun, _, _ := r.leaderships.of(pool); !begun {
		return reconcile.Result{RequeueAfter: retake}, nil
	}
	if r.stays(state) {
		return reconcile.Result{RequeueAfter: rejudge}, nil
	}
	return r.judge(ctx, state)
}

// again turns a conflict into another look: the cache was behind, or the leader has just written
// the status.
func again(err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: catchUp}, nil
	}
	return reconcile.Result{}, err
}

// tellUnreadable sets the condition of a pool that the ledger cannot read, and leaves all else of
// its status as it is.
func (r *readiness) tellUnreadable(ctx context.Context, pool *crdv1.SpiderIPPool, cause error) error {
	next := pool.DeepCopy()
	verdict := unready(pool, crdv1.ReasonCorrupt, cause.Error())
	if _, err := ledger.SpaceOf(&pool.Spec); err != nil {
		verdict.Reason = crdv1.ReasonInvalid
	}
	if !meta.SetStatusCondition(&next.Status.Conditions, verdict) {
		return nil
	}
	log.FromContext(ctx).Error(cause, "the pool cannot be used", "pool", pool.Name)
	return r.client.Status().Patch(ctx, next, client.MergeFromWithOptions(pool, client.MergeFromWithOptimisticLock{}), client.FieldOwner(ledger.FieldManager))
}

// letGo takes the finalizer away when no address is taken. Nothing is reserved from a pool that is
// being deleted, and the write fails if this version of the record is not the present one.
func (r *readiness) letGo(ctx context.Context, pool *crdv1.SpiderIPPool) (reconcile.Result, error) {
	if !controllerutil.ContainsFinalizer(pool, crdv1.PoolFinalizer) {
		return reconcile.Result{}, nil
	}
	state, err := r.leaderships.decode(pool)
	if err != nil {
		return reconcile.Result{}, reconcile.TerminalError(err)
	}
	if state.Record.Count() > 0 {
		return reconcile.Result{}, nil // its next write leads back here
	}
	pool = pool.DeepCopy()
	controllerutil.RemoveFinalizer(pool, crdv1.PoolFinalizer)
	if err := r.client.Update(ctx, pool); err != nil {
		return again(client.IgnoreNotFound(err))
	}
	log.FromContext(ctx).Info("let the deleted pool go: none of its addresses is taken", "pool", pool.Name)
	return reconcile.Result{}, nil
}

// judge compares the pool with all others and writes the verdict. Before addresses are in service
// the pool has back what live pods claim of it (I8): it may be one that was deleted by force and
// made again. Pods that were admitted before that and are stored only now have theirs put back when
// their addresses are settled.
func (r *readiness) judge(ctx context.Context, state *ledger.State) (reconcile.Result, error) {
	pool, gained := state.Pool, state.Gained()
	seen, err := r.seesClaimants(ctx, pool, gained)
	if err != nil {
		return reconcile.Result{}, err
	}
	if !seen || !r.serial.acquire(pool) {
		return reconcile.Result{RequeueAfter: retake}, nil
	}
	defer r.serial.release(pool)
	near, err := r.neighbours(ctx, pool)
	if err != nil {
		return reconcile.Result{}, err
	}
	if near.self == nil {
		return reconcile.Result{RequeueAfter: retake}, nil
	}
	if gained.Size() > 0 && !r.stillCounts(ctx, near) {
		return reconcile.Result{RequeueAfter: rejudge}, nil // not sooner: the pool that has gone may be in the cache still, and a list of all pods is dear
	}
	v := r.judgementOf(near)
	if v.admits() {
		r.barriers.admit(pool.UID) // before: the answer may be lost
	}
	written, err := r.write(ctx, near.self, v)
	if err != nil {
		return reconcile.Result{}, err
	}
	if !written {
		return reconcile.Result{RequeueAfter: retake}, nil
	}
	if again := v.again(); again > 0 {
		return reconcile.Result{RequeueAfter: again}, nil
	}
	r.barriers.forget(pool.Name)
	return reconcile.Result{}, nil
}

// judgementOf compares a pool with its neighbours, and with what live pods carry.
func (r *readiness) judgementOf(near neighbourhood) judgement {
	self, err := ledger.Read(near.self)
	if err != nil { // the version that the watch has shown could be read, and this one may be newer
		return judgement{condition: unready(near.self, crdv1.ReasonCorrupt, err.Error())}
	}
	o := objectionTo(ledger.Read, self, near.others, string(r.leaderships.term))
	if o == nil {
		if a, p, from := r.stray(self); p != nil {
			o = &objection{reason: crdv1.ReasonOverlap, message: fmt.Sprintf("pod %s carries %s from pool %q, which does not have it any more; delete the pod, but not by force while its node does not answer, or take the address out of spec.ips", p, a, from)}
		}
	}
	return judge(self, o)
}

// write puts back what is claimed of the pool, and writes the verdict of the version that was
// judged, unless that is not the present one.
func (r *readiness) write(ctx context.Context, pool *crdv1.SpiderIPPool, v judgement) (written bool, err error) {
	back := map[netip.Addr]*view.Pod{} // in whichever attempt: the answer to one may be lost
	var stored *allocator.Record
	news := false
	err = r.ledger.Apply(ctx, pool.Name, ledger.Change{Do: r.leaderships.fence(pool.UID, func(tx *ledger.Tx) error {
		if tx.Pool.Generation != pool.Generation {
			return ledger.ErrReplaced
		}
		maps.Copy(back, r.putBack(tx))
		stored = tx.Record
		tx.InService = v.inService
		news = meta.SetStatusCondition(&tx.Conditions, v.condition) || news
		return nil
	})})
	if errors.Is(err, ledger.ErrReplaced) {
		return false, nil
	}
	if err != nil {
		return false, stopOnLostLeadership(err, r.onLeadershipLost)
	}
	maps.DeleteFunc(back, func(a netip.Addr, _ *view.Pod) bool { return !stored.InUse(a) })
	r.report(ctx, pool.Name, back)
	if news {
		log.FromContext(ctx).Info("judged the pool", "pool", pool.Name, "ready", v.condition.Status, "reason", v.condition.Reason, "message", v.condition.Message)
		r.events.judged(pool, v.condition)
	}
	return true, nil
}

// seesClaimants reports whether the view shows all pods that claim addresses which a pool has
// gained. Where it has gained none, nothing needs to be seen. A list of all pods serves until the
// pool gains others: they may have been another's since.
func (r *readiness) seesClaimants(ctx context.Context, pool *crdv1.SpiderIPPool, gained allocator.Space) (bool, error) {
	if gained.Size() == 0 {
		return true, nil
	}
	b := r.barriers.of(pool, gained)
	if b == nil {
		if over, err := r.inServiceByNow(ctx, pool); over || err != nil {
			return false, err
		}
		b = &podListBarrier{gained: gained, admitted: r.barriers.now(), pools: map[types.UID]bool{}}
		for _, p := range r.beside(pool) {
			b.pools[p.UID] = true
		}
		var err error
		if b.mark, err = r.podLists.mark(ctx); err != nil {
			return false, err
		}
		r.barriers.set(pool, b)
		if now := r.claims.Revision(); now < b.mark {
			log.FromContext(ctx).Info("the pool is judged once the view of the pods has caught up", "pool", pool.Name, "view", now, "needed", b.mark)
		}
	}
	return r.claims.Revision() >= b.mark, nil
}

// inServiceByNow reports whether the watch is behind, and the pool has put in service what it had
// gained: a pool in use is written all the time, and each version leads here. One read is cheaper
// than a list of all pods.
func (r *readiness) inServiceByNow(ctx context.Context, pool *crdv1.SpiderIPPool) (bool, error) {
	var present crdv1.SpiderIPPool
	if err := r.api.Get(ctx, client.ObjectKeyFromObject(pool), &present); err != nil {
		return true, client.IgnoreNotFound(err)
	}
	state, err := ledger.Read(&present)
	return err == nil && state.Gained().Size() == 0, nil
}

// stillCounts reports whether all pools that may have given addresses since the pods were listed
// are still there: no record tells of what those that are gone gave.
func (r *readiness) stillCounts(ctx context.Context, near neighbourhood) bool {
	h := r.barriers.of(near.self, allocator.Space{})
	if h == nil {
		return false
	}
	for uid := range h.pools {
		if !near.there[uid] {
			r.countAnew(ctx, near.self, uid)
			return false
		}
	}
	for _, uid := range r.barriers.since(h.admitted) {
		if !near.there[uid] {
			r.countAnew(ctx, near.self, uid)
			return false
		}
	}
	return true
}

func (r *readiness) countAnew(ctx context.Context, pool *crdv1.SpiderIPPool, gone types.UID) {
	r.barriers.forget(pool.Name)
	log.FromContext(ctx).Info("another pool has gone meanwhile: all pods are listed anew before the pool is judged", "pool", pool.Name, "gone", gone)
}

// report tells what was put back.
func (r *readiness) report(ctx context.Context, pool string, back map[netip.Addr]*view.Pod) {
	for address, p := range back {
		view.LogStep(log.FromContext(ctx), putBack, pool, address, p)
		r.metrics.step(putBack)
		r.metrics.violated(violatedI2)
	}
}

// putBack settles what live pods claim of the pool and its record does not know, and notes whose it
// is. That is too early where the write fails, and does no harm: nothing is released that is not in
// use.
func (r *readiness) putBack(tx *ledger.Tx) map[netip.Addr]*view.Pod {
	back := map[netip.Addr]*view.Pod{}
	for _, p := range r.claims.Claimants(tx.Pool.Name) {
		for _, c := range p.Claims {
			if c.Pool != tx.Pool.Name || tx.Record.Contains(c.Address) || !tx.Space.Contains(c.Address) {
				continue
			}
			identity, owner := r.identity(p)
			identity = identity.OnNIC(c.NIC)
			if err := tx.Record.PutBack(c.Address, p.Revision, identity, owner); err == nil { // it is free, so there is none
				tx.Record.RaiseGrace(p.Grace)
				back[c.Address] = p
			}
		}
	}
	holders := map[netip.Addr]types.UID{}
	for a, p := range back {
		holders[a] = p.UID
	}
	r.leaderships.hold(tx.Pool.Name, holders)
	return back
}

// stays reports whether nothing has changed about what stands against a pool, by what the watch
// shows: then there is no need to read all pools.
func (r *readiness) stays(state *ledger.State) bool {
	others := r.beside(state.Pool)
	slices.SortFunc(others, func(a, b *crdv1.SpiderIPPool) int { return cmp.Compare(a.Name, b.Name) }) // as a list has them
	o := objectionTo(r.leaderships.decode, state, others, string(r.leaderships.term))
	if o == nil || o.reason == crdv1.ReasonWaiting {
		return false
	}
	now, before := judge(state, o), state.Pool.ReadyCondition()
	return before != nil && before.Status == now.condition.Status && before.Reason == now.condition.Reason && before.Message == now.condition.Message &&
		before.ObservedGeneration == now.condition.ObservedGeneration && now.inService.Equal(state.InService)
}

// beside returns the other pools whose subnets overlap with a pool's own, by what the watch shows.
func (r *readiness) beside(pool *crdv1.SpiderIPPool) (others []*crdv1.SpiderIPPool) {
	for p := range r.pools.All() {
		if p.UID != pool.UID && subnetsOverlap(p, pool) {
			others = append(others, p)
		}
	}
	return others
}

// neighbourhood is what the API server has of pools.
type neighbourhood struct {
	self   *crdv1.SpiderIPPool   // nil where it is not as the cache has it
	others []*crdv1.SpiderIPPool // whose subnets overlap with its own
	there  map[types.UID]bool    // all pools
}

// neighbours reads the pool and all others.
func (r *readiness) neighbours(ctx context.Context, pool *crdv1.SpiderIPPool) (neighbourhood, error) {
	n := neighbourhood{there: map[types.UID]bool{}}
	var all crdv1.SpiderIPPoolList
	if err := r.api.List(ctx, &all); err != nil {
		return n, fmt.Errorf("listing pools: %w", err)
	}
	for i := range all.Items {
		p := &all.Items[i]
		n.there[p.UID] = true
		switch {
		case p.UID == pool.UID && p.Generation == pool.Generation && p.Status.Term == string(r.leaderships.term):
			n.self = p
		case p.UID != pool.UID && subnetsOverlap(p, pool):
			n.others = append(n.others, p)
		}
	}
	return n, nil
}

// stray returns a live pod that carries an address which the pool gained from another: one that was
// deleted by force, and is gone or was made again with other addresses. No record tells of it.
func (r *readiness) stray(self *ledger.State) (a netip.Addr, p *view.Pod, from string) {
	gained := self.Gained()
	if gained.Size() == 0 {
		return a, nil, ""
	}
	for _, name := range r.claims.Pools() {
		if name == self.Pool.Name {
			continue // it is put back
		}
		for _, p := range r.claims.Claimants(name) {
			for _, c := range p.Claims {
				if c.Pool == name && gained.Contains(c.Address) {
					return c.Address, p, name
				}
			}
		}
	}
	return a, nil, ""
}
