package behaviours

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/e2e/cluster"
)

const (
	// shared is how many nodes every pod may run on.
	shared = 2
	// spares is how many there are beside them, for behaviours to stop, to cut off and to break
	// while others go on. Few stand still for minutes at once.
	spares = 4
	// TaintSpare keeps off the spare nodes what does not tolerate it.
	TaintSpare = "e2e.spidernet.io/spare"
)

var spareTaint = corev1.Taint{Key: TaintSpare, Effect: corev1.TaintEffectNoSchedule}

// keepSpares sets the spare nodes aside.
func (e *Env) keepSpares(ctx context.Context) error {
	e.spares = make(chan *cluster.Node, spares)
	for _, n := range e.Cluster.Nodes[shared:] {
		if err := e.taint(ctx, n.Name, spareTaint); err != nil {
			return err
		}
		e.spares <- n
	}
	return nil
}

// Borrow waits for a spare node, for whose pods Pinned makes room. Until the end of the test nobody
// else has it; whatever became of it, it is Ready again then.
func (e *Env) Borrow(t *testing.T) *cluster.Node {
	t.Helper()
	select {
	case n := <-e.spares:
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
			defer cancel()
			e.Restore(ctx, t, n)
			e.spares <- n
		})
		return n
	case <-t.Context().Done():
		t.Fatal("there is no spare node")
		return nil
	}
}

// Restore makes a borrowed node what it was, whatever was done to it.
func (e *Env) Restore(ctx context.Context, t *testing.T, n *cluster.Node) {
	t.Helper()
	if err := e.restore(ctx, n); err != nil {
		t.Errorf("bringing node %q back: %v", n.Name, err)
	}
}

func (e *Env) restore(ctx context.Context, n *cluster.Node) error {
	if !n.Machine.Alive() {
		if err := n.Boot(ctx); err != nil {
			return err
		}
	}
	if err := n.MendCable(); err != nil {
		return err
	}
	// Before it is Ready, if it has to register anew: what is not tainted is everybody's.
	if err := e.taint(ctx, n.Name, spareTaint); err != nil {
		return err
	}
	if err := e.untaint(ctx, n.Name, corev1.TaintNodeOutOfService); err != nil {
		return err
	}
	return e.awaitNode(ctx, n.Name, 2*Patience, NodeReady)
}

// Node returns a node of the cluster.
func (e *Env) Node(t *testing.T, name string) *cluster.Node {
	t.Helper()
	i := slices.IndexFunc(e.Cluster.Nodes, func(n *cluster.Node) bool { return n.Name == name })
	if i < 0 {
		t.Fatalf("no node %q", name)
	}
	return e.Cluster.Nodes[i]
}

// Taint gives a node a taint.
func (e *Env) Taint(t *testing.T, node string, taint corev1.Taint) {
	t.Helper()
	if err := e.taint(t.Context(), node, taint); err != nil {
		t.Fatal(err)
	}
}

// Untaint takes all taints of a key from a node.
func (e *Env) Untaint(t *testing.T, node, key string) {
	t.Helper()
	if err := e.untaint(t.Context(), node, key); err != nil {
		t.Fatal(err)
	}
}

func (e *Env) taint(ctx context.Context, node string, taint corev1.Taint) error {
	return e.setTaints(ctx, node, func(all []corev1.Taint) []corev1.Taint {
		if slices.ContainsFunc(all, func(t corev1.Taint) bool { return t.MatchTaint(&taint) }) {
			return all
		}
		return append(all, taint)
	})
}

func (e *Env) untaint(ctx context.Context, node, key string) error {
	return e.setTaints(ctx, node, func(all []corev1.Taint) []corev1.Taint {
		return slices.DeleteFunc(all, func(t corev1.Taint) bool { return t.Key == key })
	})
}

// setTaints waits for the node where it has to register first, and tries again where others write
// taints too.
func (e *Env) setTaints(ctx context.Context, node string, change func([]corev1.Taint) []corev1.Taint) error {
	err := Await(ctx, Patience, func(ctx context.Context) error {
		var n corev1.Node
		if err := e.Client.Get(ctx, client.ObjectKey{Name: node}, &n); err != nil {
			return err
		}
		before := n.DeepCopy()
		n.Spec.Taints = change(n.Spec.Taints)
		return e.Client.Patch(ctx, &n, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
	if err != nil {
		return fmt.Errorf("changing the taints of node %q: %w", node, err)
	}
	return nil
}

// AwaitNode waits until a node is as wanted.
func (e *Env) AwaitNode(t *testing.T, name string, within time.Duration, wanted func(*corev1.Node) error) {
	t.Helper()
	if err := e.awaitNode(t.Context(), name, within, wanted); err != nil {
		t.Fatal(err)
	}
}

func (e *Env) awaitNode(ctx context.Context, name string, within time.Duration, wanted func(*corev1.Node) error) error {
	err := Await(ctx, within, func(ctx context.Context) error {
		var n corev1.Node
		if err := e.Client.Get(ctx, client.ObjectKey{Name: name}, &n); err != nil {
			return err
		}
		return wanted(&n)
	})
	if err != nil {
		return fmt.Errorf("waiting for node %q: %w", name, err)
	}
	return nil
}

// NodeReady returns an error unless a node is Ready and takes pods.
func NodeReady(n *corev1.Node) error {
	if err := ready(n, corev1.ConditionTrue); err != nil {
		return err
	}
	for _, taint := range n.Spec.Taints {
		if taint.Key == corev1.TaintNodeNotReady || taint.Key == corev1.TaintNodeUnreachable {
			return fmt.Errorf("it is tainted %s", taint.Key)
		}
	}
	return nil
}

// NodeLost returns an error until Kubernetes has noticed that a node is silent, which takes it 50
// s.
func NodeLost(n *corev1.Node) error { return ready(n, corev1.ConditionUnknown) }

func ready(n *corev1.Node, want corev1.ConditionStatus) error {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			if c.Status != want {
				return fmt.Errorf("Ready is %s: %s", c.Status, c.Message)
			}
			return nil
		}
	}
	return errors.New("it does not say whether it is Ready")
}

// Pinned has a pod run on one node and nowhere else, a spare one too.
func Pinned(pod *corev1.Pod, node string) *corev1.Pod {
	pod.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{Key: TaintSpare, Operator: corev1.TolerationOpExists})
	return pod
}
