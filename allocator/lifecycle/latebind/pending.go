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

// Chooser says what a pod that exists asks for. It is called from several
// goroutines. Where no pools can be named for the pod its error is a
// *NoPoolError; every other error is an internal one.
type Chooser interface {
	Choose(ctx context.Context, pod *corev1.Pod) (choice.Choice, error)
}

// NoPoolError says that no pool serves a pod as things are.
type NoPoolError struct {
	Reason string // crdv1.ReasonNoPool, or ReasonPoolNotReady where nothing is to be mended
	Err    error
}

func (e *NoPoolError) Error() string { return e.Err.Error() }

// Unwrap returns what the message is of.
func (e *NoPoolError) Unwrap() error { return e.Err }

const (
	// passing is how long a pod without our gate is left alone: pods of other
	// networks, too, have no podIP for a moment.
	passing = 3 * time.Second
	// rechoose is how often a pod is chosen for again although nothing that is
	// watched here has changed; relook the same for pods that were none of ours,
	// which have to be read for it.
	rechoose = time.Minute
	relook   = 5 * time.Minute
)

// resolution is what a pod that waits is to us.
type resolution int

const (
	unresolved   resolution = iota
	leftAlone               // none of ours, or not one to be given addresses
	gatedInVain             // none of ours, and our gate is on it
	resolved                // it is to be given what chosen says
	unresolvable            // err says why nothing was chosen
)

// pendingPod is what is remembered of a pod that waits from one pass to the next.
type pendingPod struct {
	pod   *view.Pod // the newest version known
	first time.Time // when it was first seen, on this leader's clock

	object     *corev1.Pod // the version that pod is of, as it was read; nil where it is not needed
	resolution resolution
	chosen     choice.Choice
	err        error
	basis      basis // what the standing rests on
	at         time.Time

	failure        failure // of the last try to bind it
	noted          bool    // people were told how the pod came
	reportedStatus         // why it waits, and what people know of it
	backoff        statusBackoff
}

// basis is what choosing depends on, as far as it is watched.
type basis struct {
	pod       uint64 // revision
	pools     uint64 // digest of their specs and conditions
	namespace string // resourceVersion
}

// current reports whether the standing rests on b.
func (l *pendingPod) current(b basis, now time.Time) bool {
	b.pod = l.pod.Revision
	age := now.Sub(l.at)
	switch {
	case l.basis != b:
		return false
	case l.resolution == leftAlone:
		return age < relook
	}
	return age < rechoose
}

// due is when a pod may first be looked at.
func (l *pendingPod) due() time.Time {
	if l.pod.Gated {
		return time.Time{}
	}
	if created := l.pod.CreationTimestamp.Time; created.Before(l.first) {
		return created.Add(passing)
	}
	return l.first.Add(passing) // the clocks differ
}

// forget makes the next pass read the pod again.
func (l *pendingPod) forget() { l.object, l.basis = nil, basis{} }

// update takes over a version that was read or written.
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

// look reads a pod where a newer version than the one read is known, and chooses
// for it. An error says that it could not be read.
func (k resolver) look(ctx context.Context, l *pendingPod, b basis, now time.Time) error {
	if l.object == nil || l.object.ResourceVersion != l.pod.ResourceVersion {
		var pod corev1.Pod
		err := k.api.Get(ctx, types.NamespacedName{Namespace: l.pod.Namespace, Name: l.pod.Name}, &pod)
		switch {
		case apierrors.IsNotFound(err) || err == nil && pod.UID != l.pod.UID:
			l.resolution, l.basis = leftAlone, basis{} // the watch will tell
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
		l.object = nil // thousands of them may wait for others than us
	}
	return nil
}

func (k resolver) judge(ctx context.Context, l *pendingPod) {
	l.resolution, l.err = leftAlone, nil
	if !l.pod.Waits() || sandboxed(l.object) {
		return
	}
	pod := l.object
	if l.pod.Static { // what it would ask for, were it none
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
		l.resolution = gatedInVain
	}
}

// logPanic says where a panic was.
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

// why returns reason and message of a pod that nothing was chosen for.
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

// guard turns a panic into an error: one pod must not end the leader, and the
// next one, and the one after that.
func guard[T any](do func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{value: p, stack: debug.Stack()}
		}
	}()
	return do()
}

// panicError is a panic that one pod caused. People are told what it was; where it
// was is for the log.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// sandboxed reports whether a pod has, or had, a sandbox: its network was set up
// by whatever it was then, and is not ours to change.
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

// digest returns a number that changes with what choosing may see of pools. It
// does not change when addresses are taken or come free.
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
		sum += maphash.Comparable(seed, s) // in whatever order they come
	}
	return sum
}
