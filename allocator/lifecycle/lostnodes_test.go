package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// patchedPod keeps the one patch that is written.
type patchedPod struct {
	client.Client // of nothing else

	patch map[string]any
}

func (p *patchedPod) Patch(_ context.Context, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
	data, err := patch.Data(object)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, &p.patch)
}

// podsByName are the pods of a view.
type podsByName map[string]*view.Pod // namespace/name -> pod

func (p podsByName) Get(key string) (*view.Pod, bool) {
	pod, ok := p[key]
	return pod, ok
}

func TestAPodEndsWithItsNodeByProofOnly(t *testing.T) {
	t.Parallel()
	lost := pod("a", tokenA, 10)
	lost.Terminal, lost.ResourceVersion = true, "10"
	with := func(change func(*view.Pod)) *view.Pod {
		p := *lost
		change(&p)
		return &p
	}
	off := nodeNamed("node", corev1.ConditionUnknown, corev1.TaintNodeOutOfService)
	there := nodeNamed("node", corev1.ConditionUnknown)
	for name, c := range map[string]struct {
		pod       *view.Pod
		shown     well // what the watch shows of nodes
		api       nodesOf
		want      string
		wantAgain bool
		wantErr   bool
	}{
		"the node is gone":                                     {pod: lost, shown: well{}, want: `its node "node" is gone`},
		"the node is out of service":                           {pod: lost, shown: well{}, api: nodesOf{nodes: []corev1.Node{off}}, want: `its node "node" is out of service`},
		"the watch shows the node":                             {pod: lost, shown: well{"node": 0}, wantAgain: true},
		"the watch is late":                                    {pod: lost, shown: well{}, api: nodesOf{nodes: []corev1.Node{there}}, wantAgain: true},
		"the API server does not say":                          {pod: lost, shown: well{}, api: nodesOf{err: errors.New("away")}, wantErr: true},
		"the phase is not terminal":                            {pod: with(func(p *view.Pod) { p.Terminal = false }), shown: well{}},
		"the pod has finished by its kubelet's word":           {pod: with(func(p *view.Pod) { p.Finished = true }), shown: well{}},
		"the pod has no node":                                  {pod: with(func(p *view.Pod) { p.Node = "" }), shown: well{}},
		"the pod has no address":                               {pod: with(func(p *view.Pod) { p.Claims = nil }), shown: well{}},
		"the pod is gone, or another one of the name is there": {pod: with(func(p *view.Pod) { p.Name = "b" }), shown: well{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			written := &patchedPod{}
			l := &lostNodes{client: written, api: c.api, claims: podsByName{c.pod.String(): c.pod}, nodes: c.shown}
			got, err := l.Reconcile(t.Context(), keyOf(lost))
			if (err != nil) != c.wantErr || (got.RequeueAfter > 0) != c.wantAgain {
				t.Errorf("comes back after %s, error %v", got.RequeueAfter, err)
			}
			var want map[string]any
			if c.want != "" {
				want = map[string]any{"metadata": map[string]any{
					"uid": "uid-a", "resourceVersion": "10", "annotations": map[string]any{crdv1.AnnotationEnded: c.want},
				}}
			}
			if diff := cmp.Diff(want, written.patch); diff != "" {
				t.Errorf("the patch (-want +got):\n%s", diff)
			}
		})
	}
}
