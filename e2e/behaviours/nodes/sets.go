package nodes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
	"spidernet.io/spiderpool/e2e/install"
)

// set is a workload whose pods are named <its name>-<ordinal> and have a label app with its name.
// What is a Database makes its pods by a StatefulSet of the same name.
type set struct {
	e        *behaviours.Env
	manifest *unstructured.Unstructured
}

// setOf finds a set among the objects of a manifest.
func setOf(t *testing.T, e *behaviours.Env, manifest []byte, name string) *set {
	t.Helper()
	objects, err := install.Objects(manifest)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetName() == name })
	if i < 0 {
		t.Fatalf("no %q among the %d objects of the manifest", name, len(objects))
	}
	return &set{e, objects[i]}
}

// objects are the set and what it makes its pods by, where that is another: the last one makes the
// pods.
func (s *set) objects() []*unstructured.Unstructured {
	all := []*unstructured.Unstructured{s.ref(s.manifest.GetAPIVersion(), s.manifest.GetKind())}
	if s.manifest.GetKind() == "Database" {
		all = append(all, s.ref("apps/v1", "StatefulSet"))
	}
	return all
}

func (s *set) ref(apiVersion, kind string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	o.SetNamespace(s.manifest.GetNamespace())
	o.SetName(s.manifest.GetName())
	return o
}

// pods lists the pods of the set, by name.
func (s *set) pods(ctx context.Context) ([]corev1.Pod, error) {
	all, err := s.e.Pods(ctx, s.manifest.GetNamespace())
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(p corev1.Pod) bool { return p.Labels["app"] != s.manifest.GetName() })
	return all, nil // lists are sorted
}

// await waits until the set has the pods of these ordinals, Ready, and no other, and returns them.
func (s *set) await(t *testing.T, ordinals ...int) []corev1.Pod {
	t.Helper()
	var want []string
	for _, n := range ordinals {
		want = append(want, fmt.Sprintf("%s-%d", s.manifest.GetName(), n))
	}
	var pods []corev1.Pod
	behaviours.Eventually(t, 2*behaviours.Patience, func(ctx context.Context) (err error) {
		if pods, err = s.pods(ctx); err != nil {
			return err
		}
		var got []string
		var errs []error
		for i := range pods {
			got = append(got, pods[i].Name)
			if pods[i].DeletionTimestamp != nil {
				errs = append(errs, fmt.Errorf("pod %s is being deleted", pods[i].Name))
			}
			errs = append(errs, behaviours.Ready(&pods[i]))
		}
		if !slices.Equal(got, want) {
			errs = append(errs, fmt.Errorf("pods are %q, want %q", got, want))
		}
		return errors.Join(errs...)
	})
	return pods
}

// recreate has a pod of the set made again.
func (s *set) recreate(t *testing.T, name string) {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.manifest.GetNamespace(), Name: name}}
	s.e.Pod(t, pod)
	s.e.Kubectl(t, "delete", "pod", "-n", pod.Namespace, pod.Name, "--wait=false")
	s.e.AwaitGone(t, pod)
}

// move has a pod of the set made again on another node.
func (s *set) move(t *testing.T, name, node string) {
	t.Helper()
	objects := s.objects()
	s.patchObject(t, objects[len(objects)-1], fmt.Sprintf(`{"spec":{"template":{"spec":{"nodeSelector":{%q:%q}}}}}`, corev1.LabelHostname, node))
	s.recreate(t, name)
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error {
		pods, err := s.pods(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Name == name })
		if i < 0 || pods[i].Spec.NodeName != node {
			return fmt.Errorf("pod %s is not on node %s yet", name, node)
		}
		return nil
	})
}

// scale changes how many pods the set has.
func (s *set) scale(t *testing.T, replicas int) {
	t.Helper()
	s.patch(t, fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas))
}

// patch changes the set.
func (s *set) patch(t *testing.T, patch string) {
	t.Helper()
	s.patchObject(t, s.objects()[0], patch)
}

func (s *set) patchObject(t *testing.T, o *unstructured.Unstructured, patch string) {
	t.Helper()
	if err := s.e.Client.Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatalf("patching %s %q with %s: %v", o.GetKind(), o.GetName(), patch, err)
	}
}

// remove deletes the set, and returns once it is gone.
func (s *set) remove(t *testing.T, policy metav1.DeletionPropagation) {
	t.Helper()
	for _, o := range s.objects() {
		err := s.e.Client.Delete(t.Context(), o, client.PropagationPolicy(policy))
		if client.IgnoreNotFound(err) != nil {
			t.Fatalf("deleting %s %q: %v", o.GetKind(), o.GetName(), err)
		}
		behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error {
			err := s.e.Client.Get(ctx, client.ObjectKeyFromObject(o), o.DeepCopy())
			if apierrors.IsNotFound(err) {
				return nil
			}
			return errors.Join(err, fmt.Errorf("%s %q is still there", o.GetKind(), o.GetName()))
		})
	}
}

// orphan deletes the set and leaves its pods to nobody.
func (s *set) orphan(t *testing.T) {
	t.Helper()
	s.remove(t, metav1.DeletePropagationOrphan)
	pods, err := s.pods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range pods {
		if owner := metav1.GetControllerOf(&pods[i]); owner != nil || pods[i].DeletionTimestamp != nil {
			t.Errorf("pod %s is controlled by %v, deleted at %v, want it left to nobody", pods[i].Name, owner, pods[i].DeletionTimestamp)
		}
	}
}

// make creates the set as the manifest says.
func (s *set) make(t *testing.T) {
	t.Helper()
	o := s.manifest.DeepCopy()
	if err := s.e.Client.Create(t.Context(), o); err != nil {
		t.Fatalf("creating %s %q: %v", o.GetKind(), o.GetName(), err)
	}
}

// awaitLeaving waits until a pod was told to end.
func (s *set) awaitLeaving(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error {
		var now corev1.Pod
		err := s.e.Client.Get(ctx, client.ObjectKeyFromObject(pod), &now)
		if err == nil && now.UID == pod.UID && now.DeletionTimestamp == nil {
			return fmt.Errorf("pod %s is not being deleted", pod.Name)
		}
		return client.IgnoreNotFound(err)
	})
}

// freedWithin is how long after its pod an address may be kept for nothing: the grace, and what it
// takes to notice.
const freedWithin = behaviours.Grace + 15*time.Second

// awaitFreed waits until the addresses of a pod that will not come back are free, which they may
// not be sooner than the grace after a time.
func (s *set) awaitFreed(t *testing.T, after time.Time, pod corev1.Pod) {
	t.Helper()
	s.e.AwaitGone(t, &pod)
	for pool, a := range claimed(t, &pod) {
		behaviours.Eventually(t, freedWithin, func(ctx context.Context) error {
			var p crdv1.SpiderIPPool
			if err := s.e.Client.Get(ctx, client.ObjectKey{Name: pool}, &p); err != nil {
				return err
			}
			record, err := behaviours.RecordOf(&p)
			if err != nil {
				return err
			}
			if v, ok := record.RetainedAt(a); ok && v.Identity.Pod == pod.Name {
				return fmt.Errorf("pool %q: %s is still kept for pod %s: %s", pool, a, pod.Name, use(record, a))
			}
			return nil
		})
		lasted := time.Since(after)
		t.Logf("%s of pod %s was free %s after it was not needed any more", a, pod.Name, lasted.Round(100*time.Millisecond))
		if lasted < behaviours.Grace {
			t.Errorf("%s of pod %s was free after %s, want it kept for at least %s", a, pod.Name, lasted, behaviours.Grace)
		}
	}
}

// same compares the addresses of pods with those that they had, and those that they run with.
func same(t *testing.T, when string, before, after []corev1.Pod) {
	t.Helper()
	if len(before) != len(after) {
		t.Fatalf("%s: %d pods, want %d", when, len(after), len(before))
	}
	for i := range before {
		had, has := addressesOf(t, &before[i]), addressesOf(t, &after[i])
		if diff := cmp.Diff(had, has); diff != "" || len(had) != 2 {
			t.Errorf("%s: pod %s, which is to have an address of each family (-want +got):\n%s", when, after[i].Name, diff)
		}
	}
}

// addressesOf returns what a pod that runs carries and has.
func addressesOf(t *testing.T, pod *corev1.Pod) map[string]string { // pool -> address
	t.Helper()
	all := map[string]string{}
	for pool, a := range claimed(t, pod) {
		all[pool] = a.String()
		if !slices.Contains(pod.Status.PodIPs, corev1.PodIP{IP: a.String()}) {
			t.Errorf("pod %s carries %s and runs with %v", pod.Name, a, pod.Status.PodIPs)
		}
	}
	return all
}

// otherNode returns a node of the cluster that is not the one named.
func otherNode(t *testing.T, e *behaviours.Env, name string) string {
	t.Helper()
	for _, n := range e.Cluster.Nodes {
		if n.Name != name {
			return n.Name
		}
	}
	t.Fatalf("there is no node beside %q", name)
	return ""
}
