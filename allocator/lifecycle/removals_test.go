package lifecycle

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/view"
)

// nodesOf answers as the API server with these nodes; err where it does not.
type nodesOf struct {
	nodes []corev1.Node
	err   error
}

func (n nodesOf) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if n.err != nil {
		return n.err
	}
	for i := range n.nodes {
		if node, ok := into.(*corev1.Node); ok && n.nodes[i].Name == key.Name {
			n.nodes[i].DeepCopyInto(node)
			return nil
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{Resource: "nodes"}, key.Name)
}

func (n nodesOf) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	if list, ok := into.(*corev1.NodeList); ok {
		list.Items = n.nodes
	}
	return n.err
}

// well says for how long nodes have been Ready, since moment; one that it does not know may be off.
type well map[string]time.Duration

func (w well) Ready(node string) (time.Time, time.Duration) { return moment, w[node] }

func (w well) Shows(node string) bool { _, ok := w[node]; return ok }

func (w well) GoneOrOutOfService(node string) bool { _, ok := w[node]; return !ok }

func (w well) NotReadyFor(need time.Duration, _ time.Time) (string, bool) {
	for node, lasts := range w {
		if lasts < need {
			return node, true
		}
	}
	return "", false
}

func nodeNamed(name string, ready corev1.ConditionStatus, taints ...string) corev1.Node {
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready, LastTransitionTime: metav1.NewTime(moment)}}
	for _, key := range taints {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoExecute})
	}
	return n
}

func bornAt(n corev1.Node, at time.Time) corev1.Node {
	n.CreationTimestamp = metav1.NewTime(at)
	return n
}

func againAt(n corev1.Node, at time.Time) corev1.Node {
	n.Status.Conditions[0].LastTransitionTime = metav1.NewTime(at)
	return n
}

func TestAHoldEndsByProofOnly(t *testing.T) {
	t.Parallel()
	const enough, short = 90 * time.Second, 89 * time.Second                     // a minute and the default grace
	const day, decades = 24*time.Hour + time.Minute, 1_000_000_000 * time.Second // as an older controller wrote it
	ready, away := nodeNamed("n", corev1.ConditionTrue), nodeNamed("m", corev1.ConditionUnknown)
	for name, c := range map[string]struct {
		hold  allocator.Hold
		api   nodesOf
		well  well
		seen  time.Duration
		want  string
		wrong bool
	}{
		"the node has been Ready long enough":                            {allocator.Hold{Node: "n"}, nodesOf{nodes: []corev1.Node{ready}}, well{"n": enough}, enough, "its node has been Ready for 1m30s", false},
		"the node has not been Ready long enough":                        {allocator.Hold{Node: "n"}, nodesOf{nodes: []corev1.Node{ready}}, well{"n": short}, enough, "", false},
		"the hold is younger than that":                                  {allocator.Hold{Node: "n"}, nodesOf{nodes: []corev1.Node{ready}}, well{"n": time.Hour}, short, "", false},
		"the pod may take an hour to end":                                {allocator.Hold{Node: "n", Grace: time.Hour}, nodesOf{nodes: []corev1.Node{ready}}, well{"n": time.Hour}, time.Hour, "", false},
		"the pod may take an hour to end, and it has passed":             {allocator.Hold{Node: "n", Grace: time.Hour}, nodesOf{nodes: []corev1.Node{ready}}, well{"n": 61 * time.Minute}, 61 * time.Minute, "its node has been Ready for 1h1m0s", false},
		"the node is away although it was thought well":                  {allocator.Hold{Node: "m"}, nodesOf{nodes: []corev1.Node{away}}, well{"m": enough}, enough, "", false},
		"the node was away, and back, unseen":                            {allocator.Hold{Node: "n"}, nodesOf{nodes: []corev1.Node{againAt(nodeNamed("n", corev1.ConditionTrue), moment.Add(time.Second))}}, well{"n": enough}, enough, "", false},
		"on an unknown node, one was away, and back, unseen":             {allocator.Hold{}, nodesOf{nodes: []corev1.Node{ready, againAt(nodeNamed("m", corev1.ConditionTrue), moment.Add(time.Second))}}, well{"n": enough, "m": enough}, enough, "", false},
		"on an unknown node, the watch knows that one is not well":       {allocator.Hold{}, nodesOf{err: errors.New("nobody asks")}, well{"n": enough, "m": short}, enough, "", false},
		"on an unknown node, the API server does not say":                {allocator.Hold{}, nodesOf{err: errors.New("away")}, well{"n": enough}, enough, "", true},
		"the node is gone, whatever grace was said":                      {allocator.Hold{Node: "n", Grace: decades}, nodesOf{}, nil, 0, "its node is gone", false},
		"the node is off, whatever grace was said":                       {allocator.Hold{Node: "m", Grace: decades}, nodesOf{nodes: []corev1.Node{nodeNamed("m", corev1.ConditionUnknown, corev1.TaintNodeOutOfService)}}, nil, 0, "its node is out of service", false},
		"the pod was given decades to end, and a day has passed":         {allocator.Hold{Node: "n", Grace: decades}, nodesOf{nodes: []corev1.Node{ready}}, well{"n": day}, day, "its node has been Ready for 24h1m0s", false},
		"the pod was given decades to end, and not a day has passed":     {allocator.Hold{Node: "n", Grace: decades}, nodesOf{nodes: []corev1.Node{ready}}, well{"n": day}, day - time.Second, "", false},
		"the node is gone":                                               {allocator.Hold{Node: "n"}, nodesOf{}, nil, 0, "its node is gone", false},
		"somebody vouches that the node is off":                          {allocator.Hold{Node: "m"}, nodesOf{nodes: []corev1.Node{nodeNamed("m", corev1.ConditionUnknown, corev1.TaintNodeOutOfService)}}, nil, 0, "its node is out of service", false},
		"the API server does not say":                                    {allocator.Hold{Node: "n"}, nodesOf{err: errors.New("away")}, well{"n": enough}, enough, "", true},
		"the API server forbids to look":                                 {allocator.Hold{Node: "n"}, nodesOf{err: apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "n", nil)}, nil, enough, "", true},
		"on an unknown node, all are well":                               {allocator.Hold{}, nodesOf{nodes: []corev1.Node{ready, nodeNamed("m", corev1.ConditionTrue)}}, well{"n": enough, "m": enough}, enough, "all nodes have been Ready or are out of service", false},
		"on an unknown node, one is away":                                {allocator.Hold{}, nodesOf{nodes: []corev1.Node{ready, away}}, well{"n": enough}, enough, "", false},
		"on an unknown node, one came back a moment ago":                 {allocator.Hold{}, nodesOf{nodes: []corev1.Node{ready, nodeNamed("m", corev1.ConditionTrue)}}, well{"n": enough, "m": short}, enough, "", false},
		"on an unknown node, the one away is off":                        {allocator.Hold{}, nodesOf{nodes: []corev1.Node{ready, nodeNamed("m", corev1.ConditionUnknown, corev1.TaintNodeOutOfService)}}, well{"n": enough}, enough, "all nodes have been Ready or are out of service", false},
		"on an unknown node, one is away that is younger than the hold":  {allocator.Hold{Since: moment}, nodesOf{nodes: []corev1.Node{ready, bornAt(away, moment.Add(2*time.Minute))}}, well{"n": enough}, enough, "all nodes have been Ready or are out of service", false},
		"on an unknown node, one is away that may be as old as the hold": {allocator.Hold{Since: moment}, nodesOf{nodes: []corev1.Node{ready, bornAt(away, moment.Add(time.Minute))}}, well{"n": enough}, enough, "", false},
		"on an unknown node, the hold is young":                          {allocator.Hold{}, nodesOf{nodes: []corev1.Node{ready}}, well{"n": enough}, short, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := proofs{api: c.api, nodes: c.well, known: map[string]nodeRead{}}
			got, err := p.of(t.Context(), c.hold, c.seen)
			if got != c.want || (err != nil) != c.wrong {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestLose(t *testing.T) {
	t.Parallel()
	one, other := &view.Pod{Node: "n", Grace: time.Minute}, &view.Pod{Node: "m", Grace: time.Hour}
	one.Namespace, one.Name = "shop", "web"
	for name, c := range map[string]struct {
		had  []*view.Pod
		want allocator.Hold
	}{
		"an endpoint tells the node":           {[]*view.Pod{one}, allocator.Hold{Node: "n", Since: moment, Grace: time.Minute, Pod: allocator.PodRef{Namespace: "shop", Name: "web"}}},
		"two endpoints do not":                 {[]*view.Pod{one, other}, allocator.Hold{Since: moment, Grace: 2 * time.Hour}},
		"without an endpoint nothing is known": {nil, allocator.Hold{Since: moment, Grace: 2 * time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := orphanOf(c.had, 2*time.Hour, moment); got.hold != c.want {
				t.Errorf("got %+v, want %+v", got.hold, c.want)
			}
		})
	}
}

func TestAHoldIsCountedAnewAfterALivePodHadItsAddress(t *testing.T) {
	t.Parallel()
	now := moment
	h := &holds{claims: podView{}, now: func() time.Time { return now }}
	record := heldFor(t, tokenA)
	hold, _ := record.HoldAt(x)
	seen := func() time.Duration { return h.standing("p", record)[heldAt{x, hold}] }
	seen()
	now = now.Add(time.Hour)
	if got := seen(); got != time.Hour {
		t.Errorf("seen for %s", got)
	}
	h.claims = podView{pods: []*view.Pod{pod("b", tokenB, 1)}}
	if got := seen(); got != 0 {
		t.Errorf("beside a live pod, seen for %s", got)
	}
	h.claims = podView{}
	now = now.Add(time.Second)
	if got := seen(); got != time.Second {
		t.Errorf("after it, seen for %s", got)
	}
}
