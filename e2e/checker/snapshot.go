package checker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Snapshot is what the API server held at one revision.
type Snapshot struct {
	Pods      []corev1.Pod
	Pools     []crdv1.SpiderIPPool
	Endpoints []crdv1.SpiderEndpoint
	Nodes     []corev1.Node
	Owners    Owners
}

// Read takes a snapshot. The client must not read from a cache.
func Read(ctx context.Context, c client.Client) (Snapshot, error) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods); err != nil {
		return Snapshot{}, fmt.Errorf("listing pods: %w", err)
	}
	// One etcd keeps all kinds, so a revision of one is a revision of all.
	at := &client.ListOptions{Raw: &metav1.ListOptions{
		ResourceVersion: pods.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact,
	}}
	var pools crdv1.SpiderIPPoolList
	var endpoints crdv1.SpiderEndpointList
	var nodes corev1.NodeList
	for what, list := range map[string]client.ObjectList{"pools": &pools, "endpoints": &endpoints, "nodes": &nodes} {
		if err := c.List(ctx, list, at); err != nil {
			return Snapshot{}, fmt.Errorf("listing %s at revision %s: %w", what, pods.ResourceVersion, err)
		}
	}
	owners, err := readOwners(ctx, c, pools.Items, at)
	if err != nil {
		return Snapshot{}, fmt.Errorf("reading owners at revision %s: %w", pods.ResourceVersion, err)
	}
	return Snapshot{Pods: pods.Items, Pools: pools.Items, Endpoints: endpoints.Items, Nodes: nodes.Items, Owners: owners}, nil
}

// Of returns the part of s that has to do with the namespaces and pools that
// are owned; pods of other namespaces too that carry addresses of those pools,
// or run with an address that one of the owned carries.
func (s Snapshot) Of(owned func(name string) bool) Snapshot {
	part := Snapshot{Nodes: s.Nodes, Owners: s.Owners}
	carried := map[netip.Addr]bool{} // address -> by a pod of the part
	var others []corev1.Pod
	for _, pod := range s.Pods {
		claims, _ := crdv1.ClaimsOf(pod.Annotations)
		inPool := slices.ContainsFunc(claims, func(c crdv1.Claim) bool { return owned(c.Pool) })
		if !inPool && !owned(pod.Namespace) {
			others = append(others, pod)
			continue
		}
		part.Pods = append(part.Pods, pod)
		for _, c := range claims {
			carried[c.Address] = true
		}
	}
	for _, pod := range others {
		if slices.ContainsFunc(runsWith(&pod), func(a netip.Addr) bool { return carried[a] }) {
			part.Pods = append(part.Pods, pod)
		}
	}
	for _, pool := range s.Pools {
		if owned(pool.Name) {
			part.Pools = append(part.Pools, pool)
		}
	}
	for _, endpoint := range s.Endpoints {
		if owned(endpoint.Namespace) {
			part.Endpoints = append(part.Endpoints, endpoint)
		}
	}
	return part
}
