package latebind

import (
	"context"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/internal/parallel"
	"spidernet.io/spiderpool/allocator/view"
)

// finishAll finishes pods that a former leader left half done, or that a user put our gate on.
func (b *reconciler) finishAll(ctx context.Context, p *pass) {
	var due []*view.Pod
	leftOver := map[types.UID]bool{}
	for _, pod := range b.claims.LeftOver() {
		leftOver[pod.UID] = true
		switch {
		case b.finished[pod.UID] >= pod.Revision:
		case len(due) == reportsPerPass:
			p.soon(0)
		default:
			due = append(due, pod)
		}
	}
	errs := parallel.Do(parallelism, due, func(pod *view.Pod) error { return b.finish(ctx, pod, b.eventSent[pod.UID]) })
	for i, err := range errs {
		switch {
		case err == nil:
			b.finished[due[i].UID] = due[i].Revision
		case apierrors.IsNotFound(err): // the watch will show it
		default:
			p.soon(retry)
			log.FromContext(ctx).V(1).Info("a pod with addresses still looks as if it waited for them", "pod", due[i].String(), "reason", err.Error())
		}
	}
	maps.DeleteFunc(b.eventSent, func(uid types.UID, _ bool) bool { return !leftOver[uid] && b.known[uid] == nil })
	maps.DeleteFunc(b.finished, func(uid types.UID, _ uint64) bool { return !leftOver[uid] && b.known[uid] == nil })
}

// finish finishes one pod; eventSent says that the event with its addresses was sent.
func (b *reconciler) finish(ctx context.Context, p *view.Pod, eventSent bool) error {
	if p.Gated {
		var pod corev1.Pod
		if err := b.binder.api.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: p.Name}, &pod); err != nil || pod.UID != p.UID {
			return err
		}
		if _, err := b.patch(ctx, &pod, choice.Patch{Gate: choice.GateRemoved}); err != nil {
			return err
		}
		log.FromContext(ctx).Info("removed the gate: the pod needs no address from us", "pod", p.String(), "uid", p.UID)
		b.events.ungated(p)
	}
	if !p.ConditionStale {
		return nil
	}
	if err := b.assigned(ctx, p, p.Claims); err != nil {
		return err
	}
	if !eventSent {
		b.events.assigned(p, p.Claims) // the leader that bound it may have stopped before the event
	}
	return nil
}
