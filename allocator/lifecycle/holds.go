package lifecycle

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

const (
	// holdInterval is how often the holds of a pool are looked at.
	holdInterval = 2 * time.Second
	// wellAgain is how long a node must be Ready, beside the pod's termination
	// grace, until its kubelet has ended what it was told to end. It is longer
	// than a node that is cut off still counts as Ready (50 s by default).
	wellAgain = time.Minute
	// clocksApart is how far the API server's clock may be from a leader's.
	clocksApart = time.Minute
)

// holds ends the holds of addresses once their pods cannot run any more: the
// node has been Ready long enough for its kubelet to end what the API server
// does not know, or it is gone, or somebody vouches that it is off.
type holds struct {
	ledger  Applier
	pools   ledger.Pools
	claims  living
	api     client.Reader // not a cache
	tenures *tenures
	nodes   wellness
	metrics *Metrics
	depose  func(error)
	now     func() time.Time

	// first is when this leader first saw a hold, on its own clock. Only
	// Reconcile touches it, and only one runs.
	first map[string]map[heldAt]time.Time // pool -> hold -> time
}

// heldAt is one hold of one address.
type heldAt struct {
	address netip.Addr
	hold    allocator.Hold
}

// wellness is what a watch says of nodes: *Nodes.
type wellness interface {
	// ReadyFor returns for how long a node has been Ready.
	ReadyFor(node string) time.Duration
	// Off reports whether a node is gone, or somebody vouches that it is off.
	Off(node string) bool
}

// Reconcile ends the holds of a pool that may end, and comes back.
func (h *holds) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	pool, ok := h.pools.Pool(r.Name)
	if !ok {
		delete(h.first, r.Name)
		return reconcile.Result{}, nil
	}
	if begun, _, _ := h.tenures.of(pool); !begun {
		return reconcile.Result{RequeueAfter: catchUp}, nil
	}
	state, err := ledger.Read(pool)
	if err != nil {
		return after(ctx, err, holdInterval)
	}
	over := h.over(ctx, h.standing(pool.Name, state.Record))
	if len(over) > 0 {
		if err := h.end(ctx, pool, over); err != nil {
			return after(ctx, stop(err, h.depose), holdInterval)
		}
	}
	return reconcile.Result{RequeueAfter: holdInterval}, nil
}

// standing returns for how long this leader has seen each hold.
func (h *holds) standing(pool string, record *allocator.Record) map[heldAt]time.Duration {
	now, before := h.now(), h.first[pool]
	first, seen := map[heldAt]time.Time{}, map[heldAt]time.Duration{}
	for a, hold := range record.AllHeld() {
		key := heldAt{a, hold}
		since, ok := before[key]
		if !ok {
			since = now
		}
		first[key], seen[key] = since, now.Sub(since)
	}
	delete(h.first, pool)
	if len(first) > 0 {
		h.first[pool] = first
	}
	return seen
}

// over returns the holds that may end, and why. What cannot be told now stays.
func (h *holds) over(ctx context.Context, standing map[heldAt]time.Duration) map[heldAt]string {
	over := map[heldAt]string{}
	proofs := proofs{api: h.api, nodes: h.nodes, known: map[string]*corev1.Node{}}
	for key, seen := range standing {
		if len(h.claims.Live(key.address)) > 0 {
			continue // somebody carries it: it is needed still
		}
		why, err := proofs.of(ctx, key.hold, seen)
		if err != nil {
			log.FromContext(ctx).Error(err, "a hold cannot be judged now", "address", key.address, "node", key.hold.Node)
		}
		if why != "" {
			over[key] = why
		}
	}
	return over
}

// end frees the addresses whose holds are over.
func (h *holds) end(ctx context.Context, pool *crdv1.SpiderIPPool, over map[heldAt]string) error {
	var ended map[heldAt]string
	err := h.ledger.Apply(ctx, pool.Name, ledger.Change{
		Patience: patience,
		Do: h.tenures.fence(pool.UID, func(tx *ledger.Tx) error {
			ended = map[heldAt]string{}
			for key, why := range over {
				if now, ok := tx.Record.HoldAt(key.address); !ok || now != key.hold {
					continue
				}
				if err := tx.Record.Unhold(key.address); err != nil {
					return err
				}
				ended[key] = why
			}
			return nil
		}),
	})
	if err != nil {
		return err
	}
	for key, why := range ended {
		h.metrics.step(holdEnded)
		logStep(log.FromContext(ctx), holdEnded, pool.Name, key.address, &Pod{Node: key.hold.Node}, "why", why, "since", key.hold.Since)
	}
	return nil
}

// proofs judges holds by what the API server says of nodes, each read once.
type proofs struct {
	api   client.Reader
	nodes wellness
	known map[string]*corev1.Node // node -> as read; nil where it is gone
	all   []corev1.Node           // read where a hold's node is not known
}

// of says why a hold may end; nothing while it may not. seen is for how long
// this leader has known of it.
func (p *proofs) of(ctx context.Context, h allocator.Hold, seen time.Duration) (string, error) {
	need := wellAgain + max(h.Grace, allocator.DefaultGrace)
	if h.Node != "" {
		return p.ofNode(ctx, h.Node, seen, need)
	}
	if seen < need {
		return "", nil
	}
	if p.all == nil {
		var list corev1.NodeList
		if err := p.api.List(ctx, &list); err != nil {
			return "", fmt.Errorf("listing nodes: %w", err)
		}
		p.all = list.Items
	}
	for i := range p.all {
		n := &p.all[i]
		young := n.CreationTimestamp.After(h.Since.Add(clocksApart)) // the pod was gone before the node came
		if !young && !outOfService(n) && (!nodeReady(n) || p.nodes.ReadyFor(n.Name) < need) {
			return "", nil
		}
	}
	return "all nodes have been Ready or are out of service", nil
}

// What the watch does not show is not asked for: there may be many holds.
func (p *proofs) ofNode(ctx context.Context, name string, seen, need time.Duration) (string, error) {
	if !p.nodes.Off(name) && (seen < need || p.nodes.ReadyFor(name) < need) {
		return "", nil
	}
	node, err := p.read(ctx, name)
	switch {
	case err != nil:
		return "", err
	case node == nil:
		return "its node is gone", nil
	case outOfService(node):
		return "its node is out of service", nil
	case nodeReady(node) && seen >= need && p.nodes.ReadyFor(name) >= need:
		return "its node has been Ready for " + need.String(), nil
	}
	return "", nil
}

// read reads a node; nil says that there is none of the name.
func (p *proofs) read(ctx context.Context, name string) (*corev1.Node, error) {
	if node, ok := p.known[name]; ok {
		return node, nil
	}
	node := &corev1.Node{}
	err := p.api.Get(ctx, types.NamespacedName{Name: name}, node)
	if apierrors.IsNotFound(err) {
		node, err = nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading node %q: %w", name, err)
	}
	p.known[name] = node
	return node, nil
}

func nodeReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
