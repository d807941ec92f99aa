package kruise

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// statefulSets creates the pods of OpenKruise's StatefulSets.
type statefulSets struct {
	reconciler
	gates Gates
}

var _ reconcile.Reconciler = (*statefulSets)(nil)

// Reconcile brings one StatefulSet's pods, their gates and its status up to date.
func (r *statefulSets) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var set StatefulSet
	if err := r.live.Get(ctx, request.NamespacedName, &set); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if set.DeletionTimestamp != nil {
		return reconcile.Result{}, nil // the garbage collector removes or orphans the pods
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return reconcile.Result{}, reconcile.TerminalError(fmt.Errorf("reading the selector of %s: %w", request, err))
	}
	owned, err := r.claim(ctx, &set, selector)
	if err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, errors.Join(
		r.openGates(ctx, actives(owned)),
		r.scale(ctx, &set, next(&set, r.gates, owned)),
		r.report(ctx, &set, owned, selector.String()),
	)
}

// claim returns the pods of set: those that it controls, and those without a controller that match
// its selector and name, which it adopts. So a set that was deleted without its pods finds them
// when it is created again. It releases pods that the selector no longer matches.
func (r *statefulSets) claim(ctx context.Context, set *StatefulSet, selector labels.Selector) ([]*corev1.Pod, error) {
	all, err := r.pods(ctx, set.Namespace)
	if err != nil {
		return nil, err
	}
	var owned []*corev1.Pod
	for _, pod := range all {
		_, named := ordinalOf(set, pod.Name)
		is := metav1.IsControlledBy(pod, set)
		meant := named && selector.Matches(labels.Set(pod.Labels))
		orphan := metav1.GetControllerOf(pod) == nil && pod.DeletionTimestamp == nil
		switch {
		case is && meant:
			owned = append(owned, pod)
		case is:
			err = r.letGo(ctx, set, pod)
		case meant && orphan:
			if err = r.adopt(ctx, set, pod); err == nil {
				owned = append(owned, pod)
			}
		}
		if client.IgnoreNotFound(err) != nil {
			return nil, err
		}
	}
	return owned, nil
}

func (r *statefulSets) adopt(ctx context.Context, set *StatefulSet, pod *corev1.Pod) error {
	before := pod.DeepCopy()
	pod.OwnerReferences = append(pod.OwnerReferences, *metav1.NewControllerRef(set, GroupVersion.WithKind("StatefulSet")))
	if err := r.Patch(ctx, pod, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("adopting pod %s: %w", pod.Name, err)
	}
	return nil
}

func (r *statefulSets) letGo(ctx context.Context, set *StatefulSet, pod *corev1.Pod) error {
	before := pod.DeepCopy()
	pod.OwnerReferences = slices.DeleteFunc(pod.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == set.UID })
	if err := r.Patch(ctx, pod, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("letting pod %s go: %w", pod.Name, err)
	}
	return nil
}

func (r *statefulSets) scale(ctx context.Context, set *StatefulSet, s step) error {
	pods := make([]*corev1.Pod, len(s.create))
	for i, n := range s.create {
		pods[i] = newStatefulPod(set, n)
	}
	if err := r.createAll(ctx, set, pods); err != nil {
		return err
	}
	for _, pod := range s.remove {
		if err := r.remove(ctx, set, pod); err != nil {
			return err
		}
	}
	return nil
}

func (r *statefulSets) report(ctx context.Context, set *StatefulSet, owned []*corev1.Pod, selector string) error {
	count, current := int32(len(owned)), int32(len(actives(owned))) // a set of more than 2^31 pods does not exist
	status := StatefulSetStatus{
		ObservedGeneration: set.Generation, LabelSelector: selector,
		Replicas: count, CurrentReplicas: current, UpdatedReplicas: current, ReadyReplicas: ready(owned),
	}
	status.AvailableReplicas, status.UpdatedReadyReplicas = status.ReadyReplicas, status.ReadyReplicas
	if set.Status == status {
		return nil
	}
	set.Status = status
	if err := client.IgnoreNotFound(r.Status().Update(ctx, set)); err != nil {
		return fmt.Errorf("writing the status of %s: %w", set.Name, err)
	}
	return nil
}
