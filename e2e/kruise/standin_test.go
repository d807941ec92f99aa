package kruise_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/e2e/cluster"
	"spidernet.io/spiderpool/e2e/kruise"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard()) // controller-runtime complains if it is not set
	os.Exit(m.Run())
}

// seed is a CloneSet as a user of OpenKruise writes it, in the old version.
func seed(replicas int64) *unstructured.Unstructured {
	set := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": "default", "name": "web"},
		"spec": map[string]any{
			"replicas": replicas,
			"selector": map[string]any{"matchLabels": map[string]any{"app": "web"}},
			"template": map[string]any{
				"metadata": map[string]any{"labels": map[string]any{"app": "web"}},
				"spec": map[string]any{
					"terminationGracePeriodSeconds": int64(0),
					"containers":                    []any{map[string]any{"name": "main", "image": "busybox"}},
				},
			},
			"updateStrategy": map[string]any{"type": "InPlaceIfPossible"},
		},
	}}
	set.SetGroupVersionKind(schema.GroupVersionKind{Group: "apps.kruise.io", Version: "v1alpha1", Kind: "CloneSet"})
	return set
}

type env struct {
	client.Client
	cfg *rest.Config
}

func start(t *testing.T) env {
	t.Helper()
	e := startPlane(t)
	e.standin(t, kruise.Gates{})
	return e
}

// startPlane starts an API server without a stand-in.
func startPlane(t *testing.T) env {
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
	c, err := client.New(plane.Config, client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	return env{c, plane.Config}
}

// standin runs a stand-in until the test ends or it is stopped; stop may be called twice.
func (e env) standin(t *testing.T, gates kruise.Gates) (stop func()) {
	t.Helper()
	standin, err := kruise.Start(context.WithoutCancel(t.Context()), e.cfg, kruise.Options{Gates: gates, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		if err := standin.Stop(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// await waits until the active pods are as wanted, and returns them.
func (e env) await(t *testing.T, wanted func([]corev1.Pod) error) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		var list corev1.PodList
		if err := e.List(ctx, &list, client.InNamespace("default")); err != nil {
			return false, err
		}
		pods = slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.Status.Phase == corev1.PodFailed })
		last = wanted(pods)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%v: %v", err, last)
	}
	return pods
}

// gated expects n pods with both gates set.
func gated(n int) func([]corev1.Pod) error {
	return func(pods []corev1.Pod) error {
		if len(pods) != n {
			return fmt.Errorf("%d pods, want %d", len(pods), n)
		}
		for _, p := range pods {
			open := map[corev1.PodConditionType]bool{} // condition -> True
			for _, c := range p.Status.Conditions {
				open[c.Type] = c.Status == corev1.ConditionTrue
			}
			if !open[kruise.GateInPlaceUpdate] || !open[kruise.GatePodReady] {
				return fmt.Errorf("pod %s has conditions %+v", p.Name, p.Status.Conditions)
			}
		}
		return nil
	}
}

func TestACloneSetReplacesItsPods(t *testing.T) {
	t.Parallel()
	e := start(t)
	set := seed(3)
	if err := e.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	pods := e.await(t, gated(3))

	if err := e.Delete(t.Context(), &pods[0]); err != nil {
		t.Fatal(err)
	}
	e.await(t, func(now []corev1.Pod) error {
		if slices.ContainsFunc(now, func(p corev1.Pod) bool { return p.UID == pods[0].UID }) {
			return fmt.Errorf("pod %s is still there", pods[0].Name)
		}
		return gated(3)(now)
	})

	pods[1].Status.Phase = corev1.PodFailed
	if err := e.Status().Patch(t.Context(), &pods[1], client.MergeFrom(failedBefore(pods[1]))); err != nil {
		t.Fatal(err)
	}
	e.await(t, gated(3)) // failed ones do not count
	e.scale(t, set, 5)
	e.await(t, gated(5))
	e.scale(t, set, 1)
	e.await(t, gated(1))
	e.reported(t, 1)
}

func failedBefore(p corev1.Pod) *corev1.Pod {
	p.Status.Phase = corev1.PodPending
	return &p
}

// scale uses the scale subresource, as an autoscaler does.
func (e env) scale(t *testing.T, set *unstructured.Unstructured, replicas int32) {
	t.Helper()
	scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	if err := e.SubResource("scale").Update(t.Context(), set, client.WithSubResourceBody(scale)); err != nil {
		t.Fatal(err)
	}
}

// reported waits until the scale subresource reports n replicas.
func (e env) reported(t *testing.T, n int64) {
	t.Helper()
	scale := &unstructured.Unstructured{}
	scale.SetGroupVersionKind(autoscalingv1.SchemeGroupVersion.WithKind("Scale"))
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		err := e.SubResource("scale").Get(ctx, seed(0), scale)
		replicas, _, _ := unstructured.NestedInt64(scale.Object, "status", "replicas")
		selector, _, _ := unstructured.NestedString(scale.Object, "status", "selector")
		return replicas == n && selector == "app=web", err
	})
	if err != nil {
		t.Fatalf("%v: scale is %v", err, scale.Object)
	}
}
