package latebind

import (
	"context"
	"errors"
	"iter"
	"maps"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// stored is the pods in the API server, and counts reads.
type stored struct {
	client.Reader // for nothing else
	pods          map[types.NamespacedName]*corev1.Pod
	reads         int
}

func (s *stored) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	s.reads++
	pod, ok := s.pods[key]
	if into, isPod := object.(*corev1.Pod); ok && isPod {
		pod.DeepCopyInto(into)
		return nil
	}
	return apierrors.NewNotFound(corev1.Resource("pods"), key.Name)
}

// choosing is a Chooser.
type choosing func(*corev1.Pod) (choice.Choice, error)

func (c choosing) Choose(_ context.Context, pod *corev1.Pod) (choice.Choice, error) { return c(pod) }

func ours(*corev1.Pod) (choice.Choice, error) {
	return choice.Choice{Ours: true, Slots: slotsOf([]string{"a"})}, nil
}

func notOurs(*corev1.Pod) (choice.Choice, error) { return choice.Choice{}, nil }

// gated returns a pod that was admitted without an address, edited.
func gated(edits ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "uid-p", ResourceVersion: "7"},
		Spec:       corev1.PodSpec{SchedulingGates: []corev1.PodSchedulingGate{{Name: crdv1.GateWaitingForAddress}}},
	}
	for _, edit := range edits {
		edit(pod)
	}
	return pod
}

func ungated(pod *corev1.Pod) { pod.Spec.SchedulingGates = nil }

func mirror(pod *corev1.Pod) {
	ungated(pod)
	pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
}

func pendingOf(t *testing.T, pod *corev1.Pod) *pendingPod {
	t.Helper()
	p, err := view.NewPod(pod)
	if err != nil {
		t.Fatal(err)
	}
	return &pendingPod{pod: p, first: noon}
}

func TestResolvingAPendingPod(t *testing.T) {
	t.Parallel()
	refusal := &NoPoolError{Reason: crdv1.ReasonNoPool, Err: errors.New("no pool is named")}
	for name, c := range map[string]struct {
		pod         *corev1.Pod
		chooser     choosing
		want        resolution
		wantReason  string
		wantMessage string
	}{
		"ours and gated":                {pod: gated(), chooser: ours, want: resolved},
		"ours and without our gate":     {pod: gated(ungated), chooser: ours, want: resolved},
		"not ours and gated":            {pod: gated(), chooser: notOurs, want: needlesslyGated},
		"not ours and without our gate": {pod: gated(ungated), chooser: notOurs, want: leftAlone},
		"one that no pool serves":       {pod: gated(), chooser: func(*corev1.Pod) (choice.Choice, error) { return choice.Choice{}, refusal }, want: unresolvable, wantReason: crdv1.ReasonNoPool, wantMessage: "no pool is named"},
		"one for which choosing fails":  {pod: gated(), chooser: func(*corev1.Pod) (choice.Choice, error) { return choice.Choice{}, errors.New("away") }, want: unresolvable, wantReason: crdv1.ReasonInternal, wantMessage: "choosing pools for the pod: away"},
		"one for which choosing panics": {pod: gated(), chooser: func(*corev1.Pod) (choice.Choice, error) { panic("oh") }, want: unresolvable, wantReason: crdv1.ReasonInternal, wantMessage: "choosing pools for the pod: panic: oh"},
		"one that waits on purpose": {pod: gated(), chooser: func(*corev1.Pod) (choice.Choice, error) {
			return choice.Choice{Ours: true, Slots: slotsOf([]string{"a"}), NotYet: &choice.Reason{Reason: crdv1.ReasonQueued, Message: "its node decides"}}, nil
		}, want: resolved, wantReason: crdv1.ReasonQueued, wantMessage: "its node decides"},
		"one that is given neither a pool nor a reason": {pod: gated(), chooser: func(*corev1.Pod) (choice.Choice, error) {
			return choice.Choice{Ours: true, Rule: "it", Slots: slotsOf([]string{"a"}, nil)}, nil
		}, want: unresolvable, wantReason: crdv1.ReasonInternal, wantMessage: "choosing pools for the pod: it leaves an address without a pool"},
		"one that has a sandbox":            {pod: gated(ungated, func(p *corev1.Pod) { p.Status.ContainerStatuses = []corev1.ContainerStatus{{ContainerID: "x"}} }), chooser: ours, want: leftAlone},
		"one that got an address when read": {pod: gated(func(p *corev1.Pod) { p.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.9"}} }), chooser: ours, want: leftAlone},
		"a static one, as if it were not one": {pod: gated(mirror), chooser: func(p *corev1.Pod) (choice.Choice, error) {
			if p.Annotations[corev1.MirrorPodAnnotationKey] != "" {
				return notOurs(p)
			}
			return ours(p)
		}, want: resolved},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := pendingOf(t, gated())
			k := resolver{api: &stored{pods: map[types.NamespacedName]*corev1.Pod{{Namespace: "ns", Name: "p"}: c.pod}}, chooser: c.chooser}
			if err := k.resolve(t.Context(), l, basis{}, noon); err != nil {
				t.Fatal(err)
			}
			if l.resolution != c.want {
				t.Errorf("standing is %d, want %d", l.resolution, c.want)
			}
			if c.wantReason != "" {
				if reason, message := l.why(); reason != c.wantReason || message != c.wantMessage {
					t.Errorf("why is %s, %q, want %s, %q", reason, message, c.wantReason, c.wantMessage)
				}
			}
			if kept := l.object != nil; kept != (c.want != leftAlone) {
				t.Errorf("the whole pod is kept: %t", kept)
			}
		})
	}
}

func TestAPodIsReadAndChosenForOnlyWhenSomethingChanged(t *testing.T) {
	t.Parallel()
	first := basis{pools: 1, namespace: "1"}
	for name, c := range map[string]struct {
		chooser   choosing
		basis     basis
		revision  uint64 // that the watch shows
		later     time.Duration
		wantAgain bool
		wantReads int
	}{
		"nothing changed":                            {chooser: ours, basis: first, revision: 7, wantReads: 1},
		"the pools changed":                          {chooser: ours, basis: basis{pools: 2, namespace: "1"}, revision: 7, wantAgain: true, wantReads: 1},
		"its namespace changed":                      {chooser: ours, basis: basis{pools: 1, namespace: "2"}, revision: 7, wantAgain: true, wantReads: 1},
		"it changed":                                 {chooser: ours, basis: first, revision: 8, wantAgain: true, wantReads: 2},
		"a long time has passed":                     {chooser: ours, basis: first, revision: 7, later: rechoose, wantAgain: true, wantReads: 1},
		"a long time has passed, and it is not ours": {chooser: notOurs, basis: first, revision: 7, later: rechoose, wantReads: 1},
		"the pools changed, and it was not ours":     {chooser: notOurs, basis: basis{pools: 2, namespace: "1"}, revision: 7, wantAgain: true, wantReads: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stored{pods: map[types.NamespacedName]*corev1.Pod{{Namespace: "ns", Name: "p"}: gated(ungated)}}
			k, l := resolver{api: s, chooser: c.chooser}, pendingOf(t, gated(ungated))
			if err := k.resolve(t.Context(), l, first, noon); err != nil {
				t.Fatal(err)
			}
			if c.revision > l.pod.Revision { // as the watch shows it
				p := *l.pod
				p.Revision, p.ResourceVersion = 8, "8"
				l.pod = &p
			}
			again := !l.current(c.basis, noon.Add(c.later))
			if again != c.wantAgain {
				t.Errorf("looked at again: %t", again)
			}
			if again {
				if err := k.resolve(t.Context(), l, c.basis, noon); err != nil {
					t.Fatal(err)
				}
			}
			if s.reads != c.wantReads {
				t.Errorf("read %d times, want %d", s.reads, c.wantReads)
			}
		})
	}
}

func TestAnotherPodOfTheSameNameIsNotResolved(t *testing.T) {
	t.Parallel()
	l := pendingOf(t, gated())
	other := gated(func(p *corev1.Pod) { p.UID = "uid-other" })
	k := resolver{api: &stored{pods: map[types.NamespacedName]*corev1.Pod{{Namespace: "ns", Name: "p"}: other}}, chooser: choosing(ours)}
	if err := k.resolve(t.Context(), l, basis{}, noon); err != nil {
		t.Fatal(err)
	}
	if l.resolution != leftAlone || l.pod.UID != "uid-p" {
		t.Errorf("standing is %d, pod is %s", l.resolution, l.pod.UID)
	}
}

func TestAPodWithoutOurGateIsLeftAloneForAMoment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pod     *corev1.Pod
		created time.Time
		want    time.Time
	}{
		"gated":                           {gated(), noon, time.Time{}},
		"created before it was seen":      {gated(ungated), noon.Add(-time.Second), noon.Add(2 * time.Second)},
		"created later, by another clock": {gated(ungated), noon.Add(time.Hour), noon.Add(3 * time.Second)},
		"older than our installation":     {gated(ungated), noon.Add(-time.Hour), noon.Add(-time.Hour + 3*time.Second)},
		"gated by us, and by others as well": {gated(func(p *corev1.Pod) {
			p.Spec.SchedulingGates = append(p.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: "x/y"})
		}), noon, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.pod.CreationTimestamp = metav1.NewTime(c.created)
			if got := pendingOf(t, c.pod).due(); !got.Equal(c.want) {
				t.Errorf("due at %s, want %s", got, c.want)
			}
		})
	}
}

func TestSandboxed(t *testing.T) {
	t.Parallel()
	waiting := corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}}
	running := corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	ended := corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}
	before := waiting
	before.LastTerminationState = ended.State
	ready := func(s corev1.ConditionStatus) []corev1.PodCondition {
		return []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: s}}
	}
	for name, c := range map[string]struct {
		status corev1.PodStatus
		want   bool
	}{
		"nothing is known":             {corev1.PodStatus{}, false},
		"its containers wait":          {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waiting}}, false},
		"its network is ready":         {corev1.PodStatus{Conditions: ready(corev1.ConditionTrue)}, true},
		"its network is not ready":     {corev1.PodStatus{Conditions: ready(corev1.ConditionFalse)}, false},
		"a container has an ID":        {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{ContainerID: "x"}}}, true},
		"a container runs":             {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{running}}, true},
		"an init container has ended":  {corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{ended}}, true},
		"a debug container runs":       {corev1.PodStatus{EphemeralContainerStatuses: []corev1.ContainerStatus{running}}, true},
		"a container has ended before": {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{before}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := sandboxed(&corev1.Pod{Status: c.status}); got != c.want {
				t.Errorf("sandboxed is %t", got)
			}
		})
	}
}

// shownPools are pools as a watch would show them.
type shownPools map[string]*crdv1.SpiderIPPool

func (s shownPools) Pool(name string) (*crdv1.SpiderIPPool, bool) { p, ok := s[name]; return p, ok }

func (s shownPools) All() iter.Seq[*crdv1.SpiderIPPool] { return maps.Values(s) }

func TestDigestChangesWithWhatChoosingReads(t *testing.T) {
	t.Parallel()
	pools := func(edit func(*crdv1.SpiderIPPool)) shownPools {
		a := &crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "1", Generation: 1}}
		a.Status.Conditions = []metav1.Condition{{Type: crdv1.ConditionReady, Status: metav1.ConditionTrue, ObservedGeneration: 1}}
		edit(a)
		return shownPools{"a": a, "b": {ObjectMeta: metav1.ObjectMeta{Name: "b", UID: "2", Generation: 1}}}
	}
	same := func(*crdv1.SpiderIPPool) {}
	for name, c := range map[string]struct {
		edit func(*crdv1.SpiderIPPool)
		want bool
	}{
		"nothing":          {same, false},
		"an address taken": {func(p *crdv1.SpiderIPPool) { p.ResourceVersion, p.Status.Settled = "9", []string{"10.0.0.1"} }, false},
		"a pod waits":      {func(p *crdv1.SpiderIPPool) { p.Status.WaitedFor = true }, false},
		"another spec":     {func(p *crdv1.SpiderIPPool) { p.Generation = 2 }, true},
		"recreated":        {func(p *crdv1.SpiderIPPool) { p.UID = "3" }, true},
		"deleted":          {func(p *crdv1.SpiderIPPool) { p.DeletionTimestamp = &metav1.Time{Time: noon} }, true},
		"no longer ready":  {func(p *crdv1.SpiderIPPool) { p.Status.Conditions[0].Status = metav1.ConditionFalse }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := digest(pools(c.edit)) != digest(pools(same)); got != c.want {
				t.Errorf("changed: %t", got)
			}
		})
	}
	without := pools(same)
	delete(without, "b")
	if digest(without) == digest(pools(same)) {
		t.Error("a pool that is gone changes nothing")
	}
}
