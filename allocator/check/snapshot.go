package check

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Snapshot is what the API server had at one revision.
type Snapshot struct {
	Pods      []corev1.Pod
	Pools     []crdv1.SpiderIPPool
	Endpoints []crdv1.SpiderEndpoint
	Nodes     []corev1.Node
	Owners    Owners
}

// Read takes a snapshot. A reader that asks the API server returns all kinds as they were at one
// moment. One with lists without a revision, such as a cache, is used as it is: what happens
// between two of its lists may then show as a false violation.
//
// The versions of the kinds that addresses are retained for come from the reader's RESTMapper,
// which every client.Client has. A reader without one knows the two StatefulSets; owners of other
// kinds are not checked then.
func Read(ctx context.Context, c client.Reader) (Snapshot, error) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods); err != nil {
		return Snapshot{}, fmt.Errorf("listing pods: %w", err)
	}
	r := reader{c, pods.ResourceVersion}
	var pools crdv1.SpiderIPPoolList
	var endpoints crdv1.SpiderEndpointList
	var nodes corev1.NodeList
	for what, list := range map[string]client.ObjectList{"pools": &pools, "endpoints": &endpoints, "nodes": &nodes} {
		if err := r.list(ctx, what, list); err != nil {
			return Snapshot{}, err
		}
	}
	owners, err := r.owners(ctx, pools.Items)
	if err != nil {
		return Snapshot{}, err
	}
	return Snapshot{Pods: pods.Items, Pools: pools.Items, Endpoints: endpoints.Items, Nodes: nodes.Items, Owners: owners}, nil
}

// reader lists the objects of one revision.
type reader struct {
	client.Reader
	revision string // empty where the reader has none
}

func (r reader) list(ctx context.Context, what string, list client.ObjectList) error {
	var opts []client.ListOption
	if r.revision != "" {
		// One store has all kinds, so a revision of one is a revision of all.
		opts = append(opts, &client.ListOptions{Raw: &metav1.ListOptions{
			ResourceVersion: r.revision, ResourceVersionMatch: metav1.ResourceVersionMatchExact,
		}})
	}
	if err := r.List(ctx, list, opts...); err != nil {
		return fmt.Errorf("listing %s at revision %q: %w", what, r.revision, err)
	}
	return nil
}

// owners lists the kinds that pools retain addresses for.
func (r reader) owners(ctx context.Context, pools []crdv1.SpiderIPPool) (Owners, error) {
	read, _ := readPools(pools)             // what cannot be read is reported by the check
	kinds := map[schema.GroupKind][]Owner{} // kind -> owners that addresses are retained for
	for _, p := range read {
		if p.record == nil {
			continue
		}
		for _, e := range p.record.entries {
			if e.kept != nil {
				kind := schema.GroupKind{Group: e.kept.Group, Kind: e.kept.Kind}
				kinds[kind] = append(kinds[kind], e.kept.Owner)
			}
		}
	}
	all := Owners{}
	for kind, retainers := range kinds {
		version, known, err := r.versionOf(kind)
		if apimeta.IsNoMatchError(err) {
			continue // then no such object exists
		}
		if err != nil {
			return nil, fmt.Errorf("finding the version of kind %s: %w", kind, err)
		}
		if !known {
			for _, o := range retainers {
				all[o] = Covered{All: true}
			}
			continue
		}
		if err := r.ownersOf(ctx, kind.WithVersion(version), all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// versions are those of the kinds that have stable identities in every installation.
var versions = map[schema.GroupKind]string{ // kind -> version
	statefulSet: "v1",
	{Group: "apps.kruise.io", Kind: "StatefulSet"}: "v1beta1",
}

// versionOf returns a version in which a kind can be read.
func (r reader) versionOf(kind schema.GroupKind) (version string, known bool, err error) {
	mapped, ok := r.Reader.(interface{ RESTMapper() apimeta.RESTMapper })
	if !ok {
		version, known = versions[kind]
		return version, known, nil
	}
	mapping, err := mapped.RESTMapper().RESTMapping(kind)
	if err != nil {
		return "", false, err
	}
	return mapping.GroupVersionKind.Version, true, nil
}

// ownersOf adds all existing owners of one kind to all.
func (r reader) ownersOf(ctx context.Context, kind schema.GroupVersionKind, all Owners) error {
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	err := r.list(ctx, kind.GroupKind().String(), &list)
	if apimeta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return nil // the kind is not served
	}
	if err != nil {
		return err
	}
	for i := range list.Items {
		o := &list.Items[i]
		all[Owner{Namespace: o.GetNamespace(), Group: kind.Group, Kind: kind.Kind, Name: o.GetName()}] = coveredBy(kind.GroupKind(), o)
	}
	return nil
}

// Of returns the part of s that belongs to the namespaces and pools that are owned. It includes
// pods of other namespaces that have addresses of those pools, or run with an address of an owned
// pod.
func (s Snapshot) Of(owned func(name string) bool) Snapshot {
	part := Snapshot{Nodes: s.Nodes, Owners: s.Owners}
	claimed := map[netip.Addr]bool{} // addresses of the pods in the part
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
			claimed[c.Address] = true
		}
	}
	for _, pod := range others {
		if slices.ContainsFunc(runsWith(&pod), func(a netip.Addr) bool { return claimed[a] }) {
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
