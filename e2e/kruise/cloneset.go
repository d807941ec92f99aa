package kruise

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// cloneSets creates the pods of CloneSets.
type cloneSets struct{ reconciler }

var _ reconcile.Reconciler = (*cloneSets)(nil)

// Reconcile brings one CloneSet's pods, their gates and its status up to date.
func (r *cloneSets) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var set CloneSet
	if err := r.live.Get(ctx, request.NamespacedName, &set); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if set.DeletionTimestamp != nil {
		return reconcile.Result{}, nil // the garbage collector removes the pods
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return reconcile.Result{}, reconcile.TerminalError(fmt.Errorf("reading the selector of %s: %w", request, err))
	}
	owned, err := r.pods(ctx, set.Namespace)
	if err != nil {
		return reconcile.Result{}, err
	}
	owned = slices.DeleteFunc(owned, func(p *corev1.Pod) bool { return !metav1.IsControlledBy(p, &set) })
	pods := actives(owned)
	return reconcile.Result{}, errors.Join(
		r.openGates(ctx, pods),
		r.scale(ctx, &set, owned, pods),
		r.report(ctx, &set, pods, selector.String()),
	)
}

func (r *cloneSets) scale(ctx context.Context, set *CloneSet, owned, pods []*corev1.Pod) error {
	if lacking := set.replicas() - len(pods); lacking > 0 {
		return r.create(ctx, set, owned, lacking)
	}
	slices.SortStableFunc(pods, deleteFirst)
	for _, pod := range pods[:len(pods)-set.replicas()] {
		if err := r.remove(ctx, set, pod); err != nil {
			return err
		}
	}
	return nil
}

// create creates n pods with names that no pod of set has.
func (r *cloneSets) create(ctx context.Context, set *CloneSet, owned []*corev1.Pod, n int) error {
	used := map[string]bool{} // name -> taken
	for _, pod := range owned {
		used[pod.Name] = true
	}
	pods := make([]*corev1.Pod, n)
	for i := range pods {
		pods[i] = newClonePod(set, used)
	}
	return r.createAll(ctx, set, pods)
}

func (r *cloneSets) report(ctx context.Context, set *CloneSet, pods []*corev1.Pod, selector string) error {
	count := int32(len(pods)) // a set of more than 2^31 pods does not exist
	status := CloneSetStatus{
		ObservedGeneration: set.Generation, LabelSelector: selector, Replicas: count, UpdatedReplicas: count,
		ReadyReplicas: ready(pods),
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
