package latebind

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime/debug"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Chooser says what an existing pod asks for. It is called from several goroutines. Where no pool
// can be named for the pod its error is a *NoPoolError; every other error is an internal one.
type Chooser interface {
	Choose(ctx context.Context, pod *corev1.Pod) (choice.Choice, error)
}

// NoPoolError says that no pool serves a pod at the moment.
type NoPoolError struct {
	Reason string // crdv1.ReasonNoPool, or ReasonPoolNotReady where the user need not fix anything
	Err    error
}

func (e *NoPoolError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NoPoolError) Unwrap() error { return e.Err }

const (
	// ungatedDelay is how long a pod without our gate is left alone: pods of other networks have no
	// podIP for a moment either.
	ungatedDelay = 3 * time.Second
	// rechoose is how often pools are chosen again for a pod although nothing that is watched has
	// changed; rechooseLeftAlone is the same for pods that are not ours, which must be read again
	// for it.
	rechoose          = time.Minute
	rechooseLeftAlone = 5 * time.Minute
)

// resolution is the result of resolving a pending pod.
type resolution int

const (
	unresolved      resolution = iota
	leftAlone                  // not ours, or a pod that must not get addresses
	needlesslyGated            // not ours, but it has our gate
	resolved                   // it is to get what chosen says
	unresolvable               // err says why nothing was chosen
)

// pendingPod is what is remembered of a pending pod between passes.
type pendingPod struct {
	pod   *view.Pod // the newest known version
	first time.Time // when it was first seen, on this leader's clock

	object     *corev1.Pod // the object as it was read, in the version of pod; nil where it is not needed
	resolution resolution
	chosen     choice.Choice
	err        error
	basis      basis // what the resolution is based on
	at         time.Time

	failure        failure // of the last attempt to bind it
	noted          bool    // an event or log line says that it did not come through the webhook
	reportedStatus         // why it is pending, and what was reported of that
	backoff        statusBackoff
}

// basis is the watched state that choosing depends on.
type basis struct {
	pod       uint64 // revision
	pools     uint64 // digest of their specs and conditions
	namespace string // resourceVersion
}

// current reports whether the resolution is based on b and not too old.
func (l *pendingPod) current(b basis, now time.Time) bool {
	b.pod = l.pod.Revision
	age := now.Sub(l.at)
	switch {
	case l.basis != b:
		return false
	case l.resolution == leftAlone:
		return age < rechooseLeftAlone
	}
	return age < rechoose
}

// due returns when a pod may be looked at first.
func (l *pendingPod) due() time.Time {
	if l.pod.Gated {
		return time.Time{}
	}
	if created := l.pod.CreationTimestamp.Time; created.Before(l.first) {
		return created.Add(ungatedDelay)
	}
	return l.first.Add(ungatedDelay) // the clocks differ
}

// forget makes the next pass read the pod again.
func (l *pendingPod) forget() { l.object, l.basis = nil, basis{} }

// update takes a version that was read or written.
func (l *pendingPod) update(pod *corev1.Pod) error {
	compact, err := view.NewPod(pod)
	if err != nil {
		return err
	}
	l.pod, l.object = compact, pod
	return nil
}

// resolver finds out what pods ask for.
type resolver struct {
	api     client.Reader // not a cache
	chooser Chooser
}

// resolve reads a pod if a newer version than the last one read is known, and chooses for it. It
// returns an error if it could not be read.
func (k resolver) resolve(ctx context.Context, l *pendingPod, b basis, now time.Time) error {
	if l.object == nil || l.object.ResourceVersion != l.pod.ResourceVersion {
		var pod corev1.Pod
		err := k.api.Get(ctx, types.NamespacedName{Namespace: l.pod.Namespace, Name: l.pod.Name}, &pod)
		switch {
		case apierrors.IsNotFound(err) || err == nil && pod.UID != l.pod.UID:
			l.resolution, l.basis = leftAlone, basis{} // the watch will show it
			return nil
		case err != nil:
			return fmt.Errorf("reading pod %s: %w", l.pod, err)
		}
		if err := l.update(&pod); err != nil {
			return err
		}
	}
	b.pod = l.pod.Revision
	l.basis, l.at = b, now
	k.judge(ctx, l)
	if l.resolution == leftAlone {
		l.object = nil // thousands of pods may wait for something else
	}
	return nil
}

func (k resolver) judge(ctx context.Context, l *pendingPod) {
	l.resolution, l.err = leftAlone, nil
	if !l.pod.Waits() || sandboxed(l.object) {
		return
	}
	pod := l.object
	if l.pod.Static { // choose as if it were not static
		pod = pod.DeepCopy()
		delete(pod.Annotations, corev1.MirrorPodAnnotationKey)
	}
	switch l.chosen, l.err = guard(func() (choice.Choice, error) { return k.choose(ctx, pod) }); {
	case l.err != nil:
		l.resolution = unresolvable
		logPanic(ctx, l.err, l.pod)
	case l.chosen.Ours:
		l.resolution = resolved
	case l.pod.Gated:
		l.resolution = needlesslyGated
	}
}

// logPanic logs where a panic was.
func logPanic(ctx context.Context, err error, p *view.Pod) {
	var caught *panicError
	if errors.As(err, &caught) {
		log.FromContext(ctx).Error(caught, "a pod caused a panic", "pod", p.String(), "uid", p.UID, "stack", string(caught.stack))
	}
}

func (k resolver) choose(ctx context.Context, pod *corev1.Pod) (choice.Choice, error) {
	c, err := k.chooser.Choose(ctx, pod)
	none := func(s choice.Slot) bool { return len(s.Pools) == 0 }
	if err == nil && c.Ours && (len(c.Slots) == 0 || slices.ContainsFunc(c.Slots, none)) {
		return c, fmt.Errorf("%s leaves an address without a pool", c.Rule)
	}
	return c, err
}

// why returns reason and message of a pod for which nothing was chosen.
func (l *pendingPod) why() (reason, message string) {
	var none *NoPoolError
	if l.err == nil {
		return l.chosen.NotYet.Reason, l.chosen.NotYet.Message
	}
	if errors.As(l.err, &none) {
		return none.Reason, none.Error()
	}
	return crdv1.ReasonInternal, "choosing pools for the pod: " + l.err.Error()
}

// guard turns a panic into an error: one pod must not end the leader, and then each leader after
// it.
func guard[T any](do func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{value: p, stack: debug.Stack()}
		}
	}()
	return do()
}

// panicError is a panic that one pod caused. Its text has only the value; the stack goes to the
// log.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// sandboxed reports whether a pod has or had a sandbox: its network was set up by whatever it was
// then, and must not be changed.
func sandboxed(pod *corev1.Pod) bool {
	ready := func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReadyToStartContainers && c.Status == corev1.ConditionTrue
	}
	began := func(c corev1.ContainerStatus) bool {
		return c.ContainerID != "" || c.State.Running != nil || c.State.Terminated != nil || c.LastTerminationState.Terminated != nil
	}
	s := &pod.Status
	return slices.ContainsFunc(s.Conditions, ready) || slices.ContainsFunc(s.ContainerStatuses, began) ||
		slices.ContainsFunc(s.InitContainerStatuses, began) || slices.ContainsFunc(s.EphemeralContainerStatuses, began)
}

// seed makes digests differ between processes, which does not matter.
var seed = maphash.MakeSeed()

// digest returns a number that changes with what choosing may see of pools. It does not change when
// addresses are taken or become free.
func digest(pools Pools) uint64 {
	type seen struct {
		name            string
		uid             types.UID
		generation      int64
		deleted         bool
		judged          int64
		status          string
		reason, message string
	}
	var sum uint64
	for p := range pools.All() {
		s := seen{name: p.Name, uid: p.UID, generation: p.Generation, deleted: !p.DeletionTimestamp.IsZero()}
		if c := meta.FindStatusCondition(p.Status.Conditions, crdv1.ConditionReady); c != nil {
			s.judged, s.status, s.reason, s.message = c.ObservedGeneration, string(c.Status), c.Reason, c.Message
		}
		sum += maphash.Comparable(seed, s) // independent of their order
	}
	return sum
}
