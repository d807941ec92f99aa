package lifecycle

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

var podListKind = schema.GroupVersionKind{Version: "v1", Kind: "PodList"}

// pageSize bounds how many pods are in memory at once: annotations may be large.
const pageSize = 200

// eachPod shows do the metadata of all pods of a namespace, of all namespaces where it is empty, by
// one consistent read, and returns the revision of that.
func eachPod(ctx context.Context, api client.Reader, namespace string, do func(*metav1.PartialObjectMetadata) error) (revision uint64, err error) {
	for token := ""; ; {
		var pods metav1.PartialObjectMetadataList
		pods.SetGroupVersionKind(podListKind)
		if err := api.List(ctx, &pods, client.InNamespace(namespace), client.Limit(pageSize), client.Continue(token)); err != nil {
			return 0, fmt.Errorf("listing pods of namespace %q: %w", namespace, err)
		}
		if revision, err = strconv.ParseUint(pods.ResourceVersion, 10, 64); err != nil { // the same of all pages
			return 0, fmt.Errorf("listing pods of namespace %q: resourceVersion %q is no number", namespace, pods.ResourceVersion)
		}
		for i := range pods.Items {
			if err := do(&pods.Items[i]); err != nil {
				return 0, fmt.Errorf("pod %s/%s: %w", pods.Items[i].Namespace, pods.Items[i].Name, err)
			}
		}
		if token = pods.Continue; token == "" {
			return revision, nil
		}
	}
}

// podLister says how far the view of the pods must have come before it shows all that claim
// addresses. A pool that was deleted by force and made again, by that name or another, knows
// nothing of them, and a view that is late would not miss them.
//
// All pods are listed for it. Many pools may be new at once, in a cluster with many pods: those
// that ask while a list is under way share the next one.
type podLister struct {
	api client.Reader // not a cache

	asked atomic.Uint64

	mu     sync.Mutex
	served uint64 // asked, when the last list began
	last   uint64 // what it said: the highest revision of a pod that claims an address
}

// mark returns the revision that a view must have reached to show all pods that claim addresses
// now.
func (c *podLister) mark(ctx context.Context) (uint64, error) {
	mine := c.asked.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.served >= mine {
		return c.last, nil
	}
	served, mark := c.asked.Load(), uint64(0)
	_, err := eachPod(ctx, c.api, "", func(pod *metav1.PartialObjectMetadata) error {
		if claims, _ := crdv1.ClaimsOf(pod.Annotations); len(claims) == 0 { // what cannot be read claims nothing, in the view too
			return nil
		}
		revision, err := strconv.ParseUint(pod.ResourceVersion, 10, 64)
		if err != nil {
			return fmt.Errorf("resourceVersion %q is no number", pod.ResourceVersion)
		}
		mark = max(mark, revision)
		return nil
	})
	if err != nil {
		return 0, err
	}
	c.served, c.last = served, mark
	return mark, nil
}
