package controlplane

import (
	"context"
	_ "embed" // the manifest
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed annot-forged.yaml
var annotForgedManifest []byte

// AnnotForged proves: nobody but the controller gets the product's annotations into a pod, changes
// them or takes them away. At create they are stripped, also from pods that get no address, and
// where the webhook does not see the pod; by updates of the pod and of its status, and by Bindings,
// which are merged into pods, they are refused, with what to do; other subresources do not write
// them.
var AnnotForged = behaviours.Behaviour{ID: "annot-forged", Manifest: annotForgedManifest, Test: annotForged}

const (
	assignedEth0 = crdv1.AnnotationAssignedPrefix + crdv1.DefaultNIC
	assignedNet1 = crdv1.AnnotationAssignedPrefix + "net1"
	forgedNet1   = `{"interface":"net1","ipv4pool":"annot-forged-pool","ipv4":"10.4.0.7/24"}`
	forgedEth0   = `{"interface":"eth0","ipv4pool":"annot-forged-pool","ipv4":"10.4.0.8/24"}`
)

func annotForged(t *testing.T, e *behaviours.Env) {
	victim := behaviours.NewPod("annot-forged", "victim", behaviours.FromPools([]string{"annot-forged-pool"}, nil))
	e.Create(t, victim)
	t.Run("made with them", func(t *testing.T) { forgedAtCreate(t, e, victim) })
	t.Run("changed later", func(t *testing.T) { forgedLater(t, e, victim) })
	t.Run("by a binding", func(t *testing.T) { forgedByBinding(t, e, victim) })
	t.Run("by other subresources", func(t *testing.T) { forgedBySubresource(t, e, victim) })
	t.Run("among too many to look through", func(t *testing.T) { forgedAmongMany(t, e) })
	t.Run("by the controller", func(t *testing.T) { writtenByController(t, e, victim) })

	var now corev1.Pod
	if err := e.Client.Get(t.Context(), client.ObjectKeyFromObject(victim), &now); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(victim.Annotations, now.Annotations); diff != "" {
		t.Errorf("the victim's annotations in the end (-want +got):\n%s", diff)
	}
	e.DeleteAll(t, "annot-forged")
	e.DeleteAll(t, behaviours.SparedNamespace)
}

// forgedAtCreate copies the address and the token of the victim, and makes one up.
func forgedAtCreate(t *testing.T, e *behaviours.Env, victim *corev1.Pod) {
	copied := maps.Clone(victim.Annotations)
	copied[assignedNet1] = forgedNet1
	copied[crdv1.AnnotationEnded] = "made up"
	thief := behaviours.NewPod("annot-forged", "thief", maps.Clone(copied))
	e.Create(t, thief)
	stolen(t, victim, thief)

	applied := behaviours.NewPod("annot-forged", "applied", maps.Clone(copied))
	apply(t, e, applied)
	stolen(t, victim, applied)

	onHost := behaviours.NewPod("annot-forged", "on-host", maps.Clone(copied))
	onHost.Spec.HostNetwork = true
	mirror := behaviours.NewPod("annot-forged", "mirror", maps.Clone(copied))
	mirror.Annotations[corev1.MirrorPodAnnotationKey] = "hash"
	mirror.Spec.NodeName = "a-node" // wanted of every mirror
	unseen := behaviours.NewPod(behaviours.SparedNamespace, "unseen", maps.Clone(copied))
	unseenNIC := behaviours.NewPod(behaviours.SparedNamespace, "unseen-nic", map[string]string{assignedNet1: forgedNet1})
	unseenNIC.Spec.HostNetwork = true
	plain := behaviours.NewPod(behaviours.SparedNamespace, "plain", nil)
	plain.Spec.HostNetwork = true
	for _, pod := range []*corev1.Pod{onHost, mirror, unseen, unseenNIC, plain} {
		want := maps.Clone(pod.Annotations)
		maps.DeleteFunc(want, func(key, _ string) bool {
			return key == assignedEth0 || key == assignedNet1 || key == crdv1.AnnotationReservation || key == crdv1.AnnotationEnded
		})
		if err := e.Client.Create(t.Context(), pod); err != nil {
			t.Fatalf("creating pod %s: %v", pod.Name, err)
		}
		if len(want) == 0 && len(pod.Annotations) == 0 {
			continue
		}
		if diff := cmp.Diff(want, pod.Annotations); diff != "" {
			t.Errorf("annotations of pod %s (-want +got):\n%s", pod.Name, diff)
		}
	}
	// What the webhook does not see is given its own address a moment later.
	e.AwaitAssigned(t, unseen)
	stolen(t, victim, unseen)
}

// stolen fails if a pod has anything of the victim's, or what was made up.
func stolen(t *testing.T, victim, thief *corev1.Pod) {
	t.Helper()
	if got := behaviours.Assigned(t, thief); got.IPv4 == behaviours.Assigned(t, victim).IPv4 {
		t.Errorf("pod %s carries the victim's address %s", thief.Name, got.IPv4)
	}
	if token := crdv1.AnnotationReservation; thief.Annotations[token] == victim.Annotations[token] {
		t.Errorf("pod %s carries the victim's token", thief.Name)
	}
	if _, ok := thief.Annotations[crdv1.AnnotationEnded]; ok {
		t.Errorf("pod %s is said to have ended", thief.Name)
	}
	if forged, ok := thief.Annotations[assignedNet1]; ok {
		t.Errorf("the forged address of another NIC of pod %s stands: %s", thief.Name, forged)
	}
}

// apply makes, or changes, a pod by a server-side apply.
func apply(t *testing.T, e *behaviours.Env, pod *corev1.Pod) {
	t.Helper()
	if err := tryApply(t.Context(), e, pod); err != nil {
		t.Fatalf("applying pod %s: %v", pod.Name, err)
	}
	e.Pod(t, pod)
}

func tryApply(ctx context.Context, e *behaviours.Env, pod *corev1.Pod) error {
	pod.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
	if err != nil {
		return err
	}
	object := &unstructured.Unstructured{Object: content}
	object.SetManagedFields(nil)
	return e.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("thief"), client.ForceOwnership)
}

// doors are the ways by which a pod's annotations may be written later.
var doors = map[string]func(ctx context.Context, c client.Client, before, after *corev1.Pod) error{
	"update": func(ctx context.Context, c client.Client, _, after *corev1.Pod) error { return c.Update(ctx, after) },
	"patch": func(ctx context.Context, c client.Client, before, after *corev1.Pod) error {
		return c.Patch(ctx, after, client.MergeFrom(before))
	},
	"update of the status": func(ctx context.Context, c client.Client, _, after *corev1.Pod) error {
		return c.Status().Update(ctx, after)
	},
	"patch of the status": func(ctx context.Context, c client.Client, before, after *corev1.Pod) error {
		return c.Status().Patch(ctx, after, client.MergeFrom(before))
	},
}

func forgedLater(t *testing.T, e *behaviours.Env, victim *corev1.Pod) {
	const denied = `pods "victim" is forbidden: ValidatingAdmissionPolicy 'spiderpool-claims' with binding 'spiderpool-claims' denied request: ` +
		`annotations that Spiderpool's controller alone writes: %s; ` +
		`leave them as they are, and to give the pod another address delete it and have it made again`
	changes := map[string]struct {
		key, value string // no value: taken away
	}{
		"address changed":        {assignedEth0, forgedEth0},
		"address taken away":     {assignedEth0, ""},
		"address of a NIC added": {assignedNet1, forgedNet1},
		"token changed":          {crdv1.AnnotationReservation, "aaaaaaaaaaaaaaaaaaaaaaaaaa"},
		"token taken away":       {crdv1.AnnotationReservation, ""},
		"said to have ended":     {crdv1.AnnotationEnded, "made up"},
	}
	for door, open := range doors {
		for name, c := range changes {
			t.Run(door+", "+name, func(t *testing.T) {
				before := e.Pod(t, victim.DeepCopy())
				after := before.DeepCopy()
				after.Annotations[c.key] = c.value
				if c.value == "" {
					delete(after.Annotations, c.key)
				}
				if got, want := fmt.Sprint(open(t.Context(), e.Client, before, after)), fmt.Sprintf(denied, c.key); got != want {
					t.Errorf("answer is\n  %s\nwant\n  %s", got, want)
				}
			})
		}
		t.Run(door+", another annotation", func(t *testing.T) {
			before := e.Pod(t, victim.DeepCopy())
			for _, value := range []string{door, ""} {
				after := before.DeepCopy()
				after.Annotations["example.com/door"] = value
				if value == "" {
					delete(after.Annotations, "example.com/door")
				}
				if err := open(t.Context(), e.Client, before, after); err != nil {
					t.Fatal(err)
				}
				before = after
			}
		})
	}
	t.Run("apply", func(t *testing.T) {
		theirs := behaviours.NewPod("annot-forged", "victim", map[string]string{assignedEth0: forgedEth0})
		if got, want := fmt.Sprint(tryApply(t.Context(), e, theirs)), fmt.Sprintf(denied, assignedEth0); got != want {
			t.Errorf("answer is\n  %s\nwant\n  %s", got, want)
		}
	})
}

func forgedByBinding(t *testing.T, e *behaviours.Env, victim *corev1.Pod) {
	const denied = `ValidatingAdmissionPolicy 'spiderpool-claims-in-bindings' with binding 'spiderpool-claims-in-bindings' denied request: ` +
		`annotations of a Binding become the pod's, where Spiderpool's controller alone writes these: %s; leave them out`
	bound := behaviours.NewPod("annot-forged", "bound", nil)
	bound.Spec.HostNetwork = true // it has no address that would be held when it goes
	if err := e.Client.Create(t.Context(), bound); err != nil {
		t.Fatal(err)
	}
	node := e.PretendNode(t, "annot-forged-node")
	users := map[string]client.Client{"an admin": e.Client, "the scheduler": e.As(t, "system:kube-scheduler")}
	ways := map[string]func(c client.Client, pod *corev1.Pod, b *corev1.Binding) error{
		"subresource": func(c client.Client, pod *corev1.Pod, b *corev1.Binding) error {
			return c.SubResource("binding").Create(t.Context(), pod, b)
		},
		"old resource": func(c client.Client, _ *corev1.Pod, b *corev1.Binding) error { return c.Create(t.Context(), b) },
	}
	for user, c := range users {
		for way, bind := range ways {
			for _, key := range []string{assignedEth0, assignedNet1, crdv1.AnnotationReservation, crdv1.AnnotationEnded} {
				t.Run(user+", "+way+", "+key, func(t *testing.T) {
					b := bindingTo(victim, map[string]string{key: "forged", "example.com/else": "kept"})
					if got, want := fmt.Sprint(bind(c, victim, b)), fmt.Sprintf(denied, key); !strings.HasSuffix(got, want) {
						t.Errorf("answer is\n  %s\nwant\n  … %s", got, want)
					}
				})
			}
		}
	}
	if now := e.Pod(t, victim.DeepCopy()); now.Spec.NodeName != "" {
		t.Errorf("the victim was bound to %s", now.Spec.NodeName)
	}
	// Others pass, by either way; which shows that both were open.
	if err := ways["old resource"](users["the scheduler"], bound, bindingTo(bound, map[string]string{"example.com/else": "kept"})); err != nil {
		t.Fatalf("a Binding without forged annotations: %v", err)
	}
	if now := e.Pod(t, bound.DeepCopy()); now.Spec.NodeName != "annot-forged-node" || now.Annotations["example.com/else"] != "kept" {
		t.Errorf("the bound pod is on node %q with annotations %v", now.Spec.NodeName, now.Annotations)
	}
	node.End(t, bound)
}

func bindingTo(pod *corev1.Pod, annotations map[string]string) *corev1.Binding {
	return &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, Annotations: annotations},
		Target:     corev1.ObjectReference{Kind: "Node", Name: "annot-forged-node"},
	}
}

// forgedBySubresource has what these subresources write together with what they do not: the first
// is done, and the second is dropped by the API server.
func forgedBySubresource(t *testing.T, e *behaviours.Env, victim *corev1.Pod) {
	for name, change := range map[string]func(*corev1.PodSpec){
		"resize": func(s *corev1.PodSpec) {
			s.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2m")}
		},
		"ephemeralcontainers": func(s *corev1.PodSpec) {
			s.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
				Name: "debug", Image: "busybox", ImagePullPolicy: corev1.PullIfNotPresent,
				TerminationMessagePath: corev1.TerminationMessagePathDefault, TerminationMessagePolicy: corev1.TerminationMessageReadFile,
			}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := resizable(t, e, name, victim)
			after := before.DeepCopy()
			change(&after.Spec)
			wanted := after.Spec.DeepCopy()
			after.Annotations[assignedEth0] = forgedEth0
			after.Annotations[assignedNet1] = forgedNet1
			delete(after.Annotations, crdv1.AnnotationReservation)
			if err := e.Client.SubResource(name).Update(t.Context(), after); err != nil {
				t.Fatal(err)
			}
			now := e.Pod(t, before.DeepCopy())
			if diff := cmp.Diff(before.Annotations, now.Annotations); diff != "" {
				t.Errorf("annotations (-before +after):\n%s", diff)
			}
			if diff := cmp.Diff(*wanted, now.Spec); diff != "" {
				t.Errorf("the subresource did not do its own work, so that nothing is shown (-want +got):\n%s", diff)
			}
		})
	}
}

// resizable makes a pod whose requests can be changed and not change its class of quality of
// service.
func resizable(t *testing.T, e *behaviours.Env, name string, like *corev1.Pod) *corev1.Pod {
	t.Helper()
	pod := behaviours.NewPod(like.Namespace, name, map[string]string{crdv1.AnnotationIPPool: like.Annotations[crdv1.AnnotationIPPool]})
	pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1m")}
	e.Create(t, pod)
	return pod
}

// forgedAmongMany hides what is forged among more annotations than can be looked through.
func forgedAmongMany(t *testing.T, e *behaviours.Env) {
	const want = "more than 2000 annotations, which Spiderpool cannot look through for forged ones; have fewer"
	many := map[string]string{}
	for i := range 2001 {
		many["example.com/"+strconv.Itoa(i)] = ""
	}
	for _, namespace := range []string{"annot-forged", behaviours.SparedNamespace} {
		pod := behaviours.NewPod(namespace, "many", maps.Clone(many))
		pod.Annotations[assignedEth0] = forgedEth0
		pod.Spec.HostNetwork = true // or an address would be reserved for it first
		if got := e.Refused(t, pod); !strings.HasSuffix(got, want) {
			t.Errorf("answer in namespace %s is\n  %s\nwant\n  … %s", namespace, got, want)
		}
	}
	pod := behaviours.NewPod(behaviours.SparedNamespace, "grows", map[string]string{"example.com/0": ""})
	pod.Spec.HostNetwork = true
	if err := e.Client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	after := pod.DeepCopy()
	maps.Copy(after.Annotations, many)
	after.Annotations[assignedEth0] = forgedEth0
	if got := fmt.Sprint(e.Client.Patch(t.Context(), after, client.MergeFrom(pod))); !strings.HasSuffix(got, want) {
		t.Errorf("answer to a patch is\n  %s\nwant\n  … %s", got, want)
	}
}

// writtenByController is dry: what it writes is not true.
func writtenByController(t *testing.T, e *behaviours.Env, victim *corev1.Pod) {
	controller := client.NewDryRunClient(e.AsController(t))
	before := e.Pod(t, victim.DeepCopy())
	after := before.DeepCopy()
	after.Annotations[assignedEth0] = forgedEth0
	after.Annotations[assignedNet1] = forgedNet1
	delete(after.Annotations, crdv1.AnnotationReservation)
	want := maps.Clone(after.Annotations)
	if err := controller.Patch(t.Context(), after, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, after.Annotations); diff != "" {
		t.Errorf("annotations in the answer (-want +got):\n%s", diff)
	}
}
