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
)

// reconciler is the common part of the controllers of all kinds.
type reconciler struct {
	client.Client
	// live bypasses the cache: a round that counted an outdated list of pods would create some
	// twice. One list per round is cheap here.
	live   client.Reader
	events events.EventRecorder
	now    func() time.Time
}

// pods returns all pods of a namespace.
func (r *reconciler) pods(ctx context.Context, namespace string) ([]*corev1.Pod, error) {
	var list corev1.PodList
	if err := r.live.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	pods := make([]*corev1.Pod, len(list.Items))
	for i := range list.Items {
		pods[i] = &list.Items[i]
	}
	return pods, nil
}

// createAll creates pods in batches of 1, 2, 4 and so on, so that a refusal of all of them costs
// one request per round.
func (r *reconciler) createAll(ctx context.Context, owner client.Object, pods []*corev1.Pod) error {
	for size := 1; len(pods) > 0; size *= 2 {
		n := min(size, len(pods))
		if err := r.createBatch(ctx, owner, pods[:n]); err != nil {
			return err
		}
		pods = pods[n:]
	}
	return nil
}

// createBatch creates pods all at once.
func (r *reconciler) createBatch(ctx context.Context, owner client.Object, batch []*corev1.Pod) error {
	errs := make([]error, len(batch))
	var wg sync.WaitGroup
	for i, pod := range batch {
		wg.Go(func() {
			if err := r.Create(ctx, pod); err != nil {
				r.events.Eventf(owner, nil, corev1.EventTypeWarning, "FailedCreate", "Scale", "failed to create pod: %v", err)
				errs[i] = fmt.Errorf("creating pod %s: %w", pod.Name, err)
				return
			}
			r.events.Eventf(owner, pod, corev1.EventTypeNormal, "SuccessfulCreate", "Scale", "succeed to create pod %s", pod.Name)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (r *reconciler) remove(ctx context.Context, owner client.Object, pod *corev1.Pod) error {
	if err := client.IgnoreNotFound(r.Delete(ctx, pod, client.Preconditions{UID: &pod.UID})); err != nil {
		return fmt.Errorf("deleting pod %s: %w", pod.Name, err)
	}
	r.events.Eventf(owner, pod, corev1.EventTypeNormal, "SuccessfulDelete", "Scale", "succeed to delete pod %s", pod.Name)
	return nil
}

// openGates sets the conditions of the readiness gates. The patch merges conditions by type, so
// that it and the kubelet do not overwrite one another.
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

// actives returns those of pods that count as replicas.
func actives(pods []*corev1.Pod) []*corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(p *corev1.Pod) bool { return !active(p) })
}

// ready returns how many of pods are Ready.
func ready(pods []*corev1.Pod) int32 {
	n := int32(0)
	for _, pod := range pods {
		if conditionTrue(pod, corev1.PodReady) {
			n++
		}
	}
	return n
}
