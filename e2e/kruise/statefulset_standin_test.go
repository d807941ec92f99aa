package kruise_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/e2e/kruise"
)

// stateful is a StatefulSet as a user of OpenKruise writes it.
func stateful(spec map[string]any) *unstructured.Unstructured {
	set := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": "default", "name": "db"},
		"spec": map[string]any{
			"selector": map[string]any{"matchLabels": map[string]any{"app": "db"}},
			"template": map[string]any{
				"metadata": map[string]any{"labels": map[string]any{"app": "db"}},
				"spec":     map[string]any{"containers": []any{map[string]any{"name": "main", "image": "busybox"}}},
			},
			"updateStrategy": map[string]any{"type": "RollingUpdate"},
		},
	}}
	set.SetGroupVersionKind(schema.GroupVersionKind{Group: "apps.kruise.io", Version: "v1beta1", Kind: "StatefulSet"})
	for key, value := range spec {
		set.Object["spec"].(map[string]any)[key] = value
	}
	return set
}

// named expects pods of exactly these names, none of them being deleted.
func named(names ...string) func([]corev1.Pod) error {
	return func(pods []corev1.Pod) error {
		var got []string
		for _, p := range pods {
			if p.DeletionTimestamp != nil {
				return fmt.Errorf("pod %s is still there", p.Name)
			}
			got = append(got, p.Name)
		}
		if slices.Sort(got); !slices.Equal(got, names) {
			return fmt.Errorf("pods are %q, want %q", got, names)
		}
		return nil
	}
}

// patch changes a set's spec.
func (e env) patch(t *testing.T, set *unstructured.Unstructured, change func(spec map[string]any)) {
	t.Helper()
	before := set.DeepCopy()
	change(set.Object["spec"].(map[string]any))
	if err := e.Patch(t.Context(), set, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// run makes a pod Ready, as a kubelet would.
func (e env) run(t *testing.T, name string) {
	t.Helper()
	var pod corev1.Pod
	if err := e.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name}, &pod); err != nil {
		t.Fatal(err)
	}
	before := pod.DeepCopy()
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
	if err := e.Status().Patch(t.Context(), &pod, client.StrategicMergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

func TestAStatefulSetRecreatesItsPodsUnderTheirNames(t *testing.T) {
	t.Parallel()
	e := start(t)
	set := stateful(map[string]any{"replicas": int64(3), "podManagementPolicy": "Parallel", "reserveOrdinals": []any{int64(1)}})
	if err := e.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	pods := e.await(t, named("db-0", "db-2", "db-3"))

	if err := e.Delete(t.Context(), &pods[1]); err != nil {
		t.Fatal(err)
	}
	pods = e.await(t, func(now []corev1.Pod) error {
		if slices.ContainsFunc(now, func(p corev1.Pod) bool { return p.UID == pods[1].UID }) {
			return fmt.Errorf("pod %s is still there", pods[1].Name)
		}
		return named("db-0", "db-2", "db-3")(now)
	})

	failed := pods[0]
	failed.Status.Phase = corev1.PodFailed
	if err := e.Status().Patch(t.Context(), &failed, client.MergeFrom(failedBefore(failed))); err != nil {
		t.Fatal(err)
	}
	e.await(t, func(now []corev1.Pod) error {
		if slices.ContainsFunc(now, func(p corev1.Pod) bool { return p.UID == failed.UID }) {
			return fmt.Errorf("pod %s is still there", failed.Name)
		}
		return named("db-0", "db-2", "db-3")(now)
	})

	e.patch(t, set, func(spec map[string]any) { spec["reserveOrdinals"] = []any{"0-2"} })
	e.await(t, named("db-3", "db-4", "db-5"))
	e.scale(t, set, 1)
	e.await(t, named("db-3"))
	e.scale(t, set, 0)
	e.await(t, named())
}

func TestTheFirstOrdinalDependsOnTheFeatureGate(t *testing.T) {
	t.Parallel()
	e := startPlane(t)
	set := stateful(map[string]any{
		"replicas": int64(2), "podManagementPolicy": "Parallel", "ordinals": map[string]any{"start": int64(4)}, "reserveOrdinals": []any{int64(5)},
	})
	stop := e.standin(t, kruise.Gates{})
	if err := e.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	e.await(t, named("db-0", "db-1"))
	stop()
	stop = e.standin(t, kruise.Gates{StartOrdinal: true})
	e.await(t, named("db-4", "db-6"))
	e.patch(t, set, func(spec map[string]any) { spec["ordinals"] = map[string]any{"start": int64(6)} })
	e.await(t, named("db-6", "db-7"))
	stop()
	e.standin(t, kruise.Gates{})
	e.await(t, named("db-0", "db-1"))
}

func TestOrderedStatefulSetGoesOnWhenAPodIsReady(t *testing.T) {
	t.Parallel()
	e := start(t)
	set := stateful(map[string]any{"replicas": int64(2)})
	if err := e.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	e.await(t, named("db-0"))
	e.run(t, "db-0")
	pods := e.await(t, named("db-0", "db-1"))
	for _, c := range pods[0].Status.Conditions {
		if c.Type == kruise.GateInPlaceUpdate {
			t.Errorf("pod db-0 has the condition %s, which its template does not ask for", c.Type)
		}
	}
	e.run(t, "db-1")
	e.scale(t, set, 1)
	e.await(t, named("db-0"))
}

func TestStatefulSetAdoptsThePodsThatItsPredecessorLeft(t *testing.T) {
	t.Parallel()
	e := start(t)
	spec := map[string]any{"replicas": int64(2), "podManagementPolicy": "Parallel"}
	set := stateful(spec)
	if err := e.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	before := e.await(t, named("db-0", "db-1"))
	e.abandon(t, set)
	e.await(t, func(pods []corev1.Pod) error {
		for i := range pods {
			if metav1.GetControllerOf(&pods[i]) != nil {
				return fmt.Errorf("pod %s still has a controller", pods[i].Name)
			}
		}
		return named("db-0", "db-1")(pods)
	})

	again := stateful(spec)
	if err := e.Create(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	after := e.await(t, func(pods []corev1.Pod) error {
		for i := range pods {
			if !metav1.IsControlledBy(&pods[i], again) {
				return fmt.Errorf("pod %s was not adopted", pods[i].Name)
			}
		}
		return named("db-0", "db-1")(pods)
	})
	for i := range before {
		if diff := cmp.Diff(before[i].UID, after[i].UID); diff != "" {
			t.Errorf("pod %s was made again (-want +got):\n%s", before[i].Name, diff)
		}
	}

	stray := after[0].DeepCopy()
	delete(stray.Labels, "app")
	if err := e.Patch(t.Context(), stray, client.MergeFrom(&after[0])); err != nil {
		t.Fatal(err)
	}
	e.await(t, func(pods []corev1.Pod) error {
		if metav1.GetControllerOf(&pods[0]) != nil {
			return fmt.Errorf("pod %s is not let go", pods[0].Name)
		}
		return nil
	})
}

// abandon deletes a set without its pods, and waits until it is gone.
func (e env) abandon(t *testing.T, set *unstructured.Unstructured) {
	t.Helper()
	if err := e.Delete(t.Context(), set, client.PropagationPolicy(metav1.DeletePropagationOrphan)); err != nil {
		t.Fatal(err)
	}
	// The garbage collector discovers new kinds twice a minute.
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 90*time.Second, true, func(ctx context.Context) (bool, error) {
		err := e.Get(ctx, client.ObjectKeyFromObject(set), set.DeepCopy())
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDatabaseHasAStatefulSetOfItsSize(t *testing.T) {
	t.Parallel()
	e := start(t)
	db := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": "default", "name": "users"},
		"spec": map[string]any{
			"replicas": int64(2),
			"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "main", "image": "busybox"}}}},
		},
	}}
	db.SetGroupVersionKind(kruise.DatabaseGroupVersion.WithKind("Database"))
	if err := e.Create(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	pods := e.await(t, named("users-0", "users-1"))
	var set appsv1.StatefulSet
	if err := e.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "users"}, &set); err != nil {
		t.Fatal(err)
	}
	if !metav1.IsControlledBy(&set, db) || !metav1.IsControlledBy(&pods[0], &set) {
		t.Errorf("owners of set and pod are %v and %v", set.OwnerReferences, pods[0].OwnerReferences)
	}
	e.patch(t, db, func(spec map[string]any) { spec["replicas"] = int64(1) })
	e.await(t, named("users-0"))
}
