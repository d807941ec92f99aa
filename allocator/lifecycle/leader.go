package lifecycle

import (
	"context"
	"errors"
	"time"

	"go4.org/netipx"
	"k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlbuilder "sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/lifecycle/latebind"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Options are what the leader works with.
type Options struct {
	Ledger *ledger.Ledger
	Pools  latebind.Pools
	// Decoder reads the pools; nil reads each version each time.
	Decoder *ledger.Decoder
	Claims  *view.Claims
	Nodes   *view.Nodes
	// Arrivals says which reservations that stood before this process led need no hold. Nil says it
	// of none.
	Arrivals *view.Arrivals
	// ReservedRanges returns the addresses that no pool may hand out, as the ledger's option of the
	// name does. Nil means none.
	ReservedRanges func() (ranges []netipx.IPRange, version uint64)
	// Chooser says what a pod that waits for an address asks for.
	Chooser latebind.Chooser
	// Identity says which stable identity a pod has.
	Identity Identifier
	// Grace is how long a reservation waits for its pod, and a retained address for its owner. It
	// MUST be longer than any admission can last.
	Grace time.Duration
	// Now is the clock that graces and holds are counted on; nil means time.Now.
	Now func() time.Time
	// Metrics may be nil.
	Metrics *Metrics
	// OnLeadershipLost is told when another leader was found. It MUST end the process: what this
	// one believes is void.
	OnLeadershipLost func(error)
}

// pools that are tended at once; most of the time each waits for a write.
const tendedAtOnce = 64

// Setup adds the leader's controllers to mgr, which starts them when this process is elected and
// MUST end the process when it no longer is.
func Setup(mgr manager.Manager, o Options) error {
	if o.ReservedRanges == nil {
		o.ReservedRanges = func() ([]netipx.IPRange, uint64) { return nil, 0 }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	t := newLeaderships(ledger.NewTerm(), o.Decoder.Read)
	recorder := view.Recorder{EventRecorder: mgr.GetEventRecorder("spiderpool-controller")}
	tell := &events{recorder}
	e := &endpoints{client: mgr.GetClient(), claims: o.Claims, pools: o.Pools, leaderships: t}
	endpointsOf := make(chan event.TypedGenericEvent[*view.Pod], 1024)
	freed := func(p *view.Pod) {
		select {
		case endpointsOf <- event.TypedGenericEvent[*view.Pod]{Object: p}:
		default: // it looks again by itself, only later
		}
	}
	for _, setup := range []func() error{
		func() error {
			return build(mgr, "addresses", tendedAtOnce).
				For(&crdv1.SpiderIPPool{}).
				WatchesRawSource(view.Source(o.Claims, func(q view.Queue) cache.ResourceEventHandler { return ends{t, o.Claims, q} }, t.noteTold)).
				Complete(&addresses{
					ledger: o.Ledger, pools: o.Pools, claims: o.Claims, identity: o.Identity, nodes: o.Nodes, endpoints: e, leaderships: t,
					history:   &history{api: mgr.GetAPIReader(), claims: o.Claims, listed: map[string]uint64{}},
					conflicts: &conflicts{client: mgr.GetClient(), api: mgr.GetAPIReader(), claims: o.Claims, events: tell, metrics: o.Metrics},
					metrics:   o.Metrics, events: tell, onLeadershipLost: o.OnLeadershipLost, freed: freed,
				})
		},
		func() error { return setupRemovals(mgr, o, t) },
		func() error {
			return build(mgr, "pools", tendedAtOnce).
				For(&crdv1.SpiderIPPool{}).
				Complete(&readiness{
					client: mgr.GetClient(), api: mgr.GetAPIReader(), ledger: o.Ledger, pools: o.Pools, claims: o.Claims,
					identity: o.Identity, leaderships: t, metrics: o.Metrics, onLeadershipLost: o.OnLeadershipLost, podLists: &podLister{api: mgr.GetAPIReader()}, barriers: &barriers{}, events: tell,
				})
		},
		func() error {
			return build(mgr, "lostnodes", 8).
				WatchesRawSource(view.Source(o.Claims, lostNodeEvents, func(uint64) {})).
				Complete(&lostNodes{client: mgr.GetClient(), api: mgr.GetAPIReader(), claims: o.Claims, nodes: o.Nodes})
		},
		func() error { return setupEndpoints(mgr, o, e, endpointsOf) },
		func() error {
			return latebind.Setup(mgr, latebind.Options{
				Ledger: o.Ledger, Pools: o.Pools, Claims: o.Claims, Nodes: o.Nodes, Leader: t, Chooser: o.Chooser, Recorder: recorder, Metrics: o.Metrics.lateBinding(),
				Step: o.Metrics.step, OnLeadershipLost: o.OnLeadershipLost,
			})
		},
		func() error { return mgr.Add(o.Metrics.leads()) },
	} {
		if err := setup(); err != nil {
			return err
		}
	}
	return nil
}

// setupEndpoints adds what writes endpoints: as pods come and go, and of freed those whose
// addresses were given back.
func setupEndpoints(mgr manager.Manager, o Options, e *endpoints, freed <-chan event.TypedGenericEvent[*view.Pod]) error {
	return build(mgr, "endpoints", 8).
		For(&crdv1.SpiderEndpoint{}).
		WatchesRawSource(view.Source(o.Claims, endpointEvents, func(uint64) {})).
		WatchesRawSource(source.TypedChannel(freed, handler.TypedFuncs[*view.Pod, reconcile.Request]{
			GenericFunc: func(_ context.Context, ev event.TypedGenericEvent[*view.Pod], q view.Queue) {
				q.AddAfter(keyOf(ev.Object), shown)
			},
		})).
		Complete(e)
}

// setupRemovals adds what looks at each pool now and then for addresses that nothing keeps any
// more.
func setupRemovals(mgr manager.Manager, o Options, t *leaderships) error {
	api := mgr.GetAPIReader()
	return errors.Join(
		buildRemoval(mgr, "expire").For(&crdv1.SpiderIPPool{}, created).Complete(&expire{
			ledger: o.Ledger, pools: o.Pools, claims: o.Claims, arrivals: o.Arrivals, api: api, leaderships: t, grace: o.Grace, metrics: o.Metrics,
			onLeadershipLost: o.OnLeadershipLost, now: o.Now,
		}),
		buildRemoval(mgr, "holds").For(&crdv1.SpiderIPPool{}, created).Complete(&holds{
			ledger: o.Ledger, pools: o.Pools, claims: o.Claims, api: api, leaderships: t, nodes: o.Nodes, metrics: o.Metrics, onLeadershipLost: o.OnLeadershipLost,
			now: o.Now,
		}),
		buildRemoval(mgr, "retained").For(&crdv1.SpiderIPPool{}, created).Complete(&retained{
			ledger: o.Ledger, pools: o.Pools, claims: o.Claims, reservedRanges: o.ReservedRanges, api: api, mapper: mgr.GetRESTMapper(), leaderships: t, grace: o.Grace, metrics: o.Metrics,
			onLeadershipLost: o.OnLeadershipLost, now: o.Now,
		}),
	)
}

// shown is how soon the cache shows what was written, most of the time.
const shown = 200 * time.Millisecond

func build(mgr manager.Manager, name string, workers int) *ctrl.Builder {
	return ctrl.NewControllerManagedBy(mgr).Named(name).WithOptions(controller.Options{MaxConcurrentReconciles: workers})
}

const (
	// lookedAtOnce pools are looked at for removals: one of which the API server takes no writes
	// holds up no others.
	lookedAtOnce = 16
	// lookTimeout ends a look that does not come to an end. What has become of its write then, the
	// next look tells. The jobs that remember whose an address is have none: they must know.
	lookTimeout = time.Minute
)

// buildRemoval is build for jobs that look at each pool now and then.
func buildRemoval(mgr manager.Manager, name string) *ctrl.Builder {
	return ctrl.NewControllerManagedBy(mgr).Named(name).WithOptions(controller.Options{
		MaxConcurrentReconciles: lookedAtOnce, ReconciliationTimeout: lookTimeout,
	})
}

// created lets a pool's birth through, and nothing else: its controller comes back by itself.
var created = ctrlbuilder.WithPredicates(predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return true },
	UpdateFunc:  func(event.UpdateEvent) bool { return false },
	DeleteFunc:  func(event.DeleteEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
})

// after has a job that comes back by itself come back as always, whatever went wrong this time: no
// event wakes it, and the queue would have it wait longer and longer.
func after(ctx context.Context, err error, interval time.Duration) (reconcile.Result, error) {
	log.FromContext(ctx).Error(err, "looking at a pool; trying again", "after", interval.String())
	return reconcile.Result{RequeueAfter: interval}, nil
}

// endpointEvents asks for the endpoint of each pod that changed.
func endpointEvents(q view.Queue) cache.ResourceEventHandler {
	enqueue := func(object any) {
		if p, ok := object.(*view.Pod); ok && len(p.Claims) > 0 {
			q.Add(keyOf(p))
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, after any) { enqueue(after) },
		DeleteFunc: enqueue,
	}
}
