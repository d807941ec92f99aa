package nodes

import (
	"context"
	_ "embed" // the manifest
	"fmt"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed life-node.yaml
var lifeNodeManifest []byte

// LifeNode proves: when a node stops, the addresses of its pods stay taken: of those that were
// evicted and of those that nobody touched, for they are still there, and of those that were
// deleted by force, for they are held. They come free when the node is back, after the proof; when
// the node's object is deleted; when the node is declared out of service.
var LifeNode = behaviours.Behaviour{ID: "life-node", Manifest: lifeNodeManifest, Test: lifeNode}

func lifeNode(t *testing.T, e *behaviours.Env) {
	atOnce(t, e,
		part{"the node comes back", comesBack},
		part{"the node is out of service, then its object goes", goesForGood},
	)
}

// evictee is a pod that is evicted as soon as its node is known to be lost.
func evictee(pod *corev1.Pod) *corev1.Pod {
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{
		Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(0)),
	})
	return pod
}

// stayer is a pod that nothing evicts.
func stayer(pod *corev1.Pod) *corev1.Pod {
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists})
	return pod
}

// awaitEvicted waits until a pod of a lost node is Terminating, and looks whether its address is
// taken then: the pod is not gone.
func awaitEvicted(t *testing.T, e *behaviours.Env, pool string, pod *corev1.Pod) {
	t.Helper()
	e.AwaitPod(t, pod, func(now *corev1.Pod) error {
		if now.DeletionTimestamp == nil {
			return fmt.Errorf("pod %s is not evicted", now.Name)
		}
		return nil
	})
	standsAs(t, e, pool, addressOf(t, pod), allocator.StateSettled)
}

func comesBack(t *testing.T, e *behaviours.Env) {
	const pool = "life-node-back"
	spare := e.Borrow(t)
	newPod := func(name string) *corev1.Pod { return behaviours.Pinned(podOf("life-node", name, pool), spare.Name) }
	forced, evicted, both := newPod("back-forced"), evictee(newPod("back-evicted")), evictee(newPod("back-both"))
	waits := stayer(newPod("back-untouched"))
	for _, pod := range []*corev1.Pod{forced, evicted, both, waits} {
		runs(t, e, pod)
	}
	if err := spare.PullPlug(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.DeleteByForce(t, forced)
	holds := map[netip.Addr]allocator.Hold{addressOf(t, forced): awaitHeld(t, e, pool, forced)}
	e.AwaitNode(t, spare.Name, lost, behaviours.NodeLost)
	awaitEvicted(t, e, pool, evicted)
	awaitEvicted(t, e, pool, both)
	e.DeleteByForce(t, both)
	holds[addressOf(t, both)] = awaitHeld(t, e, pool, both)
	standsAs(t, e, pool, addressOf(t, waits), allocator.StateSettled)

	back := time.Now()
	if err := spare.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.AwaitGone(t, evicted) // its kubelet says that it ended
	awaitFree(t, e, pool, addressOf(t, evicted))
	t.Logf("the evicted pod's address is free %s after the boot", time.Since(back).Round(time.Millisecond))
	e.AwaitNode(t, spare.Name, behaviours.Patience, behaviours.NodeReady)
	reachable(t, e, waits)
	for a, hold := range holds {
		awaitProven(t, e, pool, a, hold, back)
	}
	remove(t, e, waits)
	awaitFree(t, e, pool, addressOf(t, waits))
}

// lost bounds how long Kubernetes takes to notice that a node is silent: 50 s.
const lost = 2 * time.Minute

// outOfService is what a person or a machine that has switched a node off gives it.
var outOfService = corev1.Taint{Key: corev1.TaintNodeOutOfService, Value: "nodeshutdown", Effect: corev1.TaintEffectNoExecute}

func goesForGood(t *testing.T, e *behaviours.Env) {
	const pool = "life-node-gone"
	spare := e.Borrow(t)
	newPod := func(name string) *corev1.Pod { return behaviours.Pinned(podOf("life-node", name, pool), spare.Name) }
	forced, evicted := newPod("out-forced"), evictee(newPod("out-evicted"))
	orphan, forcedLater := stayer(newPod("gone-orphan")), stayer(newPod("gone-forced"))
	for _, pod := range []*corev1.Pod{forced, evicted, orphan, forcedLater} {
		runs(t, e, pod)
	}
	if err := spare.PullPlug(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.DeleteByForce(t, forced)
	awaitHeld(t, e, pool, forced)
	e.AwaitNode(t, spare.Name, lost, behaviours.NodeLost)
	awaitEvicted(t, e, pool, evicted)
	standsAs(t, e, pool, addressOf(t, forced), allocator.StateHeld)

	e.Taint(t, spare.Name, outOfService)
	since := time.Now()
	awaitFree(t, e, pool, addressOf(t, forced))
	t.Logf("out of service: what was held is free after %s", time.Since(since).Round(time.Millisecond))
	awaitCollected(t, e, pool, evicted)
	t.Logf("out of service: what the garbage collector deleted is free after %s", time.Since(since).Round(time.Millisecond))
	e.Untaint(t, spare.Name, outOfService.Key)

	e.DeleteByForce(t, forcedLater)
	awaitHeld(t, e, pool, forcedLater)
	standsAs(t, e, pool, addressOf(t, orphan), allocator.StateSettled)
	node := &corev1.Node{}
	node.Name = spare.Name
	if err := e.Client.Delete(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	since = time.Now()
	awaitFree(t, e, pool, addressOf(t, forcedLater))
	t.Logf("node object deleted: what was held is free after %s", time.Since(since).Round(time.Millisecond))
	awaitCollected(t, e, pool, orphan)
	t.Logf("node object deleted: what the garbage collector deleted is free after %s", time.Since(since).Round(time.Millisecond))

	e.Restore(t.Context(), t, spare)
	comesAndGoes(t, e, newPod("new"), pool) // on the node that registered anew
}

// collected bounds how long the garbage collector takes, which comes every 20 s and makes sure for
// 40 s that a node is gone.
const collected = 3 * time.Minute

// awaitCollected waits until the garbage collector has deleted a pod, and its address, whose end no
// kubelet confirmed, was held and is free.
func awaitCollected(t *testing.T, e *behaviours.Env, pool string, pod *corev1.Pod) {
	t.Helper()
	behaviours.Eventually(t, collected, func(ctx context.Context) error {
		err := e.Client.Get(ctx, client.ObjectKeyFromObject(pod), &corev1.Pod{})
		if err == nil {
			return fmt.Errorf("pod %s is still there", pod.Name)
		}
		return client.IgnoreNotFound(err)
	})
	e.AwaitEvent(t, pod, corev1.EventTypeWarning, crdv1.ReasonHeld)
	awaitFree(t, e, pool, addressOf(t, pod))
}
