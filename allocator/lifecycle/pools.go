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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// rejudge is how soon a pool that is not Ready is looked at again when no event
// says that what stood against it has changed.
const rejudge = 5 * time.Second

// retake is the same while a neighbour waits to be taken over, which takes as
// long as a write.
const retake = 100 * time.Millisecond

// readiness judges each version of a pool's spec, and lets go of a deleted pool
// once nothing of it is taken.
//
// Two pools, or two edits, can pass validation at one moment: webhooks do not
// see one another. So a spec is used only when it was judged here. The judgement
// reads all pools, and every one it compares must carry this leader's term: then
// no other leader can make one of them Ready without taking this pool over
// first, which breaks the write below.
type readiness struct {
	client           client.Client // writes
	api              client.Reader // not a cache
	ledger           Applier
	pools            Pools
	claims           claimants
	leaderships      *leaderships
	onLeadershipLost func(error)
	podLists         *podLister
	serial           subnetSerializer

	identity Identifier
	metrics  *Metrics
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
	if _, err := r.leaderships.read(pool); err != nil {
		return again(r.tellUnreadable(ctx, pool, err))
	}
	if ready(pool) {
		return reconcile.Result{}, nil
	}
	if begun, _, _ := r.leaderships.of(pool); !begun {
		return reconcile.Result{RequeueAfter: retake}, nil
	}
	if r.stays(pool) {
		return reconcile.Result{RequeueAfter: rejudge}, nil
	}
	return r.judge(ctx, pool)
}

// again turns a conflict into another look: the cache was behind, or the leader
// has just written the status.
func again(err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: catchUp}, nil
	}
	return reconcile.Result{}, err
}

// tellUnreadable sets the condition of a pool that the ledger cannot read, and
// leaves all else of its status as it is.
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

// letGo takes the finalizer away when no address is taken. Nothing is reserved
// from a pool that is being deleted, and the write fails if this version of the
// record is not the present one.
func (r *readiness) letGo(ctx context.Context, pool *crdv1.SpiderIPPool) (reconcile.Result, error) {
	if !controllerutil.ContainsFinalizer(pool, crdv1.PoolFinalizer) {
		return reconcile.Result{}, nil
	}
	state, err := r.leaderships.read(pool)
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

// judge compares the pool with all others and writes the verdict. Before a pool
// is Ready it has back what live pods claim of it (I8): it may be one that was
// deleted by force and made again. Those that were admitted before that and are
// stored only now have theirs put back by the tending of the pool.
func (r *readiness) judge(ctx context.Context, pool *crdv1.SpiderIPPool) (reconcile.Result, error) {
	seen, err := r.seesClaimants(ctx, pool)
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
	if !r.stillCounts(ctx, near) {
		return reconcile.Result{RequeueAfter: rejudge}, nil // not sooner: what has gone may be in the cache still, and a census is dear
	}
	verdict := r.verdict(near)
	if verdict.Status == metav1.ConditionTrue {
		r.leaderships.makes(pool.UID) // before: the answer may be lost
	}
	written, err := r.write(ctx, near.self, verdict)
	if err != nil {
		return reconcile.Result{}, err
	}
	if !written {
		return reconcile.Result{RequeueAfter: retake}, nil
	}
	switch verdict.Reason {
	case crdv1.ReasonInitialised:
		r.leaderships.setBarrier(near.self, nil)
		return reconcile.Result{}, nil
	case crdv1.ReasonWaiting:
		return reconcile.Result{RequeueAfter: retake}, nil
	}
	return reconcile.Result{RequeueAfter: rejudge}, nil
}

func (r *readiness) verdict(near neighbourhood) metav1.Condition {
	verdict := judgement(ledger.Read, near.self, near.others, r.leaderships.term)
	if verdict.Status != metav1.ConditionTrue {
		return verdict
	}
	if a, p, from := r.stray(near.self); p != nil {
		return unready(near.self, crdv1.ReasonOverlap, fmt.Sprintf("pod %s carries %s from pool %q, which does not have it any more; delete the pod, but not by force while its node does not answer, or take the address out of spec.ips", p, a, from))
	}
	return verdict
}

// write puts back what is claimed of the pool, and writes the verdict of the
// version that was judged, unless that is not the present one.
func (r *readiness) write(ctx context.Context, judged *crdv1.SpiderIPPool, verdict metav1.Condition) (written bool, err error) {
	back := map[netip.Addr]*view.Pod{} // in whichever attempt: the answer to one may be lost
	var stored *allocator.Record
	news := false
	err = r.ledger.Apply(ctx, judged.Name, ledger.Change{Do: r.leaderships.fence(judged.UID, func(tx *ledger.Tx) error {
		if tx.Pool.Generation != judged.Generation {
			return errReplaced
		}
		maps.Copy(back, r.putBack(tx))
		stored = tx.Record
		news = meta.SetStatusCondition(&tx.Conditions, verdict) || news
		return nil
	})})
	if errors.Is(err, errReplaced) {
		return false, nil
	}
	if err != nil {
		return false, stopOnLostLeadership(err, r.onLeadershipLost)
	}
	maps.DeleteFunc(back, func(a netip.Addr, _ *view.Pod) bool { return !stored.InUse(a) })
	r.report(ctx, judged.Name, back)
	if news {
		log.FromContext(ctx).Info("judged the pool", "pool", judged.Name, "ready", verdict.Status, "reason", verdict.Reason, "message", verdict.Message)
	}
	return true, nil
}

// seesClaimants reports whether the view shows all pods that claim addresses of a
// pool that may become Ready. Each generation of a pool has its census: it may
// have got addresses that were another's.
func (r *readiness) seesClaimants(ctx context.Context, pool *crdv1.SpiderIPPool) (bool, error) {
	h := r.leaderships.barrierOf(pool)
	if h == nil {
		h = &podListBarrier{generation: pool.Generation, made: r.leaderships.countMade(), pools: map[types.UID]bool{}}
		for _, p := range r.beside(pool) {
			h.pools[p.UID] = true
		}
		var err error
		if h.mark, err = r.podLists.mark(ctx); err != nil {
			return false, err
		}
		r.leaderships.setBarrier(pool, h)
		if now := r.claims.Revision(); now < h.mark {
			log.FromContext(ctx).Info("the pool is judged once the view of the pods has caught up", "pool", pool.Name, "view", now, "needed", h.mark)
		}
	}
	return r.claims.Revision() >= h.mark, nil
}

// stillCounts reports whether all pools that may have given addresses since the
// census began are still there: no record tells of what those that are gone gave.
func (r *readiness) stillCounts(ctx context.Context, near neighbourhood) bool {
	h := r.leaderships.barrierOf(near.self)
	if h == nil {
		return false
	}
	for uid := range h.pools {
		if !near.there[uid] {
			r.countAnew(ctx, near.self, uid)
			return false
		}
	}
	for _, uid := range r.leaderships.madeSince(h.made) {
		if !near.there[uid] {
			r.countAnew(ctx, near.self, uid)
			return false
		}
	}
	return true
}

func (r *readiness) countAnew(ctx context.Context, pool *crdv1.SpiderIPPool, gone types.UID) {
	r.leaderships.setBarrier(pool, nil)
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

// putBack settles what live pods claim of the pool and its record does not know,
// and notes whose it is. That is too early where the write fails, and does no
// harm: nothing is released that is not in use.
func (r *readiness) putBack(tx *ledger.Tx) map[netip.Addr]*view.Pod {
	back := map[netip.Addr]*view.Pod{}
	for _, p := range r.claims.Claimants(tx.Pool.Name) {
		for _, c := range p.Claims {
			if c.Pool != tx.Pool.Name || tx.Record.Contains(c.Address) || !tx.Space.Contains(c.Address) {
				continue
			}
			identity, owner := r.identity(p)
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

// stays reports whether nothing has changed about what stands against a pool, by
// what the watch shows: then there is no need to read all pools.
func (r *readiness) stays(pool *crdv1.SpiderIPPool) bool {
	others := r.beside(pool)
	slices.SortFunc(others, func(a, b *crdv1.SpiderIPPool) int { return cmp.Compare(a.Name, b.Name) }) // as a list has them
	now, before := judgement(r.leaderships.read, pool, others, r.leaderships.term), meta.FindStatusCondition(pool.Status.Conditions, crdv1.ConditionReady)
	return now.Status == metav1.ConditionFalse && now.Reason != crdv1.ReasonWaiting && before != nil && before.Status == now.Status &&
		before.Reason == now.Reason && before.Message == now.Message && before.ObservedGeneration == now.ObservedGeneration
}

// beside returns the other pools whose subnets overlap with a pool's own, by what
// the watch shows.
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
		case p.UID == pool.UID && p.Generation == pool.Generation && p.Status.Term == r.leaderships.term:
			n.self = p
		case p.UID != pool.UID && subnetsOverlap(p, pool):
			n.others = append(n.others, p)
		}
	}
	return n, nil
}

// stray returns a live pod that carries an address of the pool from another: one
// that was deleted by force, and is gone or was made again with other addresses.
// No record tells of it.
func (r *readiness) stray(self *crdv1.SpiderIPPool) (a netip.Addr, p *view.Pod, from string) {
	space, err := ledger.SpaceOf(&self.Spec)
	if err != nil {
		return a, nil, ""
	}
	for _, name := range r.claims.Pools() {
		if name == self.Name {
			continue // it is put back
		}
		for _, p := range r.claims.Claimants(name) {
			for _, c := range p.Claims {
				if c.Pool == name && space.Contains(c.Address) {
					return c.Address, p, name
				}
			}
		}
	}
	return a, nil, ""
}
