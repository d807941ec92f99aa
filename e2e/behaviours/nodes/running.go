package nodes

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

// podOf returns a pod that takes an IPv4 address of one pool.
func podOf(namespace, name, pool string) *corev1.Pod {
	return behaviours.NewPod(namespace, name, behaviours.FromPools([]string{pool}, nil))
}

// runs makes a pod, waits until it is Ready and answers a ping, and returns its address.
func runs(t *testing.T, e *behaviours.Env, pod *corev1.Pod) netip.Addr {
	t.Helper()
	e.Create(t, pod)
	return reachable(t, e, pod)
}

// reachable waits until a pod that has an address is Ready and answers a ping.
func reachable(t *testing.T, e *behaviours.Env, pod *corev1.Pod) netip.Addr {
	t.Helper()
	e.AwaitPod(t, pod, behaviours.Ready)
	a := addressOf(t, pod)
	if pod.Status.PodIP != a.String() {
		t.Fatalf("pod %s/%s runs with %s and was given %s", pod.Namespace, pod.Name, pod.Status.PodIP, a)
	}
	e.Ping(t, a)
	return a
}

// remove deletes a pod as its owner would.
func remove(t *testing.T, e *behaviours.Env, pod *corev1.Pod) {
	t.Helper()
	if err := e.Client.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
}

// comesAndGoes has a pod take an address of a pool and give it back: what the leader does for it,
// it does after all that happened before.
func comesAndGoes(t *testing.T, e *behaviours.Env, pod *corev1.Pod, pool string) {
	t.Helper()
	a := runs(t, e, pod)
	remove(t, e, pod)
	awaitFree(t, e, pool, a)
}

// addressOf returns the one address that a pod was given.
func addressOf(t *testing.T, pod *corev1.Pod) netip.Addr {
	t.Helper()
	claims, err := behaviours.Assigned(t, pod).Claims()
	if err != nil || len(claims) != 1 {
		t.Fatalf("pod %s/%s carries %v (%v), want one address", pod.Namespace, pod.Name, claims, err)
	}
	return claims[0].Address
}

// container returns the id of a pod's container and how often it was restarted.
func container(pod *corev1.Pod) (id string, restarts int32) {
	for _, s := range pod.Status.ContainerStatuses {
		return s.ContainerID, s.RestartCount
	}
	return "", 0
}

// untilProof bounds the wait for the end of a hold whose node is Ready.
const untilProof = 3 * time.Minute

// proofOf is how long a node must have been Ready for a hold to end.
func proofOf(h allocator.Hold) time.Duration {
	return time.Minute + max(h.Grace, allocator.DefaultGrace)
}

// awaitState waits until an address stands so in its pool's record, and returns the record.
func awaitState(t *testing.T, e *behaviours.Env, pool string, a netip.Addr, want allocator.State, within time.Duration) *allocator.Record {
	t.Helper()
	var record *allocator.Record
	behaviours.Eventually(t, within, func(ctx context.Context) error {
		var p crdv1.SpiderIPPool
		if err := e.Client.Get(ctx, client.ObjectKey{Name: pool}, &p); err != nil {
			return err
		}
		var err error
		if record, err = behaviours.RecordOf(&p); err != nil {
			return err
		}
		if got := record.State(a); got != want {
			return fmt.Errorf("%s is %s, want %s; status of pool %q is %+v", a, got, want, pool, p.Status)
		}
		return nil
	})
	return record
}

// awaitFree waits until a released address is free.
func awaitFree(t *testing.T, e *behaviours.Env, pool string, a netip.Addr) {
	t.Helper()
	awaitState(t, e, pool, a, allocator.StateFree, behaviours.Patience)
}

// awaitHeld waits until the address of a pod that is gone is held for the node that it ran on, and
// the pod's events say so.
func awaitHeld(t *testing.T, e *behaviours.Env, pool string, pod *corev1.Pod) allocator.Hold {
	t.Helper()
	a := addressOf(t, pod)
	hold, _ := awaitState(t, e, pool, a, allocator.StateHeld, behaviours.Patience).HoldAt(a)
	if hold.Node != pod.Spec.NodeName {
		t.Errorf("%s is held for node %q, and pod %s ran on node %q", a, hold.Node, pod.Name, pod.Spec.NodeName)
	}
	e.AwaitEvent(t, pod, corev1.EventTypeWarning, crdv1.ReasonHeld)
	return hold
}

// awaitProven waits until a hold has ended, and not before its proof was there.
func awaitProven(t *testing.T, e *behaviours.Env, pool string, a netip.Addr, h allocator.Hold, since time.Time) {
	t.Helper()
	awaitState(t, e, pool, a, allocator.StateFree, untilProof)
	took := time.Since(since)
	if took < proofOf(h) {
		t.Errorf("%s is free after %s, and the proof takes %s", a, took, proofOf(h))
	}
	t.Logf("%s was held for node %s, and was free after %s", a, h.Node, took.Round(time.Millisecond))
}

// standsAs fails unless an address stands so now.
func standsAs(t *testing.T, e *behaviours.Env, pool string, a netip.Addr, want allocator.State) {
	t.Helper()
	if got := e.Record(t, pool).State(a); got != want {
		t.Fatalf("%s is %s, want %s; status of pool %q is %+v", a, got, want, pool, e.Pool(t, pool).Status)
	}
}

// part is one of several things that a behaviour proves at once.
type part struct {
	name  string
	prove func(*testing.T, *behaviours.Env)
}

// atOnce proves the parts of a behaviour in parallel and returns when all are done. Those that take
// longest come first: not all may find a place at once.
func atOnce(t *testing.T, e *behaviours.Env, parts ...part) {
	t.Helper()
	t.Run("at once", func(t *testing.T) {
		for _, p := range parts {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				p.prove(t, e)
			})
		}
	})
}

// sandboxes returns the names that containerd has for the sandboxes of a pod.
func sandboxes(t *testing.T, e *behaviours.Env, pod *corev1.Pod) []string {
	t.Helper()
	out, err := e.Node(t, pod.Spec.NodeName).Ctr(t.Context(), "containers", "list", "--quiet",
		`labels."io.cri-containerd.kind"==sandbox,labels."io.kubernetes.pod.uid"==`+string(pod.UID))
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^[0-9a-f]{64}$`).FindAllString(out, -1) // it complains among them
}
