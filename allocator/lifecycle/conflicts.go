package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

var errTwo = errors.New("the address that the pod claims is another's in the record")

// conflicts deals with live pods that claim an address which is another's by now (I8): after a
// restored backup, or when a pool was deleted by force. People are told by events on both. The
// younger one is bound anew if it cannot have begun to use the address: it has no node.
type conflicts struct {
	client  client.Client
	api     client.Reader // not a cache
	claims  living
	events  *events
	metrics *Metrics
}

// resolveConflict deals with one pod that claims an address which is another's. An error says that
// it is to be met again.
func (c *conflicts) resolveConflict(ctx context.Context, pool string, a netip.Addr, p *view.Pod) error {
	logger := log.FromContext(ctx).WithValues("pool", pool, "address", a, "pod", p.String(), "uid", p.UID, "node", p.Node)
	logger.Error(errTwo, "two live pods may carry one address")
	c.metrics.violated(violatedI1)
	younger := p
	for _, other := range c.claims.Live(a) {
		if other.UID == p.UID {
			continue
		}
		c.events.conflict(p, other, pool, a)
		if other.CreationTimestamp.After(younger.CreationTimestamp.Time) {
			younger = other
		}
	}
	if younger.Node != "" {
		return nil
	}
	done, err := c.unbind(ctx, younger)
	if err != nil {
		return fmt.Errorf("taking address %s from pod %s: %w", a, younger, err)
	}
	if done {
		view.LogStep(log.FromContext(ctx), unbound, pool, a, younger, "why", "an older pod claims it, and this one has no node")
		c.metrics.step(unbound)
	}
	return nil
}

// unbind takes all addresses from a pod that has no node: late binding gives it others. The write
// fails if the pod changes meanwhile: it may be bound to a node.
func (c *conflicts) unbind(ctx context.Context, p *view.Pod) (done bool, err error) {
	var pod corev1.Pod
	err = c.api.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: p.Name}, &pod)
	if err != nil || pod.UID != p.UID || pod.Spec.NodeName != "" {
		return false, client.IgnoreNotFound(err)
	}
	var given choice.Patch
	for key := range pod.Annotations {
		if key == crdv1.AnnotationReservation || strings.HasPrefix(key, crdv1.AnnotationAssignedPrefix) {
			given.Remove = append(given.Remove, key)
		}
	}
	patch, err := given.Merge(&pod)
	if err != nil {
		return false, err
	}
	err = c.client.Patch(ctx, &pod, client.RawPatch(types.MergePatchType, patch))
	return err == nil, client.IgnoreNotFound(err)
}
