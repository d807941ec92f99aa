package check_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator/check"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/cluster"
	"spidernet.io/spiderpool/e2e/install"
)

// start gives an API server that knows the product's kinds and has nobody who keeps them
// consistent.
func start(t *testing.T) client.WithWatch {
	t.Helper()
	plane, err := cluster.StartControlPlane(t.Context(), cluster.ControlPlaneOptions{ControllerManager: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := install.Definitions(t.Context(), plane.Config); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, crdv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.NewWithWatch(plane.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func create(t *testing.T, c client.Client, name, address string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Annotations: map[string]string{
			crdv1.AnnotationAssignedPrefix + "eth0": fmt.Sprintf(`{"interface":"eth0","ipv4pool":"blue","ipv4":"%s/24"}`, address),
		}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "busybox"}}},
	}
	if err := c.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// TestCheckerOnARealAPIServer has every reading path of the checker meet a fault that it must see.
func TestCheckerOnARealAPIServer(t *testing.T) {
	t.Parallel()
	c := start(t)
	watch, err := check.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	pool := &crdv1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: "blue"},
		Spec:       crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", IPs: []string{"10.0.0.1-10.0.0.9"}},
	}
	if err := c.Create(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	pool.Status = crdv1.IPPoolStatus{
		Settled: []string{"10.0.0.1-2"}, AllocatedIPCount: new(int64(2)), TotalIPCount: new(int64(9)),
		Conditions: []metav1.Condition{{
			Type: crdv1.ConditionReady, Status: metav1.ConditionTrue, Reason: crdv1.ReasonInitialised, LastTransitionTime: metav1.Now(),
		}},
	}
	if err := c.Status().Update(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	create(t, c, "one", "10.0.0.1")

	// What may pass is waited for: the second pod comes a moment later.
	go func() {
		stale, err := check.Check(t.Context(), c)
		if err != nil || len(stale) != 1 || stale[0].Rule != check.RuleLeak {
			t.Errorf("found %v (%v), want one leak", stale, err)
		}
		create(t, c, "two", "10.0.0.2")
	}()
	settled(t, c, 30*time.Second, nil)

	thief := create(t, c, "thief", "10.0.0.1")
	settled(t, c, 30*time.Second, []check.Rule{check.RuleDouble})
	if err := c.Delete(t.Context(), thief, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	settled(t, c, 30*time.Second, nil)
	create(t, c, "late", "10.0.0.2")

	found, err := watch.Stop(t.Context())
	if err != nil || len(found) != 2 {
		t.Errorf("the watch found %v (%v), want both doubles", found, err)
	}
}

// TestOwnersAreReadWhateverTheirKind has a record retain addresses for an owner that is there, for
// one that is gone and for one of a kind that nobody serves.
func TestOwnersAreReadWhateverTheirKind(t *testing.T) {
	t.Parallel()
	c := start(t)
	labels := map[string]string{"app": "db"}
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db"},
		Spec: appsv1.StatefulSetSpec{
			Replicas: new(int32(2)), Ordinals: &appsv1.StatefulSetOrdinals{Start: 3}, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "busybox"}}},
			},
		},
	}
	if err := c.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	pool := &crdv1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: "blue"},
		Spec:       crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", IPs: []string{"10.0.0.1-10.0.0.9"}},
	}
	if err := c.Create(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	pool.Status = crdv1.IPPoolStatus{
		Retained: []string{
			"default/StatefulSet.apps/db -: -4=10.0.0.1 -5=10.0.0.2",
			"default/StatefulSet.apps/gone -: -0=10.0.0.3",
			"default/Game.games.example.com/x -: -0=10.0.0.4",
		},
		AllocatedIPCount: new(int64(4)), TotalIPCount: new(int64(9)),
	}
	if err := c.Status().Update(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	found, err := check.Check(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	want := `I3: pool "blue": 10.0.0.2 is retained for pod default/db-5, and StatefulSet db has ordinals from 3 to 4 only (may pass)
I3: pool "blue": 10.0.0.3 is retained for pod default/gone-0, and StatefulSet gone does not exist (may pass)
I3: pool "blue": 10.0.0.4 is retained for pod default/x-0, and Game x does not exist (may pass)`
	if got := check.Format(found); got != want {
		t.Errorf("found:\n%s\nwant:\n%s", got, want)
	}
}

func settled(t *testing.T, c client.Client, within time.Duration, want []check.Rule) {
	t.Helper()
	found, err := check.Settled(t.Context(), c, within)
	if err != nil {
		t.Fatal(err)
	}
	ok := len(found) == len(want)
	for i := range want {
		ok = ok && found[i].Rule == want[i]
	}
	if !ok {
		t.Fatalf("found:\n%s\nwant %v", check.Format(found), want)
	}
}
