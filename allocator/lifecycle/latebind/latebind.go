package latebind

import (
	"context"
	"iter"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlbuilder "sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Options is what late binding works with.
type Options struct {
	Ledger  Ledger
	Pools   Pools
	Claims  *view.Claims
	Nodes   Nodes
	Leader  Leader
	Chooser Chooser
	// Recorder records events on pods.
	Recorder view.Recorder
	// Metrics may be nil.
	Metrics *Metrics
	// Step counts a step in the life of an address, by its verb in the log.
	Step func(verb string)
	// OnLeadershipLost is called when another leader was found.
	OnLeadershipLost func(error)
}

// Ledger reserves for existing pods: a *ledger.Ledger.
type Ledger interface {
	Apply(ctx context.Context, pool string, change ledger.Change) error
	Bind(ctx context.Context, r allocator.Reservation, slots []choice.Slot, fence func(*ledger.Tx) error) ([]crdv1.Claim, error)
	Available(s *ledger.State, limit int) int
	MostKept(size uint64) int
}

var _ Ledger = (*ledger.Ledger)(nil)

// Pools are the pools as the watch has shown them.
type Pools interface {
	ledger.Pools
	// All yields all pools, in any order; the objects MUST NOT be changed.
	All() iter.Seq[*crdv1.SpiderIPPool]
}

// Nodes are the nodes as a watch has shown them: *view.Nodes.
type Nodes interface {
	// Shows reports whether there is a node of that name.
	Shows(node string) bool
}

// Leader is the leadership under which pods are bound.
type Leader interface {
	Term() ledger.Term
	// TookOver reports whether this leader has taken over a pool, and so may write to it.
	TookOver(pool *crdv1.SpiderIPPool) bool
	// Decode is ledger.Read.
	Decode(pool *crdv1.SpiderIPPool) (*ledger.State, error)
}

// Setup adds the controller to mgr.
func Setup(mgr manager.Manager, o Options) error {
	b := &reconciler{
		resolver: resolver{api: mgr.GetAPIReader(), chooser: o.Chooser},
		binder: binder{
			statusWriter: statusWriter{mgr.GetClient()}, api: mgr.GetAPIReader(), ledger: o.Ledger, leader: o.Leader,
			events: &events{o.Recorder}, metrics: o.Metrics, step: o.Step, onLeadershipLost: o.OnLeadershipLost,
		},
		namespaces: mgr.GetClient(), pools: o.Pools, claims: o.Claims, nodes: o.Nodes, now: time.Now,
		known: map[types.UID]*pendingPod{}, exhausted: map[string]exhaustion{}, finished: map[types.UID]uint64{}, eventSent: map[types.UID]bool{},
	}
	all := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request { return []reconcile.Request{passRequest} })
	return ctrl.NewControllerManagedBy(mgr).Named("binding").WithOptions(controller.Options{MaxConcurrentReconciles: 1}).
		Watches(&crdv1.SpiderIPPool{}, all).
		Watches(&corev1.Namespace{}, all, ctrlbuilder.WithPredicates(predicate.Or(predicate.LabelChangedPredicate{}, predicate.AnnotationChangedPredicate{}))).
		WatchesRawSource(view.Source(o.Claims, waitingEvents, func(uint64) {})).
		Complete(b)
}
