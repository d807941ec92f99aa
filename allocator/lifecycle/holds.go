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
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

const (
	// holdInterval is how often the holds of a pool are looked at.
	holdInterval = 2 * time.Second
	// readyMargin is how long a node must be Ready, beside the pod's termination grace, until its
	// kubelet has ended what it was told to end. It is longer than a node that is cut off still
	// counts as Ready (50 s by default).
	readyMargin = time.Minute
	// clocksApart is how far the API server's clock may be from a leader's.
	clocksApart = time.Minute
)

// holds ends the holds of addresses once their pods cannot run any more: the node has been Ready
// long enough for its kubelet to end what the API server does not know, or it is gone, or somebody
// vouches that it is off.
type holds struct {
	ledger           Applier
	pools            ledger.Pools
	claims           living
	api              client.Reader // not a cache
	leaderships      *leaderships
	nodes            nodeReadiness
	metrics          *Metrics
	onLeadershipLost func(error)
	now              func() time.Time

	first memory[heldAt, time.Time] // when this leader first saw a hold, on its own clock
	told  reminders                 // of nodes that keep holds of unknown nodes
}

// heldAt is one hold of one address.
type heldAt struct {
	address netip.Addr
	hold    allocator.Hold
}

// nodeReadiness is what a watch says of nodes: *Nodes.
type nodeReadiness interface {
	// Ready returns since when a node has been Ready without a break, on the API server's clock,
	// and for how long on this one; 0 where it is not.
	Ready(node string) (since time.Time, lasts time.Duration)
	// GoneOrOutOfService reports whether a node is gone, or somebody vouches that it is off.
	GoneOrOutOfService(node string) bool
	// NotReadyFor returns a node that has not been Ready for as long and is not off. Nodes that
	// were made after born do not count.
	NotReadyFor(need time.Duration, born time.Time) (node string, is bool)
}

// Reconcile ends the holds of a pool that may end, and comes back.
func (h *holds) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	pool, ok := h.pools.Pool(r.Name)
	if !ok {
		h.first.set(r.Name, nil)
		return reconcile.Result{}, nil
	}
	if begun, _, _ := h.leaderships.of(pool); !begun {
		return reconcile.Result{RequeueAfter: holdInterval}, nil
	}
	state, err := h.leaderships.decode(pool)
	if err != nil {
		return after(ctx, err, holdInterval)
	}
	over := h.over(ctx, pool.Name, h.standing(pool.Name, state.Record))
	if len(over) > 0 {
		if err := h.end(ctx, pool, over); err != nil {
			return after(ctx, stopOnLostLeadership(err, h.onLeadershipLost), holdInterval)
		}
	}
	return reconcile.Result{RequeueAfter: holdInterval}, nil
}

// standing returns for how long this leader has seen each hold, without a live pod that claims the
// address: where there is one, its end must be proven anew.
func (h *holds) standing(pool string, record *allocator.Record) map[heldAt]time.Duration {
	now, before := h.now(), h.first.of(pool)
	first, seen := map[heldAt]time.Time{}, map[heldAt]time.Duration{}
	for a, hold := range record.AllHeld() {
		key := heldAt{a, hold}
		since, ok := before[key]
		if !ok || len(h.claims.Live(a)) > 0 {
			since = now
		}
		first[key], seen[key] = since, now.Sub(since)
	}
	h.first.set(pool, first)
	return seen
}

// over returns the holds that may end, and why. What cannot be told now stays.
func (h *holds) over(ctx context.Context, pool string, standing map[heldAt]time.Duration) map[heldAt]string {
	over := map[heldAt]string{}
	proofs := proofs{api: h.api, nodes: h.nodes, known: map[string]nodeRead{}}
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
	h.tell(ctx, pool, proofs.keeps)
	return over
}

// tell says now and then which node keeps the holds of unknown nodes: without it nobody could tell
// what to mend.
func (h *holds) tell(ctx context.Context, pool, node string) {
	if node == "" || !h.told.due(pool+" "+node, h.now(), 0) {
		return
	}
	log.FromContext(ctx).Info("holds of unknown nodes go on: a node has not been Ready for long enough, and nobody vouches that it is off", "pool", pool, "node", node)
}

// end frees the addresses whose holds are over.
func (h *holds) end(ctx context.Context, pool *crdv1.SpiderIPPool, over map[heldAt]string) error {
	ended, err := removal[heldAt, string]{pool, over, unhold}.apply(ctx, h.ledger, h.leaderships)
	for key, why := range ended {
		h.metrics.step(holdEnded)
		view.LogStep(log.FromContext(ctx), holdEnded, pool.Name, key.address, &view.Pod{Node: key.hold.Node}, "why", why, "since", key.hold.Since)
	}
	return err
}

func unhold(tx *ledger.Tx, key heldAt, _ string) (bool, error) {
	if now, ok := tx.Record.HoldAt(key.address); !ok || now != key.hold {
		return false, nil
	}
	return true, tx.Record.Unhold(key.address)
}

// proofs judges holds by what the API server says of nodes, each read once.
type proofs struct {
	api   client.Reader
	nodes nodeReadiness
	known map[string]nodeRead // node -> as read
	all   *corev1.NodeList    // read where a hold's node is not known
	err   error               // of that read
	keeps string              // a node that keeps such a hold; empty for none
}

// nodeRead is a node as it was read; no node says that there is none.
type nodeRead struct {
	node *corev1.Node
	err  error
}

// of says why a hold may end; nothing while it may not. seen is for how long this leader has known
// of it.
func (p *proofs) of(ctx context.Context, h allocator.Hold, seen time.Duration) (string, error) {
	need := readyMargin + allocator.WaitFor(h.Grace)
	if h.Node != "" {
		return p.ofNode(ctx, h.Node, seen, need)
	}
	return p.ofAll(ctx, h, seen, need)
}

// What the watch does not show is not asked for: there may be many holds.
func (p *proofs) ofNode(ctx context.Context, name string, seen, need time.Duration) (string, error) {
	since, lasts := p.nodes.Ready(name)
	if !p.nodes.GoneOrOutOfService(name) && (seen < need || lasts < need) {
		return "", nil
	}
	read := p.read(ctx, name)
	switch {
	case read.err != nil:
		return "", read.err
	case read.node == nil:
		return "its node is gone", nil
	case view.OutOfService(read.node):
		return "its node is out of service", nil
	case seen >= need && lasts >= need && readySince(read.node, since):
		return "its node has been Ready for " + need.String(), nil
	}
	return "", nil
}

func (p *proofs) ofAll(ctx context.Context, h allocator.Hold, seen, need time.Duration) (string, error) {
	born := h.Since.Add(clocksApart) // the pod was gone before younger nodes came
	if seen < need {
		return "", nil
	}
	if node, weak := p.nodes.NotReadyFor(need, born); weak {
		p.keeps = node
		return "", nil
	}
	if p.all == nil {
		p.all = &corev1.NodeList{}
		if err := p.api.List(ctx, p.all); err != nil {
			p.err = fmt.Errorf("listing nodes: %w", err)
		}
	}
	if p.err != nil {
		return "", p.err
	}
	for i := range p.all.Items {
		n := &p.all.Items[i]
		since, lasts := p.nodes.Ready(n.Name)
		if !n.CreationTimestamp.After(born) && !view.OutOfService(n) && (lasts < need || !readySince(n, since)) {
			p.keeps = n.Name
			return "", nil
		}
	}
	return "all nodes have been Ready or are out of service", nil
}

// read reads a node, once; where that fails, it has failed for this look.
func (p *proofs) read(ctx context.Context, name string) nodeRead {
	if read, ok := p.known[name]; ok {
		return read
	}
	read := nodeRead{node: &corev1.Node{}}
	err := p.api.Get(ctx, types.NamespacedName{Name: name}, read.node)
	switch {
	case apierrors.IsNotFound(err):
		read.node = nil
	case err != nil:
		read.err = fmt.Errorf("reading node %q: %w", name, err)
	}
	p.known[name] = read
	return read
}

// readySince reports whether a node is Ready, and has been since the moment that the watch knows:
// one that was away in between, and back, shows another.
func readySince(n *corev1.Node, since time.Time) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue && c.LastTransitionTime.Time.Equal(since)
		}
	}
	return false
}
