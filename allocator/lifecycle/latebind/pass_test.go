package latebind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	recording "k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// conditionWriter accepts patches of the status of pods.
type conditionWriter struct {
	client.Client // for nothing else
	pods          map[string]*corev1.Pod
	refused       map[string]error // pod -> the error of writing its condition
	tries         *atomic.Int32    // how often such an error was returned
}

func (w conditionWriter) Status() client.SubResourceWriter { return conditionStatus{w: w} }

type conditionStatus struct {
	client.SubResourceWriter // for nothing else
	w                        conditionWriter
}

func (s conditionStatus) Patch(_ context.Context, object client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	if err, ok := s.w.refused[object.GetName()]; ok {
		s.w.tries.Add(1)
		return err
	}
	data, err := patch.Data(object)
	if err != nil {
		return err
	}
	var written struct{ Status corev1.PodStatus }
	if err := json.Unmarshal(data, &written); err != nil {
		return err
	}
	pod := s.w.pods[object.GetName()].DeepCopy()
	pod.Status = written.Status
	pod.ResourceVersion += "0"
	*object.(*corev1.Pod) = *pod
	return nil
}

// However often passes run, few pods are reported on at once, those that are served first come
// first, and all are reported on in the end.
func TestManyPendingPodsAreReportedOnInSteps(t *testing.T) {
	t.Parallel()
	pods, recorder := map[string]*corev1.Pod{}, recording.NewFakeRecorder(1000)
	b := &reconciler{binder: binder{statusWriter: statusWriter{conditionWriter{pods: pods}}, events: &events{view.Recorder{EventRecorder: recorder}}}}
	const many = 3*reportsPerPass - 5
	p := &pass{again: resyncPeriod}
	for i := range many {
		name := fmt.Sprintf("p%d", i)
		pods[name] = gated(func(pod *corev1.Pod) { pod.Name = name })
		l := pendingOf(t, pods[name])
		l.object = pods[name]
		l.waits(crdv1.ReasonPoolFull, "all taken", noon)
		p.all = append(p.all, l)
	}
	reportAt := func(after time.Duration) (events int, again time.Duration) {
		p.now, p.again = noon.Add(after), resyncPeriod
		b.reportAll(t.Context(), p)
		return len(recorder.Events), p.again
	}
	if n, again := reportAt(0); n != 0 || again != minReportAge {
		t.Errorf("%d events before the reason had lasted, the next pass comes after %s", n, again)
	}
	for i, want := range []int{reportsPerPass, 2 * reportsPerPass, many, many} {
		n, again := reportAt(minReportAge + time.Duration(i)*reportEvery)
		if n != want || (again == resyncPeriod) != (want == many) {
			t.Errorf("%d events after round %d, want %d; the next pass comes after %s", n, i, want, again)
		}
		if n, _ := reportAt(minReportAge + time.Duration(i)*reportEvery + reportEvery/2); n != want {
			t.Errorf("%d events in between, want %d", n, want)
		}
		for j, l := range p.all {
			if written := view.AddressCondition(l.object) != nil; written != (j < want) {
				t.Errorf("after round %d, condition of pod %d written: %t", i, j, written)
			}
		}
	}
}

// Pods with conditions that cannot be written get events, are retried less and less often, and do
// not block reports on other pods.
func TestAConditionThatCannotBeWrittenBlocksNoOther(t *testing.T) {
	t.Parallel()
	pods := corev1.Resource("pods")
	for name, err := range map[string]error{
		"where a webhook refuses the write": apierrors.NewForbidden(pods, "p", errors.New("no")),
		"where every write conflicts":       apierrors.NewConflict(pods, "p", errors.New("again")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, recorder := conditionWriter{pods: map[string]*corev1.Pod{}, refused: map[string]error{}, tries: &atomic.Int32{}}, recording.NewFakeRecorder(1000)
			b := &reconciler{binder: binder{statusWriter: statusWriter{w}, events: &events{view.Recorder{EventRecorder: recorder}}}}
			p := &pass{}
			const failing, many = reportsPerPass + 1, 2 * reportsPerPass
			for i := range many {
				name := fmt.Sprintf("p%d", i)
				w.pods[name] = gated(func(pod *corev1.Pod) { pod.Name = name })
				if i < failing {
					w.refused[name] = err
				}
				l := pendingOf(t, w.pods[name])
				l.waits(crdv1.ReasonPoolFull, "all taken", noon)
				p.all = append(p.all, l)
			}
			for p.now = noon.Add(minReportAge); p.now.Before(noon.Add(time.Hour)); p.now = p.now.Add(p.again) {
				for _, l := range p.all {
					if l.object == nil { // as the next pass would read it
						l.object = w.pods[l.pod.Name]
					}
				}
				p.again = resyncPeriod
				b.reportAll(t.Context(), p)
			}
			written := 0
			for _, l := range p.all {
				if view.AddressCondition(l.object) != nil {
					written++
				}
			}
			if written != many-failing {
				t.Errorf("%d conditions were written, want %d", written, many-failing)
			}
			if n, want := len(recorder.Events), many*int(time.Hour/repeat); n != want {
				t.Errorf("%d events, want %d", n, want)
			}
			if perHour := int(time.Hour/longestRetry) + 12; int(w.tries.Load()) > failing*perHour {
				t.Errorf("%d tries for %d pods in an hour, want at most %d for each", w.tries.Load(), failing, perHour)
			}
		})
	}
}

// A pod that the webhook saw, and that names its node and so has no gate, gets no event that it
// missed the webhook.
func TestOnlyAPodThatMissedTheWebhookGetsTheEvent(t *testing.T) {
	t.Parallel()
	admitted := func(p *corev1.Pod) {
		p.Annotations = map[string]string{crdv1.AnnotationUnassigned: crdv1.ReasonPoolFull}
	}
	for name, c := range map[string]struct {
		edits []func(*corev1.Pod)
		want  int
	}{
		"it has our gate": {nil, 0},
		"it has no gate":  {[]func(*corev1.Pod){ungated}, 1},
		"it has none, but the webhook has seen it": {[]func(*corev1.Pod){ungated, admitted}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorder := recording.NewFakeRecorder(10)
			b := &reconciler{binder: binder{events: &events{view.Recorder{EventRecorder: recorder}}}}
			l := pendingOf(t, gated(c.edits...))
			l.resolution = resolved
			for range 2 {
				b.noteArrival(t.Context(), l)
			}
			if len(recorder.Events) != c.want {
				t.Errorf("%d events, want %d", len(recorder.Events), c.want)
			}
		})
	}
}

// The leader that bound a pod has sent its event, even if the pod changes before its condition is
// written.
func TestAPodGetsOneEventAboutItsAddresses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		eventSent bool
		want      int
	}{
		"bound by this leader":     {true, 0},
		"bound by a former leader": {false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorder := recording.NewFakeRecorder(10)
			pod := gated(ungated)
			w := conditionWriter{pods: map[string]*corev1.Pod{pod.Name: pod}}
			b := &reconciler{binder: binder{statusWriter: statusWriter{w}, events: &events{view.Recorder{EventRecorder: recorder}}}}
			p := pendingOf(t, pod).pod
			p.ConditionStale = true
			if err := b.finish(t.Context(), p, c.eventSent); err != nil {
				t.Fatal(err)
			}
			if len(recorder.Events) != c.want {
				t.Errorf("%d events, want %d", len(recorder.Events), c.want)
			}
		})
	}
}

// nodesNamed are the nodes that there are.
type nodesNamed []string

func (n nodesNamed) Shows(node string) bool { return slices.Contains(n, node) }

// Whoever makes a pod may name any node in it.
func TestAPodOnANodeThatIsNotThereIsGivenNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		node       string
		wantReason string
	}{
		"its node is there": {node: "n"},
		"it has no node":    {},
		"its node is not":   {node: "never-was", wantReason: crdv1.ReasonNodeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &reconciler{nodes: nodesNamed{"n"}}
			pod := gated(func(pod *corev1.Pod) { pod.Spec.NodeName = c.node })
			l := pendingOf(t, pod)
			l.resolution, l.object = resolved, pod
			p := &pass{now: noon}
			b.classify(t.Context(), p, l)
			if asks := len(p.asking) == 1; l.reason != c.wantReason || asks != (c.wantReason == "") {
				t.Errorf("it waits for %q, and asks: %t", l.reason, asks)
			}
		})
	}
}
