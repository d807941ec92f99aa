package nodes

import (
	"context"
	_ "embed" // the manifest
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/e2e/behaviours"
	"spidernet.io/spiderpool/e2e/cluster"
)

//go:embed life-delete.yaml
var lifeDeleteManifest []byte

// LifeDelete proves: every address of a deleted Deployment, StatefulSet, DaemonSet, Job and
// namespace comes back, and how long after its pod's end; that of a pod deleted by force comes back
// after the hold, and where the node is cut off not before it is back; that of a pod that its node
// cannot take down for want of the plugin stays taken until it can, the pod Terminating meanwhile.
var LifeDelete = behaviours.Behaviour{ID: "life-delete", Manifest: lifeDeleteManifest, Test: lifeDelete}

func lifeDelete(t *testing.T, e *behaviours.Env) {
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "life-delete", Name: name} }
	atOnce(t, e,
		part{"by force on a healthy node and on one that is cut off", byForce},
		part{"statefulset", deletes("statefulset", 2, &appsv1.StatefulSet{ObjectMeta: named("statefulset")})},
		part{"without the plugin", withoutPlugin},
		part{"namespace", deletes("namespace", 3, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "life-delete-doomed"}})},
		part{"deployment", deletes("deployment", 3, &appsv1.Deployment{ObjectMeta: named("deployment")})},
		part{"daemonset", deletes("daemonset", 2, &appsv1.DaemonSet{ObjectMeta: named("daemonset")})},
		part{"job", deletes("job", 2, &batchv1.Job{ObjectMeta: named("job")})},
	)
}

// deletes returns a part that deletes what makes pods, and waits for all addresses of its pool to
// be free.
func deletes(app string, n int, maker client.Object) func(*testing.T, *behaviours.Env) {
	pool, namespace := "life-delete-"+app, maker.GetNamespace()
	if namespace == "" {
		namespace = maker.GetName() // it is one
	}
	return func(t *testing.T, e *behaviours.Env) {
		pods := awaitApp(t, e, namespace, app, n)
		for i := range pods {
			reachable(t, e, &pods[i])
		}
		watch := watchReleases(t, e, pool, pods)
		if err := e.Client.Delete(t.Context(), maker, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
			t.Fatal(err)
		}
		e.AwaitRecord(t, pool, func(r *allocator.Record) error {
			if r.Count() > 0 {
				return fmt.Errorf("%d addresses are taken", r.Count())
			}
			return nil
		})
		watch.print(t)
	}
}

// awaitApp waits until an application has so many pods, all Ready.
func awaitApp(t *testing.T, e *behaviours.Env, namespace, app string, n int) []corev1.Pod {
	t.Helper()
	var list corev1.PodList
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error {
		if err := e.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{"app": app}); err != nil {
			return err
		}
		if len(list.Items) != n {
			return fmt.Errorf("%s has %d pods, want %d", app, len(list.Items), n)
		}
		for i := range list.Items {
			if err := behaviours.Ready(&list.Items[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return list.Items
}

// byForce deletes one pod on a healthy node and one on a node that is cut off in the same moment:
// when the first one's hold is over, so would be the other's by the time that has passed.
func byForce(t *testing.T, e *behaviours.Env) {
	spare := e.Borrow(t)
	near := podOf("life-delete", "near", "life-delete-force")
	far := behaviours.Pinned(podOf("life-delete", "far", "life-delete-cut-off"), spare.Name)
	nearby, farOff := runs(t, e, near), runs(t, e, far)
	lives, _ := container(far)

	if err := spare.CutCable(); err != nil {
		t.Fatal(err)
	}
	e.DeleteByForce(t, far)
	e.DeleteByForce(t, near)
	farHold := awaitHeld(t, e, "life-delete-cut-off", far)
	nearHold := awaitHeld(t, e, "life-delete-force", near)
	awaitProven(t, e, "life-delete-force", nearby, nearHold, nearHold.Since)
	standsAs(t, e, "life-delete-cut-off", farOff, allocator.StateHeld)
	e.AwaitNode(t, spare.Name, behaviours.Patience, behaviours.NodeLost)
	if tasks, err := spare.Ctr(t.Context(), "tasks", "list"); err != nil || !runsTask(tasks, lives) {
		t.Errorf("the pod that was deleted does not run on its node: %v\n%s", err, tasks)
	}
	standsAs(t, e, "life-delete-cut-off", farOff, allocator.StateHeld)

	back := time.Now()
	if err := spare.MendCable(); err != nil {
		t.Fatal(err)
	}
	awaitProven(t, e, "life-delete-cut-off", farOff, farHold, back)
	if tasks, err := spare.Ctr(t.Context(), "tasks", "list"); err != nil || runsTask(tasks, lives) {
		t.Errorf("the pod that was deleted still runs on its node: %v\n%s", err, tasks)
	}
}

// runsTask reports whether a container is among the tasks that containerd lists as running.
func runsTask(tasks, container string) bool {
	id := strings.TrimPrefix(container, "containerd://")
	for line := range strings.Lines(tasks) {
		if strings.HasPrefix(line, id) && strings.Contains(line, "RUNNING") {
			return true
		}
	}
	return false
}

// withoutPlugin takes the plugin from a node where one pod is deleted then and one ends by itself.
// Their sandboxes cannot be taken down, and go on answering.
func withoutPlugin(t *testing.T, e *behaviours.Env) {
	const pool = "life-delete-no-plugin"
	spare := e.Borrow(t)
	stuck := behaviours.Pinned(podOf("life-delete", "stuck", pool), spare.Name)
	done := behaviours.Pinned(podOf("life-delete", "done", pool), spare.Name)
	done.Spec.RestartPolicy = corev1.RestartPolicyNever
	done.Spec.Containers[0].Command = untilTold(0)
	first, second := runs(t, e, stuck), runs(t, e, done)

	giveBack := takePlugin(t, spare)
	remove(t, e, stuck)
	tell(t, e, done)
	// The kubelet says so once it has tried to take the sandbox down.
	if message := e.AwaitEvent(t, stuck, corev1.EventTypeWarning, "FailedKillPod"); !strings.Contains(message, "spiderpool") {
		t.Errorf("the kubelet complains: %s", message)
	}
	e.AwaitPod(t, done, func(now *corev1.Pod) error {
		if s := now.Status.ContainerStatuses[0]; s.State.Terminated == nil {
			return fmt.Errorf("its container has state %+v", s.State)
		}
		return nil
	})
	comesAndGoes(t, e, podOf("life-delete", "passing-by", pool), pool)
	for pod, a := range map[*corev1.Pod]netip.Addr{stuck: first, done: second} {
		standsAs(t, e, pool, a, allocator.StateSettled)
		e.Ping(t, a)
		e.Pod(t, pod) // it is still there
	}
	if stuck.DeletionTimestamp == nil || done.Status.Phase == corev1.PodSucceeded {
		t.Errorf("the pod that was deleted is to be deleted at %v, the one that ended is %s", stuck.DeletionTimestamp, done.Status.Phase)
	}

	giveBack()
	e.AwaitGone(t, stuck)
	awaitFree(t, e, pool, first)
	awaitFree(t, e, pool, second)
	if e.Pod(t, done); done.Status.Phase != corev1.PodSucceeded {
		t.Errorf("the pod that ended is %s", done.Status.Phase)
	}
	remove(t, e, done)
}

// takePlugin takes the plugin from a node, until what it returns is called.
func takePlugin(t *testing.T, node *cluster.Node) (giveBack func()) {
	t.Helper()
	plugin := filepath.Join(node.CNIBinDir(), "spiderpool")
	away := plugin + ".away"
	if err := os.Rename(plugin, away); err != nil {
		t.Fatal(err)
	}
	giveBack = sync.OnceFunc(func() {
		if err := os.Rename(away, plugin); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(giveBack)
	return giveBack
}
