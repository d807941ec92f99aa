package kruise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// reconciler makes the pods of CloneSets.
type reconciler struct {
	client.Client
	// live reads past the cache: a round that counted the pods of an older
	// moment would make some of them twice. One list per round is cheap here.
	live   client.Reader
	events events.EventRecorder
	now    func() time.Time
}

var _ reconcile.Reconciler = (*reconciler)(nil)

// Reconcile brings one CloneSet's pods, their gates and its status up to date.
func (r *reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var set CloneSet
	if err := r.live.Get(ctx, request.NamespacedName, &set); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if set.DeletionTimestamp != nil {
		return reconcile.Result{}, nil // the garbage collector takes the pods
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return reconcile.Result{}, reconcile.TerminalError(fmt.Errorf("reading the selector of %s: %w", request, err))
	}
	owned, err := r.owned(ctx, &set)
	if err != nil {
		return reconcile.Result{}, err
	}
	pods := slices.DeleteFunc(slices.Clone(owned), func(p *corev1.Pod) bool { return !active(p) })
	return reconcile.Result{}, errors.Join(
		r.openGates(ctx, pods),
		r.scale(ctx, &set, owned, pods),
		r.report(ctx, &set, pods, selector.String()),
	)
}

// owned returns all pods of set, active or not.
func (r *reconciler) owned(ctx context.Context, set *CloneSet) ([]*corev1.Pod, error) {
	var list corev1.PodList
	if err := r.live.List(ctx, &list, client.InNamespace(set.Namespace)); err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	var pods []*corev1.Pod
	for i := range list.Items {
		if metav1.IsControlledBy(&list.Items[i], set) {
			pods = append(pods, &list.Items[i])
		}
	}
	return pods, nil
}

func (r *reconciler) scale(ctx context.Context, set *CloneSet, owned, pods []*corev1.Pod) error {
	if lacking := set.replicas() - len(pods); lacking > 0 {
		return r.create(ctx, set, owned, lacking)
	}
	slices.SortStableFunc(pods, deleteFirst)
	for _, pod := range pods[:len(pods)-set.replicas()] {
		if err := client.IgnoreNotFound(r.Delete(ctx, pod, client.Preconditions{UID: &pod.UID})); err != nil {
			return fmt.Errorf("deleting pod %s: %w", pod.Name, err)
		}
		r.events.Eventf(set, pod, corev1.EventTypeNormal, "SuccessfulDelete", "Scale", "succeed to delete pod %s", pod.Name)
	}
	return nil
}

// create makes n pods in batches of 1, 2, 4 and so on, so that a refusal that
// meets all of them costs one request a round.
func (r *reconciler) create(ctx context.Context, set *CloneSet, owned []*corev1.Pod, n int) error {
	used := map[string]bool{} // name -> taken
	for _, pod := range owned {
		used[pod.Name] = true
	}
	for size := 1; n > 0; size *= 2 {
		batch := make([]*corev1.Pod, min(size, n))
		for i := range batch {
			batch[i] = newPod(set, used)
		}
		if err := r.createAll(ctx, set, batch); err != nil {
			return err
		}
		n -= len(batch)
	}
	return nil
}

func (r *reconciler) createAll(ctx context.Context, set *CloneSet, batch []*corev1.Pod) error {
	errs := make([]error, len(batch))
	var wg sync.WaitGroup
	for i, pod := range batch {
		wg.Go(func() {
			if err := r.Create(ctx, pod); err != nil {
				r.events.Eventf(set, nil, corev1.EventTypeWarning, "FailedCreate", "Scale", "failed to create pod: %v", err)
				errs[i] = fmt.Errorf("creating pod %s: %w", pod.Name, err)
				return
			}
			r.events.Eventf(set, pod, corev1.EventTypeNormal, "SuccessfulCreate", "Scale", "succeed to create pod %s", pod.Name)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// openGates sets the conditions of the readiness gates. The patch merges
// conditions by their type, so that it and the kubelet never undo one another.
func (r *reconciler) openGates(ctx context.Context, pods []*corev1.Pod) error {
	for _, pod := range pods {
		missing := missingConditions(pod, metav1.NewTime(r.now()))
		if len(missing) == 0 {
			continue
		}
		before := pod.DeepCopy()
		for _, condition := range missing {
			pod.Status.Conditions = append(slices.DeleteFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Type == condition.Type
			}), condition)
		}
		err := r.Status().Patch(ctx, pod, client.StrategicMergeFrom(before))
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("setting readiness gates of pod %s: %w", pod.Name, err)
		}
	}
	return nil
}

func (r *reconciler) report(ctx context.Context, set *CloneSet, pods []*corev1.Pod, selector string) error {
	count := int32(len(pods)) // a set of more than 2^31 pods does not exist
	status := CloneSetStatus{
		ObservedGeneration: set.Generation, LabelSelector: selector, Replicas: count, UpdatedReplicas: count,
	}
	for _, pod := range pods {
		if conditionTrue(pod, corev1.PodReady) {
			status.ReadyReplicas++
		}
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
