package lifecycle

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// lostNodeInterval is how often a pod is looked at that may have ended with its node.
const lostNodeInterval = 5 * time.Second

// lostNodes finds pods that have ended with their nodes. The pod garbage collector writes a
// terminal phase to the pods of a node that is gone or out of service, without knowing whether
// their containers ended, so nobody believes it, and a finalizer keeps the object. But that a node
// object is gone, or tainted out of service, is an operator's statement that the machine is off;
// holds end by it too. So such a pod cannot run.
//
// It is written to the pod (crdv1.AnnotationEnded), since it must stay true: a node of the name may
// be there again tomorrow, and the address be another pod's by then. Every replica sees it finished
// from there on, and its address is released by the usual proof. The write fails if the pod has
// changed since its terminal phase was seen: a kubelet that is there after all writes another one.
type lostNodes struct {
	client client.Client
	api    client.Reader // not a cache: the absence of a node is to be proven
	claims interface {
		Get(key string) (*view.Pod, bool)
	}
	nodes interface{ GoneOrOutOfService(node string) bool }
}

// Reconcile looks at one pod.
func (l *lostNodes) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	p, ok := l.claims.Get(r.String())
	if !ok || !p.MayBeLost() {
		return reconcile.Result{}, nil
	}
	again := reconcile.Result{RequeueAfter: lostNodeInterval}
	if !l.nodes.GoneOrOutOfService(p.Node) {
		return again, nil // what the watch does not show is not asked for
	}
	node := &corev1.Node{}
	err := l.api.Get(ctx, types.NamespacedName{Name: p.Node}, node)
	switch {
	case apierrors.IsNotFound(err):
		node = nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("reading node %q of pod %s: %w", p.Node, p, err)
	}
	why := cannotRun(p.Node, node)
	if why == "" {
		return again, nil
	}
	if err := l.end(ctx, p, why); err != nil {
		return reconcile.Result{}, err
	}
	log.FromContext(ctx).Info("a pod has ended with its node", "pod", p.String(), "uid", p.UID, "node", p.Node, "why", why)
	return reconcile.Result{}, nil
}

// cannotRun says why no pod of a node with a terminal phase can run; empty where it may. node is as
// it was read just now, nil where there is none.
func cannotRun(name string, node *corev1.Node) string {
	switch {
	case node == nil:
		return fmt.Sprintf("its node %q is gone", name)
	case view.OutOfService(node):
		return fmt.Sprintf("its node %q is out of service", name)
	}
	return ""
}

// end writes to a pod that it has ended, if it is as the view has it.
func (l *lostNodes) end(ctx context.Context, p *view.Pod, why string) error {
	seen := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion}}
	patch, err := choice.Patch{Annotations: map[string]string{crdv1.AnnotationEnded: why}}.Merge(seen)
	if err != nil {
		return fmt.Errorf("encoding a patch of pod %s: %w", p, err)
	}
	if err := l.client.Patch(ctx, seen, client.RawPatch(types.MergePatchType, patch)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing to pod %s that it has ended with its node %q: %w", p, p.Node, err)
	}
	return nil
}

// lostNodeEvents asks for each pod that may have ended with its node.
func lostNodeEvents(q view.Queue) cache.ResourceEventHandler {
	enqueue := func(object any) {
		if p, ok := object.(*view.Pod); ok && p.MayBeLost() {
			q.Add(keyOf(p))
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: enqueue, UpdateFunc: func(_, after any) { enqueue(after) }}
}
