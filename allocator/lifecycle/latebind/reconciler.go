package latebind

import (
	"context"
	"errors"
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
	// lookAgain is how often all who wait are looked at when nothing happens.
	lookAgain = 5 * time.Second
	// atOnce is how many pods are read, or bound, at one moment. Those bound
	// share the writes of their pools.
	atOnce = 64
	// looksPerPass, servesPerPass and tellsPerPass bound how long a pass takes,
	// and how much of the API server many waiting pods use at once.
	looksPerPass  = 500
	servesPerPass = 500
	tellsPerPass  = 20
)

// reconciler gives pods that exist their addresses: those that were admitted
// without one, and those that were not admitted by us. It works in passes over all
// of them, since who is served first is a question about all of them.
type reconciler struct {
	resolver
	binder
	namespaces client.Reader // may be a cache
	pools      Pools
	claims     *view.Claims
	now        func() time.Time

	// Only Reconcile touches what follows, and only one runs.
	known     map[types.UID]*pendingPod
	exhausted map[string]exhaustion // pool -> what it was found to be
	finished  map[types.UID]uint64  // pod -> revision with which all was done
	told      map[types.UID]bool    // pods that were told of their addresses by an event
	next      time.Time             // before it there is no pass
	nextTell  time.Time             // before it nobody is told anything
}

// everybody is the one request there is.
var everybody = reconcile.Request{NamespacedName: types.NamespacedName{Name: "everybody"}}

// waitingEvents asks for a pass when a pod that waits, or did, has changed.
func waitingEvents(q view.Queue) cache.ResourceEventHandler {
	concerns := func(object any) bool {
		p, ok := object.(*view.Pod)
		return ok && (p.Waits() || p.LeftOver())
	}
	enqueue := func(object any) {
		if concerns(object) {
			q.Add(everybody)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: enqueue,
		UpdateFunc: func(before, after any) {
			if concerns(before) || concerns(after) {
				q.Add(everybody)
			}
		},
		DeleteFunc: enqueue,
	}
}

// pass is one look at all who wait.
type pass struct {
	now    time.Time
	all    []*pendingPod // in the order in which they are served
	asking []*pendingPod // those of whom it is to be decided
	// sure says that all was found out about everybody. Nothing is concluded
	// from somebody not waiting for a pool otherwise.
	sure  bool
	again time.Duration // until the next pass
}

func (p *pass) soon(d time.Duration) { p.again = min(p.again, max(d, 0)) }

// Reconcile makes one pass.
func (b *reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	if wait := b.next.Sub(b.now()); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	p := b.begin()
	b.lookAll(ctx, p)
	b.sortAll(ctx, p)
	if err := b.serveAll(ctx, p); err != nil {
		return reconcile.Result{}, err
	}
	b.finishAll(ctx, p)
	b.tellAll(ctx, p)
	// The more there are, the dearer is a pass, and the more events ask for one.
	pause := 20*time.Millisecond + time.Duration(len(p.all))*20*time.Microsecond
	b.next = b.now().Add(pause)
	return reconcile.Result{RequeueAfter: max(p.again, pause)}, nil
}

// begin finds who waits, and forgets those who do not any more.
func (b *reconciler) begin() *pass {
	p := &pass{now: b.now(), sure: true, again: lookAgain}
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

// lookAll finds out what those ask for of whom it is not known.
func (b *reconciler) lookAll(ctx context.Context, p *pass) {
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
	if len(due) > looksPerPass {
		due, p.sure, p.again = due[:looksPerPass], false, 0
	}
	errs := parallel.Do(atOnce, due, func(l *pendingPod) error { return b.look(ctx, l, bases[l], p.now) })
	if err := errors.Join(errs...); err != nil {
		p.sure = false
		p.soon(time.Second)
		log.FromContext(ctx).Error(err, "looking at pods that wait for addresses")
	}
}

// version returns the resourceVersion of a namespace, empty where there is none.
func (b *reconciler) version(ctx context.Context, namespace string) string {
	var ns corev1.Namespace
	if err := b.namespaces.Get(ctx, types.NamespacedName{Name: namespace}, &ns); err != nil {
		return "" // choosing says what is the matter
	}
	return ns.ResourceVersion
}

// sortAll finds out of whom it is to be decided, and why the others wait.
func (b *reconciler) sortAll(ctx context.Context, p *pass) {
	var needlessly []*pendingPod
	for _, l := range p.all {
		if l.resolution == gatedInVain && l.object != nil {
			needlessly = append(needlessly, l)
		}
		b.sort(ctx, p, l)
	}
	parallel.Do(atOnce, needlessly, func(l *pendingPod) error { b.ungate(ctx, l); return nil })
}

func (b *reconciler) sort(ctx context.Context, p *pass, l *pendingPod) {
	if l.resolution != resolved && l.resolution != unresolvable || l.pod.Static {
		l.reportedStatus = reportedStatus{}
	}
	b.note(ctx, l)
	switch {
	case l.pod.Static:
	case l.resolution == unresolvable, l.resolution == resolved && l.chosen.NotYet != nil:
		reason, message := l.why()
		l.waits(reason, message, p.now)
	case l.resolution != resolved:
	case l.object == nil: // forgotten, and not due to be read again yet
	case l.pod.ForeignGated:
		l.waits(crdv1.ReasonForeignGate, "the pod is held back by scheduling gates of others; it is given addresses when they are gone", p.now)
	case l.failure.stands(l.pod, p.now):
		l.waits(l.failure.reason, l.failure.message, p.now)
		if wait := l.failure.notBefore.Sub(p.now); wait > 0 {
			p.soon(wait)
		}
	default:
		p.asking = append(p.asking, l)
	}
}

// note tells once of a pod that came in another way than through the webhook.
func (b *reconciler) note(ctx context.Context, l *pendingPod) {
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

// serveAll decides of all who ask, and binds those who are to be bound. An error
// says that another leads.
func (b *reconciler) serveAll(ctx context.Context, p *pass) error {
	asked := make([]*request, len(p.asking))
	byAsks := map[*request]*pendingPod{}
	for i, l := range p.asking {
		asked[i] = l.request()
		byAsks[asked[i]] = l
	}
	supplies := b.capacities(asked, p.now)
	waitedFor := map[string]bool{} // pool -> somebody waits for its addresses
	var served []*attempt
	for _, v := range decide(asked, supplies) {
		l := byAsks[v.request]
		switch {
		case v.grants != nil && len(served) == servesPerPass:
			p.sure = false
			p.soon(0)
			continue
		case v.grants != nil:
			served = append(served, &attempt{pendingPod: l, verdict: v, capacities: supplies})
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
	if err := b.serveThese(ctx, p, served); err != nil || !p.sure {
		return err
	}
	return b.mark(ctx, p, waitedFor, false)
}

func (b *reconciler) serveThese(ctx context.Context, p *pass, all []*attempt) error {
	limited, cancel := context.WithTimeout(ctx, serveTimeout)
	defer cancel()
	errs := parallel.Do(atOnce, all, func(s *attempt) error { return b.serve(limited, s, p.now) })
	again, cancel := context.WithTimeout(ctx, serveTimeout)
	defer cancel()
	parallel.Do(atOnce, all, func(s *attempt) error { b.say(again, s); return nil })
	for _, s := range all {
		b.served(p, s)
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

// served draws the conclusions of a try to bind a pod.
func (b *reconciler) served(p *pass, s *attempt) {
	if s.result != "" {
		b.metrics.lateBinding(s.result)
	}
	switch s.result {
	case resultBound:
		s.reportedStatus, s.failure = reportedStatus{}, failure{}
		b.told[s.pod.UID] = true
		if s.said {
			b.finished[s.pod.UID] = s.pod.Revision
		}
		return
	case resultRefused:
		for _, pool := range s.full {
			b.exhausted[pool] = exhaustion{s.capacities[pool].version, p.now.Add(lookAgain)}
		}
	}
	p.sure = false
	p.soon(0)
}

// mark writes into pools that somebody waits for their addresses, as want says,
// or that nobody does. An error says that another leads.
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
	errs := parallel.Do(atOnce, wrong, func(pool *crdv1.SpiderIPPool) error {
		ctx, cancel := context.WithTimeout(ctx, serveTimeout)
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
			log.FromContext(ctx).V(1).Info("whether a pool is waited for was not written", "pool", wrong[i].Name, "reason", err.Error())
		}
	}
	return nil
}
