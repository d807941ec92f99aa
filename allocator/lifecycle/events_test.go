package lifecycle

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	recording "k8s.io/client-go/tools/events"

	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	p := &view.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "uid-p"}, Node: "n1"}
	other := &view.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "q", UID: "uid-q"}}
	pool := version("a", 1, true, "10.0.0.1")
	for name, c := range map[string]struct {
		tell func(*events)
		want []string
	}{
		"held": {
			func(e *events) { e.held(p, "a", x) },
			[]string{`Warning AddressHeld the pod is gone and no kubelet confirmed its end: address 10.0.0.1 of pool "a" is held until it is certain that node "n1" does not use it`},
		},
		"held, and the node is not known": {
			func(e *events) { e.held(other, "a", x) },
			[]string{`Warning AddressHeld the pod is gone and no kubelet confirmed its end: address 10.0.0.1 of pool "a" is held until it is certain that an unknown node does not use it`},
		},
		"conflict, on both": {
			func(e *events) { e.conflict(p, other, "a", x) },
			[]string{
				`Warning AddressConflict address 10.0.0.1 of pool "a" is claimed by pod ns/q (UID uid-q) too`,
				`Warning AddressConflict address 10.0.0.1 of pool "a" is claimed by pod ns/p (UID uid-p) too`,
			},
		},
		"judged, and Ready": {
			func(e *events) { e.judged(pool, judge(state(t, pool), nil).condition) },
			[]string{"Normal Initialised no address is one of another pool"},
		},
		"judged, and not Ready": {
			func(e *events) {
				e.judged(pool, judge(state(t, version("a", 1, false, "10.0.0.1")), &objection{reason: crdv1.ReasonOverlap, message: "it overlaps"}).condition)
			},
			[]string{"Warning OverlapsOlderPool it overlaps"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorder := recording.NewFakeRecorder(10)
			c.tell(&events{view.Recorder{EventRecorder: recorder}})
			close(recorder.Events)
			var got []string
			for text := range recorder.Events {
				got = append(got, text)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
