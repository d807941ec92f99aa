package nodes

import (
	_ "embed" // the manifest
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed life-finished.yaml
var lifeFinishedManifest []byte

// LifeFinished proves: a pod that ends by itself gives its address back, be it Succeeded or Failed,
// and its object stays; one of whom somebody else than its kubelet says so, while its container
// runs, gives nothing back and answers on.
var LifeFinished = behaviours.Behaviour{ID: "life-finished", Manifest: lifeFinishedManifest, Test: lifeFinished}

func lifeFinished(t *testing.T, e *behaviours.Env) {
	atOnce(t, e,
		part{"said by others", saidByOthers},
		part{"Succeeded", ends("succeeds", corev1.PodSucceeded, 0)},
		part{"Failed", ends("fails", corev1.PodFailed, 1)},
	)
	e.DeleteAll(t, "life-finished")
}

// ends returns a part in which a pod ends by itself.
func ends(name string, phase corev1.PodPhase, code int) func(*testing.T, *behaviours.Env) {
	return func(t *testing.T, e *behaviours.Env) {
		pod := podOf("life-finished", name, "life-finished")
		pod.Spec.RestartPolicy = corev1.RestartPolicyNever
		pod.Spec.Containers[0].Command = untilTold(code)
		a := runs(t, e, pod)
		watch := watchReleases(t, e, "life-finished", []corev1.Pod{*pod})
		tell(t, e, pod)
		awaitFree(t, e, "life-finished", a)
		if e.Pod(t, pod); pod.Status.Phase != phase || pod.DeletionTimestamp != nil {
			t.Errorf("pod %s has phase %s and deletion time %v, want %s and none", name, pod.Status.Phase, pod.DeletionTimestamp, phase)
		}
		watch.print(t)
	}
}

// untilTold is the command of a container that ends with a code once tell is called.
func untilTold(code int) []string {
	return []string{"/bin/sh", "-c", fmt.Sprintf("until test -e /tmp/end; do sleep 0.1; done; exit %d", code)}
}

func tell(t *testing.T, e *behaviours.Env, pod *corev1.Pod) {
	t.Helper()
	e.Kubectl(t, "exec", "-n", pod.Namespace, pod.Name, "--", "touch", "/tmp/end")
}

// saidByOthers has an admin say that a running pod has ended.
func saidByOthers(t *testing.T, e *behaviours.Env) {
	pod := podOf("life-finished", "goes-on", "life-finished")
	a := runs(t, e, pod)
	e.AwaitRecord(t, "life-finished", func(r *allocator.Record) error {
		if !r.InUse(a) {
			return fmt.Errorf("%s is not settled yet", a)
		}
		return nil
	})
	id, _ := container(pod)
	watched := e.Follow(t, e.Pool(t, "life-finished"), func(p *crdv1.SpiderIPPool) {
		if record, err := behaviours.RecordOf(p); err != nil || !record.InUse(a) {
			t.Errorf("%s is not in use any more (%v): %+v", a, err, p.Status)
		}
	})
	say := func(status string) error {
		_, err := e.TryKubectl(t.Context(), "patch", "pod", "-n", pod.Namespace, pod.Name, "--subresource=status", "--type=merge", "-p", `{"status":`+status+`}`)
		return err
	}
	for _, phase := range []string{"Failed", "Succeeded"} {
		if err := say(`{"phase":"` + phase + `"}`); err != nil {
			t.Fatalf("saying that the pod has %s: %v", phase, err)
		}
		comesAndGoes(t, e, podOf("life-finished", "after-"+strings.ToLower(phase), "life-finished"), "life-finished")
		e.Ping(t, a)
	}
	t.Run("nobody but its node says that a container has ended", func(t *testing.T) {
		for name, status := range map[string]string{
			"terminated":     `{"phase":"Failed","containerStatuses":[{"name":"main","image":"busybox","imageID":"","ready":false,"restartCount":0,"state":{"terminated":{"exitCode":1}}}]}`,
			"not mentioned":  `{"phase":"Succeeded","containerStatuses":[]}`,
			"waiting, again": `{"phase":"Failed","containerStatuses":[{"name":"main","image":"busybox","imageID":"","ready":false,"restartCount":0,"state":{"waiting":{}}}]}`,
		} {
			if err := say(status); err == nil || !strings.Contains(err.Error(), "container main was running") {
				t.Errorf("%s: it is answered with %v", name, err)
			}
		}
	})
	e.AwaitPod(t, pod, func(now *corev1.Pod) error { // its kubelet says it again
		if now.Status.Phase != corev1.PodRunning {
			return fmt.Errorf("the phase is %s", now.Status.Phase)
		}
		return behaviours.Ready(now)
	})
	if now, restarts := container(pod); now != id || restarts > 0 {
		t.Errorf("container %s has become %s, restarted %d times", id, now, restarts)
	}
	e.Ping(t, a)
	watched.UpToDate(t, e, func() {})
}
