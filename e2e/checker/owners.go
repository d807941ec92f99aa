package checker

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Owners are those that addresses are retained for: each that exists.
type Owners map[allocator.Identity]Covered // identity without pod -> what it covers

// Covered says which pods an owner may bring back: those whose ordinals are at
// least From and less than Below.
type Covered struct {
	From, Below int64
	All         bool // its spec does not tell, so none is ruled out
}

// readOwners lists the kinds that pools retain addresses for.
func readOwners(ctx context.Context, c client.Client, pools []crdv1.SpiderIPPool, at *client.ListOptions) (Owners, error) {
	kinds := map[schema.GroupKind]bool{} // kind -> an address is retained for one of it
	decoded, _ := readPools(pools)       // what cannot be read is reported by the check
	for _, p := range decoded {
		for _, v := range p.record.Retained() {
			kinds[schema.GroupKind{Group: v.Identity.Group, Kind: v.Identity.Kind}] = true
		}
	}
	owners := Owners{}
	for kind := range kinds {
		mapping, err := c.RESTMapper().RESTMapping(kind)
		if apimeta.IsNoMatchError(err) {
			continue // then none of it exists
		}
		if err != nil {
			return nil, fmt.Errorf("finding kind %s: %w", kind, err)
		}
		var list unstructured.UnstructuredList
		list.SetGroupVersionKind(mapping.GroupVersionKind)
		if err := c.List(ctx, &list, at); err != nil {
			return nil, fmt.Errorf("listing %s: %w", kind, err)
		}
		for i := range list.Items {
			o := &list.Items[i]
			id := allocator.Identity{Namespace: o.GetNamespace(), Group: kind.Group, Kind: kind.Kind, Name: o.GetName()}
			owners[id] = coveredBy(o)
		}
	}
	return owners, nil
}

// misses says why no pod of the identity may come any more; empty where one may.
func (o Owners) misses(i allocator.Identity) string {
	owner := i
	owner.Pod = ""
	covered, exists := o[owner]
	if !exists {
		return fmt.Sprintf("%s %s does not exist", owner.Kind, owner.Name)
	}
	digits, named := strings.CutPrefix(i.Pod, i.Name+"-")
	n, err := strconv.ParseInt(digits, 10, 64)
	if covered.All || !named || err != nil || covered.From <= n && n < covered.Below {
		return ""
	}
	return fmt.Sprintf("%s %s has ordinals from %d to %d only", owner.Kind, owner.Name, covered.From, covered.Below-1)
}

// coveredBy reads how far the ordinals of an owner's pods may go: from start on
// as many as replicas and reserved ordinals are together. A StatefulSet that
// names no replicas has one.
func coveredBy(o *unstructured.Unstructured) Covered {
	replicas, told, err := unstructured.NestedInt64(o.Object, "spec", "replicas")
	if err != nil || !told && o.GetKind() != "StatefulSet" {
		return Covered{All: true}
	}
	if !told {
		replicas = 1
	}
	start, _, _ := unstructured.NestedInt64(o.Object, "spec", "ordinals", "start")
	reserved, _, _ := unstructured.NestedSlice(o.Object, "spec", "reserveOrdinals")
	below := start + replicas
	for _, r := range reserved {
		below += size(r)
	}
	return Covered{From: start, Below: below}
}

// size returns how many ordinals an entry of reserveOrdinals means: a number is
// one, a text is a range.
func size(entry any) int64 {
	text, ok := entry.(string)
	if !ok {
		return 1
	}
	first, last, _ := strings.Cut(text, "-")
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if err1 != nil || err2 != nil || to < from {
		return 1
	}
	return to - from + 1
}
