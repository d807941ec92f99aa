package latebind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// conditionWriter takes patches of the status of pods.
type conditionWriter struct {
	client.Client // of nothing else
	pods          map[string]*corev1.Pod
	refused       map[string]error // pod -> why its condition is not taken
	tries         *atomic.Int32    // how often that was said
}

func (w conditionWriter) Status() client.SubResourceWriter { return conditionStatus{w: w} }

type conditionStatus struct {
	client.SubResourceWriter // of nothing else
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

// However often passes are made, few are told something at once, those who are
// served first before the others, and all in the end.
func TestManyWhoWaitAreToldLittleByLittle(t *testing.T) {
	t.Parallel()
	pods, recorder := map[string]*corev1.Pod{}, recording.NewFakeRecorder(1000)
	b := &reconciler{binder: binder{statusWriter: statusWriter{conditionWriter{pods: pods}}, events: &events{view.Recorder{EventRecorder: recorder}}}}
	const many = 3*tellsPerPass - 5
	p := &pass{again: lookAgain}
	for i := range many {
		name := fmt.Sprintf("p%d", i)
		pods[name] = gated(func(pod *corev1.Pod) { pod.Name = name })
		l := pendingOf(t, pods[name])
		l.object = pods[name]
		l.waits(crdv1.ReasonPoolFull, "all taken", noon)
		p.all = append(p.all, l)
	}
	tell := func(after time.Duration) (events int, again time.Duration) {
		p.now, p.again = noon.Add(after), lookAgain
		b.tellAll(t.Context(), p)
		return len(recorder.Events), p.again
	}
	if n, again := tell(0); n != 0 || again != lasting {
		t.Errorf("%d were told before the reason had lasted, the next pass comes after %s", n, again)
	}
	for i, want := range []int{tellsPerPass, 2 * tellsPerPass, many, many} {
		n, again := tell(lasting + time.Duration(i)*tellEvery)
		if n != want || (again == lookAgain) != (want == many) {
			t.Errorf("%d were told after round %d, want %d; the next pass comes after %s", n, i, want, again)
		}
		if n, _ := tell(lasting + time.Duration(i)*tellEvery + tellEvery/2); n != want {
			t.Errorf("%d were told in between, want %d", n, want)
		}
		for j, l := range p.all {
			if told := view.AddressCondition(l.object) != nil; told != (j < want) {
				t.Errorf("after round %d, told number %d: %t", i, j, told)
			}
		}
	}
}

// Pods whose conditions cannot be written are told by events, are tried ever more
// rarely, and keep nobody from being told.
func TestOneWhoseConditionCannotBeWrittenIsInNobodysWay(t *testing.T) {
	t.Parallel()
	pods := corev1.Resource("pods")
	for name, err := range map[string]error{
		"where a webhook does not let it be written": apierrors.NewForbidden(pods, "p", errors.New("no")),
		"where it is always another version":         apierrors.NewConflict(pods, "p", errors.New("again")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, recorder := conditionWriter{pods: map[string]*corev1.Pod{}, refused: map[string]error{}, tries: &atomic.Int32{}}, recording.NewFakeRecorder(1000)
			b := &reconciler{binder: binder{statusWriter: statusWriter{w}, events: &events{view.Recorder{EventRecorder: recorder}}}}
			p := &pass{}
			const mute, many = tellsPerPass + 1, 2 * tellsPerPass
			for i := range many {
				name := fmt.Sprintf("p%d", i)
				w.pods[name] = gated(func(pod *corev1.Pod) { pod.Name = name })
				if i < mute {
					w.refused[name] = err
				}
				l := pendingOf(t, w.pods[name])
				l.waits(crdv1.ReasonPoolFull, "all taken", noon)
				p.all = append(p.all, l)
			}
			for p.now = noon.Add(lasting); p.now.Before(noon.Add(time.Hour)); p.now = p.now.Add(p.again) {
				for _, l := range p.all {
					if l.object == nil { // as the next look would read it
						l.object = w.pods[l.pod.Name]
					}
				}
				p.again = lookAgain
				b.tellAll(t.Context(), p)
			}
			told := 0
			for _, l := range p.all {
				if view.AddressCondition(l.object) != nil {
					told++
				}
			}
			if told != many-mute {
				t.Errorf("%d were told by their conditions, want %d", told, many-mute)
			}
			if n, want := len(recorder.Events), many*int(time.Hour/repeat); n != want {
				t.Errorf("%d events, want %d", n, want)
			}
			if perHour := int(time.Hour/longestRetry) + 12; int(w.tries.Load()) > mute*perHour {
				t.Errorf("%d tries for %d pods in an hour, want at most %d for each", w.tries.Load(), mute, perHour)
			}
		})
	}
}

// A pod that the webhook saw, and that names its node so that it has no gate, is
// not told that it missed the webhook.
func TestOnlyAPodThatMissedTheWebhookIsToldSo(t *testing.T) {
	t.Parallel()
	admitted := func(p *corev1.Pod) {
		p.Annotations = map[string]string{crdv1.AnnotationUnassigned: crdv1.ReasonPoolFull}
	}
	for name, c := range map[string]struct {
		edits []func(*corev1.Pod)
		want  int
	}{
		"it has our gate":                         {nil, 0},
		"it has no gate":                          {[]func(*corev1.Pod){ungated}, 1},
		"it has none since the webhook gave none": {[]func(*corev1.Pod){ungated, admitted}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorder := recording.NewFakeRecorder(10)
			b := &reconciler{binder: binder{events: &events{view.Recorder{EventRecorder: recorder}}}}
			l := pendingOf(t, gated(c.edits...))
			l.resolution = resolved
			for range 2 {
				b.note(t.Context(), l)
			}
			if len(recorder.Events) != c.want {
				t.Errorf("%d events, want %d", len(recorder.Events), c.want)
			}
		})
	}
}

// The leader that bound a pod has told of it, whatever else changes the pod before
// its condition says so.
func TestAPodIsToldOnceOfItsAddresses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		told bool
		want int
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
			if err := b.finish(t.Context(), p, c.told); err != nil {
				t.Fatal(err)
			}
			if len(recorder.Events) != c.want {
				t.Errorf("%d events, want %d", len(recorder.Events), c.want)
			}
		})
	}
}
