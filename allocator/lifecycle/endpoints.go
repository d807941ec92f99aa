package lifecycle

import (
	"context"
	"net/netip"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// endpoints keeps a SpiderEndpoint for each live pod that has an address and a
// node. It is written once and deleted once, and nothing is decided by it.
type endpoints struct {
	client client.Client // reads from the cache
	claims *Claims
	pools  ledger.Pools
}

// endpointPatience is how long an endpoint that is kept for an address waits for
// the next look.
const endpointPatience = 30 * time.Second

// Reconcile writes or deletes the endpoint of one pod.
func (e *endpoints) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	var have crdv1.SpiderEndpoint
	err := e.client.Get(ctx, r.NamespacedName, &have)
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, err
	}
	pod, wanted := e.claims.Get(r.String())
	wanted = wanted && pod.Live() && pod.Node != "" && len(pod.Claims) > 0
	switch exists := err == nil; {
	case !exists && wanted:
		return reconcile.Result{}, ignore(e.client.Create(ctx, endpointOf(pod)), apierrors.IsAlreadyExists)
	case !exists || wanted && shows(&have, pod):
		return reconcile.Result{}, nil
	case !wanted && !e.outlived(&have):
		return reconcile.Result{RequeueAfter: endpointPatience}, nil
	}
	return reconcile.Result{}, e.remove(ctx, &have) // the event of the deletion leads back here
}

// shows reports whether an endpoint is that of this pod, not of an earlier one
// of the name.
func shows(have *crdv1.SpiderEndpoint, p *Pod) bool {
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

// outlived reports whether nothing of what the endpoint shows is kept for its
// pod any more: each address is free, or another pod's.
func (e *endpoints) outlived(have *crdv1.SpiderEndpoint) bool {
	if have.Status.Current == nil {
		return true
	}
	for _, ip := range have.Status.Current.IPs {
		if e.kept(ip.IPv4Pool, ip.IPv4) || e.kept(ip.IPv6Pool, ip.IPv6) {
			return false
		}
	}
	return true
}

func (e *endpoints) kept(pool, prefix string) bool {
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return false // the family is not given
	}
	object, ok := e.pools.Pool(pool)
	if !ok {
		return false
	}
	state, err := ledger.Read(object)
	if err != nil {
		return true // not known: keep
	}
	switch state.Record.State(p.Addr()) {
	case allocator.StateFree, allocator.StateReserved:
		return false
	case allocator.StateSettled, allocator.StateRetained, allocator.StateHeld:
	}
	return len(e.claims.Live(p.Addr())) == 0
}

// endpointOf shows what a pod was given.
func endpointOf(p *Pod) *crdv1.SpiderEndpoint {
	created := p.CreationTimestamp
	se := &crdv1.SpiderEndpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name},
		Status: crdv1.EndpointStatus{
			OwnerControllerType: "Pod",
			OwnerControllerName: p.Name,
			Current: &crdv1.EndpointAllocation{
				UID:          string(p.UID),
				Node:         p.Node,
				CreationTime: &created,
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

func keyOf(p *Pod) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: p.Namespace, Name: p.Name}}
}
