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

// gapTimeout is how long one look at a gap may take. The API server sends a
// bookmark about two seconds before it ends a watch.
const gapTimeout = 4 * time.Second

// Gap is what happened to the pods of a namespace beyond what the view has seen.
type Gap struct {
	Through uint64          // all up to this revision is known
	Tokens  map[string]bool // of the pods that something happened to
}

// Since returns what happened to the pods of a namespace since the view, and how
// far that is known. Where nothing happens to any pod the view itself stands
// still, for a minute at a time: only then does the API server tell that time has
// passed. A watch that is to end soon is told so before its end.
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
