package admission

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/admission/selection"
	"spidernet.io/spiderpool/allocator/choice"
)

// Chooser decides what pods ask for. It reserves nothing and changes no pod.
type Chooser struct{ o PodOptions }

// NewChooser returns a Chooser. It ignores the reservers and the metrics of o.
func NewChooser(o PodOptions) *Chooser { return &Chooser{o} }

// Choose returns what a stored pod asks for; late binding calls it and can call it again. It reads
// only caches and waits for nothing, so a refusal, which is a *selection.Refusal, may come from a
// stale cache.
func (c *Chooser) Choose(ctx context.Context, pod *corev1.Pod) (choice.Choice, error) {
	s, ours, err := c.snapshot(ctx, pod, pod.Namespace)
	if err != nil || !ours {
		return choice.Choice{}, err
	}
	chosen, err := selection.Choose(s)
	if err != nil {
		return choice.Choice{}, err
	}
	return newChoice(s, chosen)
}

// chooseForNew returns what a pod that is being created asks for. Where the caches refuse it, it
// asks the API server, and then chooses again at each change of a pool, until the given time and
// only while that can help.
func (c *Chooser) chooseForNew(ctx context.Context, pod *corev1.Pod, namespace string, until time.Time) (choice.Choice, error) {
	s, ours, err := c.snapshot(ctx, pod, namespace)
	if err != nil || !ours {
		return choice.Choice{}, err
	}
	chosen, err := selection.Choose(s)
	if err != nil {
		changed := c.o.Changes.Changed() // before looking again, so that no change is missed
		if chosen, err = c.confirm(ctx, &s, err); err != nil {
			chosen, err = c.await(ctx, s, changed, until, err)
		}
	}
	if err != nil {
		return choice.Choice{}, err
	}
	return newChoice(s, chosen)
}

// snapshot returns what the caches know about a pod, and false where the pod is left alone.
func (c *Chooser) snapshot(ctx context.Context, pod *corev1.Pod, namespace string) (selection.Snapshot, bool, error) {
	if leftAlone(pod) {
		return selection.Snapshot{}, false, nil
	}
	ns, err := c.namespace(ctx, namespace)
	if err != nil {
		return selection.Snapshot{}, false, err
	}
	s := selection.Snapshot{Pod: pod, Namespace: ns, Config: c.o.Config, Pools: c.o.Pools}
	return s, !c.o.Config.IgnoredNamespaces.Matches(labels.Set(ns.Labels)), nil
}

// leftAlone reports whether a pod has no network of its own, or only mirrors a static pod: the
// kubelet takes the annotations of those from a file.
func leftAlone(pod *corev1.Pod) bool {
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return pod.Spec.HostNetwork || mirror
}

// namespace reads the namespace of a pod. A new one may not be in the cache yet.
func (c *Chooser) namespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	ns := &corev1.Namespace{}
	err := c.o.Cached.Get(ctx, client.ObjectKey{Name: name}, ns)
	if apierrors.IsNotFound(err) {
		err = c.o.Live.Get(ctx, client.ObjectKey{Name: name}, ns)
	}
	if err != nil {
		return nil, fmt.Errorf("reading namespace %q: %w", name, err)
	}
	return ns, nil
}

// confirm reads from the API server what the refusal rests on, and chooses again (I12). That may
// lead to another refusal, which rests on more; it stops when there is nothing new to read.
func (c *Chooser) confirm(ctx context.Context, s *selection.Snapshot, err error) (selection.Selection, error) {
	ns := &corev1.Namespace{}
	if err := c.o.Live.Get(ctx, client.ObjectKey{Name: s.Namespace.Name}, ns); err != nil {
		return selection.Selection{}, fmt.Errorf("reading namespace %q: %w", s.Namespace.Name, err)
	}
	s.Namespace = ns
	fresh := newFreshPools(c.o.Pools, c.o.Live)
	s.Pools = fresh
	for {
		var refusal *selection.Refusal
		if !errors.As(err, &refusal) {
			return selection.Selection{}, err
		}
		news, readErr := fresh.read(ctx, refusal)
		if readErr != nil {
			return selection.Selection{}, readErr
		}
		chosen, again := selection.Choose(*s)
		if again == nil || !news {
			return chosen, fresh.qualify(again)
		}
		err = again
	}
}

// await chooses again at each change of a pool, while a pool that the leader has not judged yet may
// still serve the pod.
func (c *Chooser) await(ctx context.Context, s selection.Snapshot, changed <-chan struct{}, until time.Time, err error) (selection.Selection, error) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for {
		var refusal *selection.Refusal
		if !errors.As(err, &refusal) || !refusal.Undecided || !happens(ctx, changed) {
			return selection.Selection{}, err
		}
		changed = c.o.Changes.Changed()
		var chosen selection.Selection
		if chosen, err = selection.Choose(s); err == nil {
			return chosen, nil
		}
	}
}

// happens waits for an event; it returns false where ctx ends first.
func happens[T any](ctx context.Context, event <-chan T) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case <-event:
		return true
	case <-ctx.Done():
		return false
	}
}
