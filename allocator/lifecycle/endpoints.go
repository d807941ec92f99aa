package lifecycle

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// endpoints keeps a SpiderEndpoint for each live pod that has an address and a node. It is written
// once and deleted once. Nothing is taken out of a record for what it says; it may tell the node of
// a pod that ended while nobody led.
type endpoints struct {
	client      client.Client // reads from the cache
	claims      *view.Claims
	pools       ledger.Pools
	leaderships *leaderships
}

// endpointPatience is how long an endpoint that is kept for an address waits for the next look.
const endpointPatience = 30 * time.Second

// Reconcile writes or deletes the endpoint of one pod. That of an earlier pod of the name stays
// until no address of it is in use: until it is held, the endpoint alone tells the node.
func (e *endpoints) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	var have crdv1.SpiderEndpoint
	err := e.client.Get(ctx, r.NamespacedName, &have)
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, err
	}
	pod, wanted := e.wants(r.String())
	switch exists := err == nil; {
	case !exists && wanted:
		return reconcile.Result{}, ignore(e.client.Create(ctx, endpointOf(pod)), apierrors.IsAlreadyExists)
	case !exists || wanted && shows(&have, pod):
		return reconcile.Result{}, nil
	case wanted && e.any(&have, e.inUse):
		return reconcile.Result{RequeueAfter: shown}, nil
	case !wanted && e.any(&have, e.kept):
		return reconcile.Result{RequeueAfter: endpointPatience}, nil
	}
	return reconcile.Result{}, e.remove(ctx, &have) // the event of the deletion leads back here
}

// wants returns the pod of a name if it is to have an endpoint.
func (e *endpoints) wants(key string) (*view.Pod, bool) {
	p, ok := e.claims.Get(key)
	return p, ok && p.Live() && p.Node != "" && len(p.Claims) > 0
}

// shows reports whether an endpoint is that of this pod, not of an earlier one of the name.
func shows(have *crdv1.SpiderEndpoint, p *view.Pod) bool {
	return have.Status.Current != nil && have.Status.Current.UID == string(p.UID)
}

func (e *endpoints) remove(ctx context.Context, have *crdv1.SpiderEndpoint) error {
	return ignore(e.client.Delete(ctx, have, client.Preconditions{UID: &have.UID}), apierrors.IsNotFound)
}

func ignore(err error, expected func(error) bool) error {
	if expected(err) {
		return nil
	}
	return err
}

// any reports whether something holds for an address that the endpoint shows.
func (e *endpoints) any(have *crdv1.SpiderEndpoint, is func(*allocator.Record, netip.Addr) bool) bool {
	if have.Status.Current == nil {
		return false
	}
	for _, ip := range have.Status.Current.IPs {
		if e.holds(ip.IPv4Pool, ip.IPv4, is) || e.holds(ip.IPv6Pool, ip.IPv6, is) {
			return true
		}
	}
	return false
}

func (e *endpoints) holds(pool, prefix string, is func(*allocator.Record, netip.Addr) bool) bool {
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return false // the family is not given
	}
	object, ok := e.pools.Pool(pool)
	if !ok {
		return false
	}
	state, err := e.leaderships.decode(object)
	return err != nil || is(state.Record, p.Addr()) // what cannot be read is kept
}

// inUse reports whether an address is in use although no live pod claims it: its pod has ended, and
// the leader has not got to that yet.
func (e *endpoints) inUse(r *allocator.Record, a netip.Addr) bool {
	return r.InUse(a) && len(e.claims.Live(a)) == 0
}

// kept reports whether an address is still kept for the pod that had it.
func (e *endpoints) kept(r *allocator.Record, a netip.Addr) bool {
	return e.inUse(r, a) || isHeld(r, a)
}

// Of returns the pods that endpoints show with addresses of a pool.
func (e *endpoints) Of(ctx context.Context, pool string) (map[netip.Addr][]*view.Pod, error) {
	var all crdv1.SpiderEndpointList
	if err := e.client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing endpoints: %w", err)
	}
	had := map[netip.Addr][]*view.Pod{}
	for i := range all.Items {
		se := &all.Items[i]
		if se.Status.Current == nil {
			continue
		}
		for _, ip := range se.Status.Current.IPs {
			for from, prefix := range map[string]string{ip.IPv4Pool: ip.IPv4, ip.IPv6Pool: ip.IPv6} {
				if p, err := netip.ParsePrefix(prefix); err == nil && from == pool {
					had[p.Addr()] = append(had[p.Addr()], podOfEndpoint(se))
				}
			}
		}
	}
	return had, nil
}

// podOfEndpoint returns what an endpoint tells of its pod.
func podOfEndpoint(se *crdv1.SpiderEndpoint) *view.Pod {
	p := &view.Pod{Node: se.Status.Current.Node}
	p.Namespace, p.Name, p.UID = se.Namespace, se.Name, types.UID(se.Status.Current.UID)
	if s := se.Status.Current.TerminationGracePeriodSeconds; s != nil {
		p.Grace = allocator.GraceOf(*s)
	}
	return p
}

// endpointOf shows what a pod was given.
func endpointOf(p *view.Pod) *crdv1.SpiderEndpoint {
	created, grace := p.CreationTimestamp, int64(p.Grace.Seconds())
	se := &crdv1.SpiderEndpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name},
		Status: crdv1.EndpointStatus{
			OwnerControllerType: "Pod",
			OwnerControllerName: p.Name,
			Current: &crdv1.EndpointAllocation{
				UID:          string(p.UID),
				Node:         p.Node,
				CreationTime: &created,

				TerminationGracePeriodSeconds: &grace,
			},
		},
	}
	if len(p.OwnerReferences) > 0 {
		se.Status.OwnerControllerType = p.OwnerReferences[0].Kind
		se.Status.OwnerControllerName = p.OwnerReferences[0].Name
	}
	for _, a := range p.Assigned {
		se.Status.Current.IPs = append(se.Status.Current.IPs, crdv1.EndpointIP{
			Interface:    a.Interface,
			IPv4:         a.IPv4,
			IPv6:         a.IPv6,
			IPv4Pool:     a.IPv4Pool,
			IPv6Pool:     a.IPv6Pool,
			Vlan:         a.Vlan,
			IPv4Gateway:  a.IPv4Gateway,
			IPv6Gateway:  a.IPv6Gateway,
			CleanGateway: a.CleanGateway,
			Routes:       a.Routes,
		})
	}
	return se
}

func keyOf(p *view.Pod) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: p.Namespace, Name: p.Name}}
}
