package checker

import (
	"context"
	"fmt"
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
}

// Read takes a snapshot. The reader must not be a cache.
func Read(ctx context.Context, c client.Reader) (Snapshot, error) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods); err != nil {
		return Snapshot{}, fmt.Errorf("listing pods: %w", err)
	}
	// One etcd keeps all three kinds, so a revision of one is a revision of all.
	at := &client.ListOptions{Raw: &metav1.ListOptions{
		ResourceVersion: pods.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact,
	}}
	var pools crdv1.SpiderIPPoolList
	if err := c.List(ctx, &pools, at); err != nil {
		return Snapshot{}, fmt.Errorf("listing pools at revision %s: %w", pods.ResourceVersion, err)
	}
	var endpoints crdv1.SpiderEndpointList
	if err := c.List(ctx, &endpoints, at); err != nil {
		return Snapshot{}, fmt.Errorf("listing endpoints at revision %s: %w", pods.ResourceVersion, err)
	}
	return Snapshot{Pods: pods.Items, Pools: pools.Items, Endpoints: endpoints.Items}, nil
}

// Of returns the part of s that has to do with the namespaces and pools that
// are owned; pods of other namespaces too that carry addresses of those pools.
func (s Snapshot) Of(owned func(name string) bool) Snapshot {
	var part Snapshot
	for _, pod := range s.Pods {
		claims, _ := crdv1.ClaimsOf(pod.Annotations)
		inPool := slices.ContainsFunc(claims, func(c crdv1.Claim) bool { return owned(c.Pool) })
		if inPool || owned(pod.Namespace) {
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
