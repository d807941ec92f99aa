package lifecycle

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	recording "k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// conditionWriter takes patches of the status of pods.
type conditionWriter struct {
	client.Client // of nothing else
	pods          map[string]*corev1.Pod
}

func (w conditionWriter) Status() client.SubResourceWriter { return conditionStatus{w: w} }

type conditionStatus struct {
	client.SubResourceWriter // of nothing else
	w                        conditionWriter
}

func (s conditionStatus) Patch(_ context.Context, object client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
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
	b := &binder{server: server{speaker: speaker{conditionWriter{pods: pods}}, events: &events{recorder}}}
	const many = 3*tellsPerPass - 5
	p := &pass{again: lookAgain}
	for i := range many {
		name := fmt.Sprintf("p%d", i)
		pods[name] = gated(func(pod *corev1.Pod) { pod.Name = name })
		l := latecomerOf(t, pods[name])
		l.whole = pods[name]
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
			if told := conditionOf(l.whole) != nil; told != (j < want) {
				t.Errorf("after round %d, told number %d: %t", i, j, told)
			}
		}
	}
}
