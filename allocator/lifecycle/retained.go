package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"go4.org/netipx"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/owners"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// retainedInterval is how often the owners of retained addresses are looked at.
const retainedInterval = 5 * time.Second

// retained frees addresses that are kept for pods which will not come back: their owner is gone or
// makes no pod of that name any more, or the pod lives with an address from elsewhere. Only what
// nobody has is freed, and an admission that takes an address up again is a write to its record, so
// what is unassigned when it is freed was unassigned all along.
type retained struct {
	ledger           Applier
	pools            ledger.Pools
	claims           roster
	reservedRanges   func() ([]netipx.IPRange, uint64) // what no pool may hand out
	api              client.Reader                     // not a cache: absence is to be proven
	mapper           owners.Mapper
	leaderships      *leaderships
	grace            time.Duration // an owner that is made again within it finds its addresses
	metrics          *Metrics
	onLeadershipLost func(error)
	now              func() time.Time

	// first is when this leader first found that an identity will not come back, on its own clock.
	first memory[allocator.Identity, time.Time]
}

// Reconcile frees what a pool need not keep any more, and comes back.
func (k *retained) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	pool, ok := k.pools.Pool(r.Name)
	if !ok {
		k.first.set(r.Name, nil)
		return reconcile.Result{}, nil
	}
	if begun, _, _ := k.leaderships.of(pool); !begun {
		return reconcile.Result{RequeueAfter: retainedInterval}, nil
	}
	if len(pool.Status.Retained) == 0 {
		k.first.set(pool.Name, nil)
		return reconcile.Result{RequeueAfter: retainedInterval}, nil
	}
	state, err := k.leaderships.decode(pool)
	if err != nil {
		return after(ctx, err, retainedInterval)
	}
	due := k.due(ctx, state)
	if len(due) > 0 {
		if err := k.free(ctx, pool, due); err != nil {
			return after(ctx, stopOnLostLeadership(err, k.onLeadershipLost), retainedInterval)
		}
	}
	return reconcile.Result{RequeueAfter: retainedInterval}, nil
}

// due returns the unassigned addresses whose identities have not come back for the grace, and why
// they will not. What cannot be told now stays.
func (k *retained) due(ctx context.Context, state *ledger.State) map[netip.Addr]string {
	pool := state.Pool.Name
	now, before := k.now(), k.first.of(pool)
	ranges, _ := k.reservedRanges()
	usable := state.Space.Without(ranges)
	first := map[allocator.Identity]time.Time{}
	due := map[netip.Addr]string{}
	reader := owners.NewReader(k.api, k.mapper)
	var failed []error
	for address, v := range state.Record.Retained() {
		switch {
		case !v.Unassigned():
			continue
		case !usable.Contains(address): // its identity waits for it in vain
			due[address] = "the pool may not hand it out any more"
			continue
		}
		why, err := k.over(ctx, reader, address, v.Identity)
		if err != nil {
			failed = append(failed, err)
		}
		if why == "" {
			continue
		}
		since, ok := before[v.Identity]
		if !ok {
			since = now
		}
		first[v.Identity] = since
		if now.Sub(since) >= k.grace {
			due[address] = why
		}
	}
	k.first.set(pool, first)
	if err := errors.Join(failed...); err != nil {
		log.FromContext(ctx).Error(err, "it cannot be told whether some retained addresses are needed; they stay", "pool", pool)
	}
	return due
}

// over says why an identity will not come back to an address; nothing while it may.
func (k *retained) over(ctx context.Context, o *owners.Reader, a netip.Addr, id allocator.Identity) (string, error) {
	if len(k.claims.Live(a)) > 0 {
		return "", nil // it is being put back
	}
	if p, ok := k.claims.Get(id.Namespace + "/" + id.Pod); ok && p.Live() && len(p.Claims) > 0 {
		return "its pod lives with another address", nil
	}
	kind := schema.GroupKind{Group: id.Group, Kind: id.Kind}
	owner, err := o.Read(ctx, owners.Ref{Kind: kind, Namespace: id.Namespace, Name: id.Name})
	switch {
	case err != nil:
		return "", err
	case owner == nil:
		return "its owner is gone", nil
	case !owners.Covers(owner, id.Pod):
		return "its owner makes no pod of that name", nil
	}
	return "", nil
}

// free frees the addresses that are unassigned still, once the API server has said that no live pod
// claims one of them.
func (k *retained) free(ctx context.Context, pool *crdv1.SpiderIPPool, due map[netip.Addr]string) error {
	state, err := k.leaderships.decode(pool)
	if err != nil {
		return err
	}
	ids := map[netip.Addr]allocator.Identity{}
	for address := range due {
		v, _ := state.Record.RetainedAt(address)
		used, err := k.used(ctx, pool.Name, address, v.Identity)
		if err != nil {
			return err
		}
		if !used {
			ids[address] = v.Identity
		}
	}
	done, err := removal[netip.Addr, allocator.Identity]{pool, ids, freeRetained}.apply(ctx, k.ledger, k.leaderships)
	if err != nil {
		return err
	}
	for address, id := range done {
		p := &view.Pod{}
		p.Namespace, p.Name = id.Namespace, id.Pod
		k.metrics.step(freed)
		view.LogStep(log.FromContext(ctx), freed, pool.Name, address, p, "why", due[address], "owner", id.Owner().String())
	}
	return nil
}

func freeRetained(tx *ledger.Tx, a netip.Addr, id allocator.Identity) (bool, error) {
	if v, ok := tx.Record.RetainedAt(a); !ok || !v.Unassigned() || v.Identity != id {
		return false, nil
	}
	return true, tx.Record.FreeRetained(a, id)
}

// used reports, by an uncached read, whether the pod of an identity claims an address.
func (k *retained) used(ctx context.Context, pool string, a netip.Addr, id allocator.Identity) (bool, error) {
	var pod corev1.Pod
	err := k.api.Get(ctx, types.NamespacedName{Namespace: id.Namespace, Name: id.Pod}, &pod)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading pod %s/%s: %w", id.Namespace, id.Pod, err)
	}
	claims, unreadable := crdv1.ClaimsOf(pod.Annotations)
	for _, c := range claims {
		if c.Address == a && c.Pool == pool {
			return !view.Finished(&pod), nil
		}
	}
	return len(unreadable) > 0, nil
}

// roster is what keeping addresses for identities asks about pods: *Claims.
type roster interface {
	living
	// Get returns a pod by namespace and name.
	Get(key string) (*view.Pod, bool)
}
