package nodes

import (
	_ "embed" // the manifest
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed assign-restart.yaml
var assignRestartManifest []byte

// AssignRestart proves: a pod whose sandbox was killed, whose container was, or whose node was
// rebooted, goes on with the address that it has; nothing is reserved, nothing is written to the
// pool, and the pod answers again.
var AssignRestart = behaviours.Behaviour{ID: "assign-restart", Manifest: assignRestartManifest, Test: assignRestart}

func assignRestart(t *testing.T, e *behaviours.Env) {
	spare := e.Borrow(t)
	newPod := func(name string) *corev1.Pod { return podOf("assign-restart", name, "assign-restart") }
	sandboxed, contained, rebooted := newPod("sandbox"), newPod("container"), behaviours.Pinned(newPod("reboot"), spare.Name)
	for _, pod := range []*corev1.Pod{sandboxed, contained, rebooted} {
		runs(t, e, pod)
	}
	e.AwaitRecord(t, "assign-restart", func(r *allocator.Record) error {
		if n := r.Settled().Len(); n != 3 {
			return fmt.Errorf("%d addresses are settled, want 3", n)
		}
		return nil
	})
	before, writes := e.Pool(t, "assign-restart"), e.CountWrites(t, "assign-restart")

	atOnce(t, e,
		part{"the sandbox is killed", func(t *testing.T, e *behaviours.Env) {
			old := sandboxes(t, e, sandboxed)
			if len(old) != 1 {
				t.Fatalf("it has sandboxes %q, want one", old)
			}
			restarts(t, e, sandboxed, func() { kill(t, e, sandboxed, old[0]) })
			if now := sandboxes(t, e, sandboxed); len(now) == 0 || slices.Equal(now, old) {
				t.Errorf("it has sandboxes %q, as before", now)
			}
		}},
		part{"the container is killed", func(t *testing.T, e *behaviours.Env) {
			id, _ := container(contained)
			restarts(t, e, contained, func() { kill(t, e, contained, strings.TrimPrefix(id, "containerd://")) })
		}},
		part{"the node is rebooted", func(t *testing.T, e *behaviours.Env) {
			restarts(t, e, rebooted, func() {
				if err := spare.PullPlug(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := spare.Boot(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
		}},
	)
	if n := writes.Count(t, e); n > 0 {
		t.Errorf("%d writes to the pool", n)
	}
	if diff := cmp.Diff(before.Status, e.Pool(t, "assign-restart").Status); diff != "" {
		t.Errorf("the pool's status changed (-before +after):\n%s", diff)
	}
	e.DeleteAll(t, "assign-restart")
}

// kill ends the first process of a container or a sandbox.
func kill(t *testing.T, e *behaviours.Env, pod *corev1.Pod, id string) {
	t.Helper()
	_, err := e.Node(t, pod.Spec.NodeName).Ctr(t.Context(), "tasks", "kill", "--signal", "SIGKILL", id)
	if err != nil {
		t.Fatal(err)
	}
}

// restarts has a blow fall on a pod, waits until it runs in another container and answers, and
// compares what it has of us.
func restarts(t *testing.T, e *behaviours.Env, pod *corev1.Pod, blow func()) {
	t.Helper()
	before := pod.DeepCopy()
	was, _ := container(pod)
	blow()
	e.AwaitPod(t, pod, func(now *corev1.Pod) error {
		id, restarts := container(now)
		if id == was || restarts == 0 {
			return fmt.Errorf("its container is %s, restarted %d times", id, restarts)
		}
		return behaviours.Ready(now)
	})
	if pod.UID != before.UID {
		t.Fatalf("pod %s is another one", pod.Name)
	}
	reachable(t, e, pod)
	if diff := cmp.Diff(before.Annotations, pod.Annotations); diff != "" {
		t.Errorf("the annotations of pod %s changed (-before +after):\n%s", pod.Name, diff)
	}
	if before.Status.PodIP != pod.Status.PodIP {
		t.Errorf("pod %s had %s and has %s", pod.Name, before.Status.PodIP, pod.Status.PodIP)
	}
}
