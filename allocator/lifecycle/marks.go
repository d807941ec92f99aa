package lifecycle

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// history tells a mark that the view of the pods has not reached yet from one that it cannot reach,
// since it was written in another history of the cluster.
type history struct {
	api    client.Reader // not a cache
	claims progress

	mu     sync.Mutex
	listed map[string]uint64 // pool -> revision of a fresh list that was below its mark
}

// reached reports whether the view has reached a mark. One above what the API server itself has is
// from another history and proves nothing: then the view must have reached what the API server
// said, and the mark is to be reset to that.
func (h *history) reached(ctx context.Context, pool string, mark uint64) (reached bool, reset uint64, err error) {
	now := h.claims.Revision()
	if now >= mark {
		h.forget(pool)
		return true, 0, nil
	}
	fresh, err := h.fresh(ctx, pool)
	if err != nil || fresh >= mark || now < fresh {
		return false, 0, err
	}
	h.forget(pool)
	return true, fresh, nil
}

func (h *history) forget(pool string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.listed, pool)
}

// fresh returns what the API server said of pods when a pool's mark was first found above the view.
func (h *history) fresh(ctx context.Context, pool string) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if fresh, ok := h.listed[pool]; ok {
		return fresh, nil
	}
	var pods metav1.PartialObjectMetadataList
	pods.SetGroupVersionKind(podListKind)
	if err := h.api.List(ctx, &pods, client.Limit(1)); err != nil {
		return 0, fmt.Errorf("listing pods: %w", err)
	}
	fresh, err := strconv.ParseUint(pods.ResourceVersion, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("listing pods: resourceVersion %q is no number", pods.ResourceVersion)
	}
	h.listed[pool] = fresh
	return fresh, nil
}
