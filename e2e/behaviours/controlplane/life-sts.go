package controlplane

import (
	"context"
	_ "embed" // the manifest
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
	"spidernet.io/spiderpool/e2e/kruise"
)

//go:embed life-sts.yaml
var lifeStsManifest []byte

// LifeSts proves, as far as it needs no node: the next pod of a name has the addresses of the one
// before, of both families, for StatefulSets, OpenKruise's StatefulSets and those that another kind
// makes: recreated, scaled down and up at once, numbered from elsewhere or not although they say
// so, with ordinals left out, left behind by their owner and adopted. What no pod comes back for is
// free after the grace.
var LifeSts = behaviours.Behaviour{ID: "life-sts", Manifest: lifeStsManifest, Test: lifeSts}

// home is where sets live, and the pools of both families that their pods name.
type home struct{ namespace, four, six string }

var lifeStsHome = home{"life-sts", "life-sts-four", "life-sts-six"}

var (
	builtInSet = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "StatefulSet"}
	kruiseSet  = kruise.GroupVersion.WithKind("StatefulSet")
	database   = kruise.DatabaseGroupVersion.WithKind("Database")
)

func lifeSts(t *testing.T, e *behaviours.Env) {
	var all []*stateful
	for name, kind := range map[string]schema.GroupVersionKind{"builtin": builtInSet, "kruise": kruiseSet, "operator": database} {
		run := func(what string, begin func(*stateful)) {
			s := &stateful{e: e, home: lifeStsHome, kind: kind, name: name + "-" + what}
			all = append(all, s)
			t.Run(s.name, func(t *testing.T) { s.t = t; begin(s) })
		}
		run("recreated", (*stateful).recreated)
		run("scaled", (*stateful).scaled)
		run("deleted", (*stateful).deleted)
		if kind != database { // its StatefulSet is one like others
			run("orphaned", (*stateful).orphaned)
		}
		switch kind {
		case builtInSet:
			run("numbered", (*stateful).numbered)
		case kruiseSet: // its start is honoured in other-choices
			run("ignoring", (*stateful).startIgnored)
			run("reserving", (*stateful).reserving)
		}
	}
	for _, s := range all {
		if s.t.Failed() {
			continue // it may have got nowhere, and has said why
		}
		t.Run(s.name+" after the grace", func(t *testing.T) { s.t = t; s.later() })
	}
}

// stateful is an owner of pods that keep their names.
type stateful struct {
	t *testing.T
	e *behaviours.Env
	home
	kind  schema.GroupVersionKind
	name  string
	obj   *unstructured.Unstructured // as it was last written
	later func()                     // what there is to see after a grace; all graces pass at once
}

// make makes the owner. All its pods come at once: none of them gets ready here.
func (s *stateful) make(replicas int64, more map[string]any) {
	s.t.Helper()
	pod := behaviours.NewPod("", "", behaviours.FromPools([]string{s.four}, []string{s.six}))
	labels := map[string]any{"app": s.name}
	annotations := map[string]any{}
	for key, value := range pod.Annotations {
		annotations[key] = value
	}
	spec := map[string]any{
		"replicas": replicas,
		"template": map[string]any{
			"metadata": map[string]any{"labels": labels, "annotations": annotations},
			"spec": map[string]any{
				"terminationGracePeriodSeconds": int64(1),
				"containers":                    []any{map[string]any{"name": "main", "image": "busybox"}},
			},
		},
	}
	if s.kind != database {
		spec["podManagementPolicy"] = "Parallel"
		spec["selector"] = map[string]any{"matchLabels": labels}
	}
	maps.Copy(spec, more)
	s.obj = &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": s.namespace, "name": s.name}, "spec": spec,
	}}
	s.obj.SetGroupVersionKind(s.kind)
	if err := s.e.Client.Create(s.t.Context(), s.obj); err != nil {
		s.t.Fatal(err)
	}
}

// patch changes the owner's spec.
func (s *stateful) patch(spec map[string]any) {
	s.t.Helper()
	text, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.e.Client.Patch(s.t.Context(), s.obj, client.RawPatch(types.MergePatchType, text)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stateful) remove(propagation metav1.DeletionPropagation) {
	s.t.Helper()
	if err := s.e.Client.Delete(s.t.Context(), s.obj, client.PropagationPolicy(propagation)); err != nil {
		s.t.Fatal(err)
	}
}

// pods waits until the owner's pods have exactly these numbers, each with an address of both
// families that the record says is in use, and none of them one of past, and returns them.
func (s *stateful) pods(past map[string]corev1.Pod, ordinals ...int) map[string]corev1.Pod { // name -> pod
	s.t.Helper()
	var want []string
	for _, n := range ordinals {
		want = append(want, s.pod(n))
	}
	found := map[string]corev1.Pod{}
	behaviours.Eventually(s.t, behaviours.Patience, func(ctx context.Context) error {
		var list corev1.PodList
		if err := s.e.Client.List(ctx, &list, client.InNamespace(s.namespace), client.MatchingLabels{"app": s.name}); err != nil {
			return err
		}
		clear(found)
		var unlike []error
		for _, p := range list.Items {
			found[p.Name] = p
			claims, _ := crdv1.ClaimsOf(p.Annotations)
			if len(claims) != 2 || behaviours.Gated(&p) || p.DeletionTimestamp != nil || past[p.Name].UID == p.UID {
				unlike = append(unlike, fmt.Errorf("pod %s carries %v, is gated by %q, says %+v, UID %s",
					p.Name, claims, gateNames(&p), behaviours.Condition(&p), p.UID))
			}
		}
		if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, want) {
			unlike = append(unlike, fmt.Errorf("pods are %q, want %q", got, want))
		}
		return errors.Join(unlike...)
	})
	s.inUse(found)
	return found
}

// inUse waits until the leader has seen pods with their addresses.
func (s *stateful) inUse(pods map[string]corev1.Pod) {
	s.t.Helper()
	for _, p := range pods {
		claims, _ := crdv1.ClaimsOf(p.Annotations)
		for _, c := range claims {
			s.e.AwaitRecord(s.t, c.Pool, func(r *allocator.Record) error {
				if v, ok := r.RetainedAt(c.Address); !ok || !v.InUse() || v.Identity.Pod != p.Name {
					return fmt.Errorf("%s is not in use by pod %s: %s", c.Address, p.Name, v)
				}
				return nil
			})
		}
	}
}

func (s *stateful) pod(n int) string { return fmt.Sprintf("%s-%d", s.name, n) }

// same fails where a pod of both has not the same addresses.
func (s *stateful) same(before, after map[string]corev1.Pod) {
	s.t.Helper()
	for name, p := range after {
		old, ok := before[name]
		if !ok {
			continue
		}
		was, _ := crdv1.ClaimsOf(old.Annotations)
		is, _ := crdv1.ClaimsOf(p.Annotations)
		if diff := cmp.Diff(was, is, cmpopts.EquateComparable(crdv1.Claim{})); diff != "" {
			s.t.Errorf("addresses of pod %s (-want +got):\n%s", name, diff)
		}
	}
}

// deletePods deletes pods at once.
func (s *stateful) deletePods(pods map[string]corev1.Pod) {
	s.t.Helper()
	for _, p := range pods {
		if err := s.e.Client.Delete(s.t.Context(), &p); err != nil {
			s.t.Fatal(err)
		}
	}
}

// freed waits until no address is kept any more for the pods of these numbers.
func (s *stateful) freed(ordinals ...int) {
	s.t.Helper()
	for _, pool := range []string{s.four, s.six} {
		s.e.AwaitRecord(s.t, pool, func(r *allocator.Record) error {
			for _, n := range ordinals {
				if a, ok := r.ByIdentity(s.identity(n)); ok {
					return fmt.Errorf("%s is still kept for pod %s", a, s.pod(n))
				}
			}
			return nil
		})
	}
}

// keeps fails unless the addresses of pods are kept for them.
func (s *stateful) keeps(pods map[string]corev1.Pod) {
	s.t.Helper()
	for _, p := range pods {
		claims, _ := crdv1.ClaimsOf(p.Annotations)
		for _, c := range claims {
			i := s.identity(0)
			i.Pod = p.Name
			if a, ok := s.e.Record(s.t, c.Pool).ByIdentity(i); !ok || a != c.Address {
				s.t.Errorf("pool %q keeps %s for pod %s (%v), want %s", c.Pool, a, p.Name, ok, c.Address)
			}
		}
	}
}

// identity is that of the pod of number n: the pods of an operator's kind are those of the
// StatefulSet that it makes.
func (s *stateful) identity(n int) allocator.Identity {
	kind := s.kind
	if kind == database {
		kind = builtInSet
	}
	return allocator.Identity{Namespace: s.namespace, Group: kind.Group, Kind: kind.Kind, Name: s.name, Pod: s.pod(n)}
}

func (s *stateful) recreated() {
	s.make(3, nil)
	before := s.pods(nil, 0, 1, 2)
	for range 3 {
		s.deletePods(before)
		after := s.pods(before, 0, 1, 2)
		s.same(before, after)
		before = after
	}
	s.later = func() {
		s.same(before, s.pods(nil, 0, 1, 2))
		s.remove(metav1.DeletePropagationForeground)
	}
}

func (s *stateful) scaled() {
	s.make(4, nil)
	before := s.pods(nil, 0, 1, 2, 3)
	s.patch(map[string]any{"replicas": int64(0)})
	s.pods(nil)
	s.patch(map[string]any{"replicas": int64(4)})
	after := s.pods(before, 0, 1, 2, 3)
	s.same(before, after)

	s.patch(map[string]any{"replicas": int64(1)})
	s.pods(nil, 0)
	s.later = func() {
		s.freed(1, 2, 3)
		s.same(before, s.pods(nil, 0))
		s.remove(metav1.DeletePropagationForeground)
	}
}

func (s *stateful) deleted() {
	s.make(3, nil)
	before := s.pods(nil, 0, 1, 2)
	s.remove(metav1.DeletePropagationForeground)
	s.gone()
	s.keeps(before) // an owner that is made again within the grace finds them
	s.make(2, nil)
	s.same(before, s.pods(before, 0, 1))
	s.remove(metav1.DeletePropagationForeground)
	s.later = func() { s.freed(0, 1, 2) }
}

// gone waits until the owner is no more.
func (s *stateful) gone() {
	s.t.Helper()
	// The garbage collector learns of new kinds twice a minute.
	behaviours.Eventually(s.t, 2*behaviours.Patience, func(ctx context.Context) error {
		err := s.e.Client.Get(ctx, client.ObjectKeyFromObject(s.obj), s.obj.DeepCopy())
		if err == nil {
			return fmt.Errorf("%s %s is still there", s.kind.Kind, s.name)
		}
		return client.IgnoreNotFound(err)
	})
}

func (s *stateful) numbered() {
	s.make(2, map[string]any{"ordinals": map[string]any{"start": int64(5)}})
	before := s.pods(nil, 5, 6)
	s.deletePods(before)
	after := s.pods(before, 5, 6)
	s.same(before, after)
	s.patch(map[string]any{"ordinals": map[string]any{"start": int64(6)}})
	s.same(after, s.pods(nil, 6, 7))
	s.later = func() {
		s.freed(5)
		s.remove(metav1.DeletePropagationForeground)
	}
}

// startIgnored: OpenKruise by default numbers from zero whatever ordinals.start says, and what was
// kept for those pods while there were none is theirs again.
func (s *stateful) startIgnored() {
	s.make(3, map[string]any{"ordinals": map[string]any{"start": int64(2)}})
	before := s.pods(nil, 0, 1, 2)
	s.deletePods(before)
	after := s.pods(before, 0, 1, 2)
	s.same(before, after)
	s.patch(map[string]any{"replicas": int64(0)})
	s.pods(nil)
	passed := s.grace()
	s.later = func() {
		passed()
		first := map[string]corev1.Pod{s.pod(0): after[s.pod(0)], s.pod(1): after[s.pod(1)]}
		s.keeps(first) // below the start, which another OpenKruise might honour
		s.freed(2)
		s.patch(map[string]any{"replicas": int64(2)})
		s.same(first, s.pods(after, 0, 1))
		s.remove(metav1.DeletePropagationForeground)
	}
}

// startHonoured: where a feature gate of OpenKruise has it honour ordinals.start, a pod below a
// start that was raised keeps its addresses as well.
func (s *stateful) startHonoured() {
	s.make(2, map[string]any{"ordinals": map[string]any{"start": int64(5)}})
	before := s.pods(nil, 5, 6)
	s.deletePods(before)
	after := s.pods(before, 5, 6)
	s.same(before, after)
	s.patch(map[string]any{"ordinals": map[string]any{"start": int64(6)}})
	s.same(after, s.pods(nil, 6, 7))
	s.grace()()
	s.keeps(map[string]corev1.Pod{s.pod(5): after[s.pod(5)]})
	s.patch(map[string]any{"ordinals": map[string]any{"start": int64(5)}})
	s.same(after, s.pods(nil, 5, 6))
	s.remove(metav1.DeletePropagationForeground)
	s.gone()
}

func (s *stateful) orphaned() {
	s.make(3, nil)
	before := s.pods(nil, 0, 1, 2)
	s.e.AwaitCollector(s.t, s.namespace)
	s.remove(metav1.DeletePropagationOrphan)
	s.gone()
	// The addresses of another that is gone with its pods are free after the grace: then those of
	// the orphans would be too, were they not theirs.
	passed := s.grace()
	s.later = func() {
		passed()
		s.adopted(before)
	}
}

// grace lets another owner of the kind go with its pod. The function that it returns waits until
// the addresses of that pod are free: then the grace has passed too for what was kept for nobody
// when this began.
func (s *stateful) grace() (passed func()) {
	other := &stateful{t: s.t, e: s.e, home: s.home, kind: s.kind, name: s.name + "-other"}
	other.make(1, nil)
	other.pods(nil, 0)
	other.remove(metav1.DeletePropagationForeground)
	return func() {
		other.t = s.t
		other.freed(0)
	}
}

// adopted makes the owner of orphans again.
func (s *stateful) adopted(before map[string]corev1.Pod) { // before: name -> pod
	orphans := s.pods(nil, 0, 1, 2)
	s.same(before, orphans)
	s.keeps(orphans)

	// One that ends while it has no owner comes back with it.
	ended := map[string]corev1.Pod{s.pod(1): orphans[s.pod(1)]}
	s.deletePods(ended)
	s.make(3, nil)
	after := s.pods(ended, 0, 1, 2)
	s.same(before, after)
	for _, n := range []int{0, 2} {
		if was, is := orphans[s.pod(n)].UID, after[s.pod(n)].UID; was != is {
			s.t.Errorf("pod %s was made again: UID %s, was %s", s.pod(n), is, was)
		}
	}
	s.deletePods(after)
	s.same(before, s.pods(after, 0, 1, 2))
	s.remove(metav1.DeletePropagationForeground)
}

func (s *stateful) reserving() {
	s.make(3, map[string]any{"reserveOrdinals": []any{int64(1)}})
	before := s.pods(nil, 0, 2, 3)
	s.deletePods(before)
	after := s.pods(before, 0, 2, 3)
	s.same(before, after)

	s.patch(map[string]any{"reserveOrdinals": []any{"2-3"}}) // one more is left out
	s.same(before, s.pods(nil, 0, 1, 4))
	s.patch(map[string]any{"reserveOrdinals": []any{int64(1)}})
	s.same(before, s.pods(nil, 0, 2, 3))
	s.patch(map[string]any{"reserveOrdinals": nil})
	s.same(before, s.pods(nil, 0, 1, 2))
	s.later = func() {
		s.freed(3, 4)
		s.remove(metav1.DeletePropagationForeground)
	}
}
