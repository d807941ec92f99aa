package view

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// gapTimeout limits how long one watch over a gap may take. The API server sends a bookmark about
// two seconds before it ends a watch.
const gapTimeout = 4 * time.Second

// Gap is what happened to the pods of a namespace after the last event that the view has seen.
type Gap struct {
	Through uint64          // everything up to this revision is known
	Tokens  map[string]bool // tokens of the pods that have changed
}

// Since returns what happened to the pods of a namespace since the view's last event, and up to
// which revision that is known. While no pod changes, the revision of the view does not move for
// about a minute: the API server sends bookmarks only that often. But it also sends one shortly
// before a watch times out, so this watch has a short time-out.
func (c *Claims) Since(ctx context.Context, namespace string) (Gap, error) {
	from := c.informer.GetStore().LastStoreSyncResourceVersion()
	g := Gap{Tokens: map[string]bool{}}
	seconds := int64(gapTimeout / time.Second)
	ctx, cancel := context.WithTimeout(ctx, 2*gapTimeout)
	defer cancel()
	w, err := c.client.CoreV1().Pods(namespace).Watch(ctx, metav1.ListOptions{ResourceVersion: from, AllowWatchBookmarks: true, TimeoutSeconds: &seconds})
	if err != nil {
		return Gap{}, fmt.Errorf("watching pods of namespace %q from revision %s: %w", namespace, from, err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		pod, ok := e.Object.(*corev1.Pod)
		if !ok || e.Type == watch.Error {
			return Gap{}, fmt.Errorf("watching pods of namespace %q from revision %s: %w", namespace, from, apierrors.FromObject(e.Object))
		}
		if g.Through, err = strconv.ParseUint(pod.ResourceVersion, 10, 64); err != nil {
			return Gap{}, fmt.Errorf("watching pods of namespace %q: %w", namespace, errors.Join(errNoNumber, err))
		}
		if e.Type == watch.Bookmark {
			return g, nil
		}
		g.Tokens[pod.Annotations[crdv1.AnnotationReservation]] = true
	}
	return g, nil // through its last event
}

var errNoNumber = errors.New("a resourceVersion that is no number")
