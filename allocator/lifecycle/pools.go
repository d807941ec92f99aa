package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go4.org/netipx"
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
	client  client.Client // writes
	api     client.Reader // not a cache
	ledger  Applier
	pools   Pools
	claims  claimants
	tenures *tenures
	depose  func(error)
	census  *census

	identity Identifier
	metrics  *Metrics
}

// claimants says which live pods claim addresses of a pool: *Claims.
type claimants interface {
	progress
	Claimants(pool string) []*Pod
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
	if _, err := r.tenures.read(pool); err != nil {
		return again(r.tellUnreadable(ctx, pool, err))
	}
	if ready(pool) {
		return reconcile.Result{}, nil
	}
	if begun, _, _ := r.tenures.of(pool); !begun {
		return reconcile.Result{RequeueAfter: catchUp}, nil
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
	return r.client.Status().Patch(ctx, next, client.MergeFromWithOptions(pool, client.MergeFromWithOptimisticLock{}))
}

// letGo takes the finalizer away when no address is taken. Nothing is reserved
// from a pool that is being deleted, and the write fails if this version of the
// record is not the present one.
func (r *readiness) letGo(ctx context.Context, pool *crdv1.SpiderIPPool) (reconcile.Result, error) {
	if !controllerutil.ContainsFinalizer(pool, crdv1.PoolFinalizer) {
		return reconcile.Result{}, nil
	}
	state, err := r.tenures.read(pool)
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
	self, others, err := r.neighbours(ctx, pool)
	if err != nil {
		return reconcile.Result{}, err
	}
	if self == nil {
		return reconcile.Result{RequeueAfter: catchUp}, nil
	}
	verdict := judgement(self, others, r.tenures.term)
	if seen, err := r.seesClaimants(ctx, pool, verdict); err != nil || !seen {
		return reconcile.Result{RequeueAfter: catchUp}, err
	}
	var back map[netip.Addr]*Pod
	news := false
	err = r.ledger.Apply(ctx, pool.Name, ledger.Change{Do: r.tenures.fence(pool.UID, func(tx *ledger.Tx) error {
		if tx.Pool.Generation != self.Generation {
			return errReplaced
		}
		back = r.putBack(tx)
		news = meta.SetStatusCondition(&tx.Conditions, verdict) || news
		return nil
	})})
	if errors.Is(err, errReplaced) {
		return reconcile.Result{RequeueAfter: catchUp}, nil
	}
	if err != nil {
		return reconcile.Result{}, stop(err, r.depose)
	}
	r.report(ctx, pool.Name, back)
	if news {
		log.FromContext(ctx).Info("judged the pool", "pool", pool.Name, "ready", verdict.Status, "reason", verdict.Reason, "message", verdict.Message)
	}
	switch verdict.Reason {
	case crdv1.ReasonInitialised:
		return reconcile.Result{}, nil
	case crdv1.ReasonWaiting:
		return reconcile.Result{RequeueAfter: retake}, nil
	}
	return reconcile.Result{RequeueAfter: rejudge}, nil
}

// seesClaimants reports whether the view shows all pods that claim addresses of a
// pool that is to be Ready.
func (r *readiness) seesClaimants(ctx context.Context, pool *crdv1.SpiderIPPool, verdict metav1.Condition) (bool, error) {
	if verdict.Status != metav1.ConditionTrue {
		return true, nil // nothing is given from it
	}
	mark, err := r.tenures.mark(pool, func() (uint64, error) { return r.census.mark(ctx, pool.Name) })
	return r.claims.Revision() >= mark, err
}

// report tells what was put back, and notes whose it is.
func (r *readiness) report(ctx context.Context, pool string, back map[netip.Addr]*Pod) {
	holders := map[netip.Addr]types.UID{} // address -> its pod
	for address, p := range back {
		holders[address] = p.UID
		logStep(log.FromContext(ctx), putBack, pool, address, p)
		r.metrics.step(putBack)
		r.metrics.violated(violatedI2)
	}
	r.tenures.hold(pool, holders)
}

// putBack settles what live pods claim of the pool and its record does not know.
func (r *readiness) putBack(tx *ledger.Tx) map[netip.Addr]*Pod {
	back := map[netip.Addr]*Pod{}
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
	return back
}

// stays reports whether nothing has changed about what stands against a pool, by
// what the watch shows: then there is no need to read all pools.
func (r *readiness) stays(pool *crdv1.SpiderIPPool) bool {
	var others []*crdv1.SpiderIPPool
	for p := range r.pools.All() {
		if p.UID != pool.UID && subnetsOverlap(p, pool) {
			others = append(others, p)
		}
	}
	slices.SortFunc(others, func(a, b *crdv1.SpiderIPPool) int { return cmp.Compare(a.Name, b.Name) }) // as a list has them
	now, before := judgement(pool, others, r.tenures.term), meta.FindStatusCondition(pool.Status.Conditions, crdv1.ConditionReady)
	return now.Status == metav1.ConditionFalse && now.Reason != crdv1.ReasonWaiting && before != nil && before.Status == now.Status &&
		before.Reason == now.Reason && before.Message == now.Message && before.ObservedGeneration == now.ObservedGeneration
}

// neighbours reads the pool and those whose subnets overlap with its own. It
// returns nil where the pool is not as the cache has it.
func (r *readiness) neighbours(ctx context.Context, pool *crdv1.SpiderIPPool) (self *crdv1.SpiderIPPool, others []*crdv1.SpiderIPPool, err error) {
	var all crdv1.SpiderIPPoolList
	if err := r.api.List(ctx, &all); err != nil {
		return nil, nil, fmt.Errorf("listing pools: %w", err)
	}
	for i := range all.Items {
		switch p := &all.Items[i]; {
		case p.UID == pool.UID:
			self = p
		case subnetsOverlap(p, pool):
			others = append(others, p)
		}
	}
	if self != nil && (self.Generation != pool.Generation || self.Status.Term != r.tenures.term) {
		return nil, nil, nil
	}
	return self, others, nil
}

func subnetsOverlap(a, b *crdv1.SpiderIPPool) bool {
	pa, err1 := netip.ParsePrefix(a.Spec.Subnet)
	pb, err2 := netip.ParsePrefix(b.Spec.Subnet)
	return err1 != nil || err2 != nil || pa.Overlaps(pb)
}

// judgement says whether a pool may be used beside the others: no address of it
// may be one of an older pool, of one that is Ready already, or in use from any
// other. Others that do not carry the term were not taken over by who judges:
// another leader may be making them Ready.
func judgement(pool *crdv1.SpiderIPPool, others []*crdv1.SpiderIPPool, term string) metav1.Condition {
	self, err := ledger.Read(pool)
	if err != nil {
		return unready(pool, crdv1.ReasonCorrupt, err.Error())
	}
	for _, o := range others {
		if reason, message := against(self, pool, o, term); reason != "" {
			return unready(pool, reason, message)
		}
	}
	return metav1.Condition{
		Type:               crdv1.ConditionReady,
		Status:             metav1.ConditionTrue,
		ObservedGeneration: pool.Generation,
		Reason:             crdv1.ReasonInitialised,
		Message:            "no address is one of another pool",
	}
}

// against says what another pool has against this one being Ready, if anything.
func against(self *ledger.State, pool, o *crdv1.SpiderIPPool, term string) (reason, message string) {
	space, err := ledger.SpaceOf(&o.Spec)
	if err != nil {
		return "", "" // nothing was ever given from a spec that cannot be read
	}
	other, err := ledger.Read(o)
	common, overlap := self.Space.Overlap(space)
	switch {
	case overlap && (err != nil || ready(o) || older(o, pool)):
		return crdv1.ReasonOverlap, fmt.Sprintf("%s is in pool %q too; take it out of spec.ips of one of the two", text(common), o.Name)
	case has(self.Space, o.Spec.Gateway):
		return crdv1.ReasonOverlap, fmt.Sprintf("%s is the gateway of pool %q; take it out of spec.ips", *o.Spec.Gateway, o.Name)
	case has(space, pool.Spec.Gateway):
		return crdv1.ReasonOverlap, fmt.Sprintf("the gateway %s is an address of pool %q; take it out of its spec.ips", *pool.Spec.Gateway, o.Name)
	case err != nil:
		return "", "" // its addresses are others
	case o.Status.Term != term:
		return crdv1.ReasonWaiting, fmt.Sprintf("pool %q of an overlapping subnet was not taken over yet", o.Name)
	}
	for address := range other.Record.Taken().All() {
		if self.Space.Contains(address) {
			return crdv1.ReasonOverlap, fmt.Sprintf("address %s is in use from pool %q; take it out of spec.ips", address, o.Name)
		}
	}
	return "", ""
}

func has(space allocator.Space, gateway *string) bool {
	if gateway == nil {
		return false
	}
	a, err := netip.ParseAddr(*gateway)
	return err == nil && space.Contains(a)
}

func unready(pool *crdv1.SpiderIPPool, reason, message string) metav1.Condition {
	const longest = 1024 // a line of a record may be longer than a condition can be
	if len(message) > longest {
		message = message[:longest] + "…"
	}
	return metav1.Condition{
		Type:               crdv1.ConditionReady,
		Status:             metav1.ConditionFalse,
		ObservedGeneration: pool.Generation,
		Reason:             reason,
		Message:            message,
	}
}

// text writes a range as users do.
func text(r netipx.IPRange) string {
	if r.From() == r.To() {
		return r.From().String()
	}
	return r.String()
}

func ready(pool *crdv1.SpiderIPPool) bool {
	c := meta.FindStatusCondition(pool.Status.Conditions, crdv1.ConditionReady)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == pool.Generation
}

// older orders pools by creation; the UID decides within a second.
func older(a, b *crdv1.SpiderIPPool) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.UID < b.UID
}
