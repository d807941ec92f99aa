package lifecycle

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// expireInterval is how often the reservations of a pool are looked at. A
// reservation expires within the grace and twice this time.
const expireInterval = 2 * time.Second

var podListKind = schema.GroupVersionKind{Version: "v1", Kind: "PodList"}

// expire gives reservations back that no pod came for: after the webhook
// answered, a later webhook, a policy, a quota or etcd may refuse the pod, and
// nobody tells.
type expire struct {
	ledger  Applier
	pools   ledger.Pools
	api     client.Reader // not a cache: the absence of a pod is to be proven
	tenures *tenures
	grace   time.Duration // longer than any admission can last
	depose  func(error)
	now     func() time.Time

	// first is when this leader, on its own clock, first saw a reservation.
	// Only Reconcile touches it, and only one runs.
	first map[string]map[allocator.Token]time.Time // pool -> token -> time
}

// Reconcile expires the reservations of a pool whose grace is over, and comes
// back.
func (e *expire) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	pool, ok := e.pools.Pool(r.Name)
	if !ok {
		delete(e.first, r.Name)
		return reconcile.Result{}, nil
	}
	if begun, _, _ := e.tenures.of(pool); !begun {
		return reconcile.Result{RequeueAfter: catchUp}, nil
	}
	if len(pool.Status.Reserved) == 0 {
		delete(e.first, pool.Name)
		return reconcile.Result{RequeueAfter: expireInterval}, nil
	}
	state, err := ledger.Read(pool)
	if err != nil {
		return reconcile.Result{}, err
	}
	for namespace, reservations := range e.due(pool.Name, state.Record) {
		if err := e.expire(ctx, pool, namespace, reservations); err != nil {
			log.FromContext(ctx).Error(stop(err, e.depose), "expiring reservations", "pool", pool.Name, "namespace", namespace)
		}
	}
	return reconcile.Result{RequeueAfter: expireInterval}, nil
}

// due returns by namespace the reservations whose grace is over.
func (e *expire) due(pool string, record *allocator.Record) map[string]map[allocator.Token]netip.Addr {
	now, before := e.now(), e.first[pool]
	first := map[allocator.Token]time.Time{}
	due := map[string]map[allocator.Token]netip.Addr{} // namespace -> token -> address
	for address, r := range record.Reserved() {
		since, ok := before[r.Token]
		if !ok {
			since = now
		}
		first[r.Token] = since
		if now.Sub(since) < e.grace {
			continue
		}
		if due[r.Pod.Namespace] == nil {
			due[r.Pod.Namespace] = map[allocator.Token]netip.Addr{}
		}
		due[r.Pod.Namespace][r.Token] = address
	}
	e.first[pool] = first
	return due
}

// expire gives back those of the reservations that no pod of the namespace
// carries. The grace is over, so none can come any more.
func (e *expire) expire(ctx context.Context, pool *crdv1.SpiderIPPool, namespace string, due map[allocator.Token]netip.Addr) error {
	carried, err := e.tokens(ctx, namespace)
	if err != nil {
		return err
	}
	for t := range due {
		if carried[string(t)] { // it will be settled
			delete(due, t)
			e.first[pool.Name][t] = e.now()
		}
	}
	if len(due) == 0 {
		return nil
	}
	var expired map[allocator.Token]netip.Addr
	err = e.ledger.Apply(ctx, pool.Name, ledger.Change{
		Patience: patience,
		Do: e.tenures.fence(pool.UID, func(tx *ledger.Tx) error {
			expired = map[allocator.Token]netip.Addr{}
			for t, address := range due {
				if r, ok := tx.Record.ReservedAt(address); !ok || r.Token != t {
					continue
				}
				if err := tx.Record.GiveBack(address, t); err != nil {
					return err
				}
				expired[t] = address
			}
			return nil
		}),
	})
	if err != nil {
		return err
	}
	for t, address := range expired {
		log.FromContext(ctx).Info("address expired: no pod came for it", "pool", pool.Name, "address", address, "token", t, "namespace", namespace)
	}
	return nil
}

// tokens returns the tokens that pods of a namespace carry, by a consistent
// read.
func (e *expire) tokens(ctx context.Context, namespace string) (map[string]bool, error) {
	var pods metav1.PartialObjectMetadataList
	pods.SetGroupVersionKind(podListKind)
	if err := e.api.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing pods of namespace %q: %w", namespace, err)
	}
	tokens := map[string]bool{}
	for i := range pods.Items {
		tokens[pods.Items[i].Annotations[crdv1.AnnotationReservation]] = true
	}
	return tokens, nil
}
