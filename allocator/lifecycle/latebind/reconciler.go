package latebind

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/internal/parallel"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

const (
	// resyncPeriod is how often all pending pods are looked at when nothing happens.
	resyncPeriod = 5 * time.Second
	// parallelism is how many pods are read, or bound, at the same time. Those that are bound share
	// the writes of their pools.
	parallelism = 64
	// resolvesPerPass, bindsPerPass and reportsPerPass limit how long a pass takes, and how much
	// load many pending pods put on the API server at once.
	resolvesPerPass = 500
	bindsPerPass    = 500
	reportsPerPass  = 20
)

// reconciler gives existing pods their addresses: those that were admitted without one, and those
// that we did not admit. It works in passes over all of them, since which is served first depends
// on all of them.
type reconciler struct {
	resolver
	binder
	namespaces client.Reader // may be a cache
	pools      Pools
	claims     *view.Claims
	nodes      Nodes
	now        func() time.Time

	// Used by Reconcile only, which never runs concurrently.
	known      map[types.UID]*pendingPod
	exhausted  map[string]exhaustion // pool -> what it was found to be
	finished   map[types.UID]uint64  // pod -> revision at which nothing was left to do
	eventSent  map[types.UID]bool    // pods with an event about their addresses
	next       time.Time             // no pass before it
	nextReport time.Time             // no report before it
}

// passRequest is the only request in the queue: it asks for a pass.
var passRequest = reconcile.Request{NamespacedName: types.NamespacedName{Name: "all"}}

// waitingEvents asks for a pass when a pod that is, or was, pending has changed.
func waitingEvents(q view.Queue) cache.ResourceEventHandler {
	concerns := func(object any) bool {
		p, ok := object.(*view.Pod)
		return ok && (p.Waits() || p.LeftOver())
	}
	enqueue := func(object any) {
		if concerns(object) {
			q.Add(passRequest)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: enqueue,
		UpdateFunc: func(before, after any) {
			if concerns(before) || concerns(after) {
				q.Add(passRequest)
			}
		},
		DeleteFunc: enqueue,
	}
}

// pass is one pass over all pending pods.
type pass struct {
	now    time.Time
	all    []*pendingPod // in the order in which they are served
	asking []*pendingPod // those to decide on
	// complete says that this pass has resolved every pod. Otherwise it must not conclude that no
	// pod waits for a pool.
	complete bool
	again    time.Duration // until the next pass
}

func (p *pass) soon(d time.Duration) { p.again = min(p.again, max(d, 0)) }

// soonAt has the next pass at t or before, if t is in the future.
func (p *pass) soonAt(t time.Time) {
	if wait := t.Sub(p.now); wait > 0 {
		p.soon(wait)
	}
}

// Reconcile makes one pass.
func (b *reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	if wait := b.next.Sub(b.now()); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	p := b.begin()
	b.resolveAll(ctx, p)
	b.classifyAll(ctx, p)
	if err := b.bindAll(ctx, p); err != nil {
		return reconcile.Result{}, err
	}
	b.finishAll(ctx, p)
	b.reportAll(ctx, p)
	// The more pods are pending, the more a pass costs, and the more events ask for one.
	pause := 20*time.Millisecond + time.Duration(len(p.all))*20*time.Microsecond
	b.next = b.now().Add(pause)
	return reconcile.Result{RequeueAfter: max(p.again, pause)}, nil
}

// begin lists the pending pods, and forgets those that no longer are.
func (b *reconciler) begin() *pass {
	p := &pass{now: b.now(), complete: true, again: resyncPeriod}
	known := map[types.UID]*pendingPod{}
	for _, pod := range b.claims.Waiting() {
		l, ok := b.known[pod.UID]
		switch {
		case !ok:
			l = &pendingPod{pod: pod, first: p.now}
		case l.pod.Revision < pod.Revision:
			l.pod = pod
		}
		known[pod.UID] = l
		p.all = append(p.all, l)
	}
	b.known = known
	slices.SortFunc(p.all, func(a, b *pendingPod) int { return compareWaiting(a.pod, b.pod) })
	return p
}

// resolveAll resolves the pods for which that is due.
func (b *reconciler) resolveAll(ctx context.Context, p *pass) {
	sum := digest(b.pools)
	versions := map[string]string{} // namespace -> resourceVersion
	bases := map[*pendingPod]basis{}
	var due []*pendingPod
	for _, l := range p.all {
		if wait := l.due().Sub(p.now); wait > 0 {
			p.soon(wait)
			continue
		}
		version, ok := versions[l.pod.Namespace]
		if !ok {
			version = b.version(ctx, l.pod.Namespace)
			versions[l.pod.Namespace] = version
		}
		bases[l] = basis{pools: sum, namespace: version}
		if !l.current(bases[l], p.now) {
			due = append(due, l)
		}
	}
	if len(due) > resolvesPerPass {
		due, p.complete, p.again = due[:resolvesPerPass], false, 0
	}
	errs := parallel.Do(parallelism, due, func(l *pendingPod) error { return b.resolve(ctx, l, bases[l], p.now) })
	if err := errors.Join(errs...); err != nil {
		p.complete = false
		p.soon(time.Second)
		log.FromContext(ctx).Error(err, "reading pending pods")
	}
}

// version returns the resourceVersion of a namespace; empty where it cannot be read.
func (b *reconciler) version(ctx context.Context, namespace string) string {
	var ns corev1.Namespace
	if err := b.namespaces.Get(ctx, types.NamespacedName{Name: namespace}, &ns); err != nil {
		return "" // choosing returns the error
	}
	return ns.ResourceVersion
}

// classifyAll finds the pods to decide on, and records why the others wait.
func (b *reconciler) classifyAll(ctx context.Context, p *pass) {
	var needlessly []*pendingPod
	for _, l := range p.all {
		if l.resolution == needlesslyGated && l.object != nil {
			needlessly = append(needlessly, l)
		}
		b.classify(ctx, p, l)
	}
	parallel.Do(parallelism, needlessly, func(l *pendingPod) error { b.ungate(ctx, l); return nil })
}

func (b *reconciler) classify(ctx context.Context, p *pass, l *pendingPod) {
	if l.resolution != resolved && l.resolution != unresolvable || l.pod.Static {
		l.reportedStatus = reportedStatus{}
	}
	b.noteArrival(ctx, l)
	switch {
	case l.pod.Static:
	case l.resolution == unresolvable, l.resolution == resolved && l.chosen.NotYet != nil:
		reason, message := l.why()
		l.waits(reason, message, p.now)
	case l.resolution == resolved && l.object != nil: // else it was forgotten, and is not due to be read again yet
		b.ask(p, l)
	}
}

// ask lets the pass decide on a pod, unless something else is in its way.
func (b *reconciler) ask(p *pass, l *pendingPod) {
	switch {
	case l.pod.ForeignGated:
		l.waits(crdv1.ReasonForeignGate, "the pod is held back by scheduling gates of others; it is given addresses when they are gone", p.now)
	case l.pod.Node != "" && !b.nodes.Shows(l.pod.Node): // whoever makes pods may name any
		l.waits(crdv1.ReasonNodeUnknown, fmt.Sprintf("spec.nodeName: there is no node %q; the pod is given addresses when there is", l.pod.Node), p.now)
	case l.failure.active(l.pod, p.now):
		l.waits(l.failure.reason, l.failure.message, p.now)
		p.soonAt(l.failure.notBefore)
	default:
		p.asking = append(p.asking, l)
	}
}

// noteArrival logs and records, once, that a pod did not come through the webhook.
func (b *reconciler) noteArrival(ctx context.Context, l *pendingPod) {
	if l.noted || l.resolution != resolved || l.pod.Gated || l.pod.Admitted {
		return
	}
	l.noted = true
	logger := log.FromContext(ctx).WithValues("pod", l.pod.String(), "uid", l.pod.UID, "node", l.pod.Node)
	if l.pod.Static {
		logger.Info("a static pod cannot be given addresses")
		b.events.static(l.pod)
		return
	}
	logger.Info("a pod without addresses did not pass the webhook")
	b.events.missed(l.pod)
}

// bindAll decides on all requests, and binds the pods that get addresses. It returns an error if
// leadership was lost.
func (b *reconciler) bindAll(ctx context.Context, p *pass) error {
	asked := make([]*request, len(p.asking))
	podOf := map[*request]*pendingPod{}
	for i, l := range p.asking {
		asked[i] = l.request()
		podOf[asked[i]] = l
	}
	capacities := b.capacities(asked, p.now)
	waitedFor := map[string]bool{} // pool -> a pod waits for its addresses
	var attempts []*attempt
	for _, v := range decide(asked, capacities) {
		l := podOf[v.request]
		switch {
		case v.grants != nil && len(attempts) == bindsPerPass:
			p.complete = false
			p.soon(0)
			continue
		case v.grants != nil:
			attempts = append(attempts, &attempt{pendingPod: l, verdict: v, capacities: capacities})
			continue
		}
		l.waits(v.reason, v.message, p.now)
		for _, pool := range v.waitsFor {
			waitedFor[pool] = true
		}
	}
	if err := b.mark(ctx, p, waitedFor, true); err != nil { // before others can take what is meant for these
		return err
	}
	if err := b.runBinds(ctx, p, attempts); err != nil || !p.complete {
		return err
	}
	return b.mark(ctx, p, waitedFor, false)
}

func (b *reconciler) runBinds(ctx context.Context, p *pass, all []*attempt) error {
	limited, cancel := context.WithTimeout(ctx, bindTimeout)
	defer cancel()
	errs := parallel.Do(parallelism, all, func(s *attempt) error { return b.bind(limited, s, p.now) })
	again, cancel := context.WithTimeout(ctx, bindTimeout)
	defer cancel()
	parallel.Do(parallelism, all, func(s *attempt) error { b.reportAssigned(again, s); return nil })
	for _, s := range all {
		b.afterBind(p, s)
	}
	return errors.Join(errs...)
}

// request returns what the pod asks for.
func (l *pendingPod) request() *request {
	return &request{
		pod: l.pod, rule: l.chosen.Rule, passed: l.chosen.PassedOver(), slots: l.chosen.Slots,
		token: allocator.LateToken(string(l.pod.UID)), identity: l.chosen.Reservation.For,
	}
}

// afterBind evaluates the result of an attempt.
func (b *reconciler) afterBind(p *pass, s *attempt) {
	if s.result != "" {
		b.metrics.lateBinding(s.result)
	}
	switch s.result {
	case resultBound:
		s.reportedStatus, s.failure = reportedStatus{}, failure{}
		b.eventSent[s.pod.UID] = true
		if s.reported {
			b.finished[s.pod.UID] = s.pod.Revision
		}
		return
	case resultRefused:
		for _, pool := range s.full {
			b.exhausted[pool] = exhaustion{s.capacities[pool].version, p.now.Add(resyncPeriod)}
		}
	}
	p.complete = false
	p.soon(0)
}

// mark writes status.waitedFor: true into pools that pods wait for, or false into the others. It
// returns an error if leadership was lost.
func (b *reconciler) mark(ctx context.Context, p *pass, want map[string]bool, marked bool) error {
	var wrong []*crdv1.SpiderIPPool
	for pool := range b.pools.All() {
		if want[pool.Name] != marked || pool.Status.WaitedFor == marked {
			continue
		}
		if b.leader.TookOver(pool) {
			wrong = append(wrong, pool)
		}
	}
	errs := parallel.Do(parallelism, wrong, func(pool *crdv1.SpiderIPPool) error {
		ctx, cancel := context.WithTimeout(ctx, bindTimeout)
		defer cancel()
		return b.ledger.Apply(ctx, pool.Name, ledger.Change{Do: ledger.Fence(b.leader.Term(), pool.UID, func(tx *ledger.Tx) error {
			tx.WaitedFor = marked
			return nil
		})})
	})
	for i, err := range errs {
		switch {
		case errors.Is(err, ledger.ErrLeadershipLost):
			return b.stop(err)
		case err != nil:
			p.soon(time.Second)
			log.FromContext(ctx).V(1).Info("waitedFor of a pool was not written", "pool", wrong[i].Name, "reason", err.Error())
		}
	}
	return nil
}
