package controlplane

import (
	"context"
	_ "embed" // the manifest
	"errors"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed late-told.yaml
var lateToldManifest []byte

// LateTold proves: a pod that has no address is told the true reason. One that names its node,
// which can have no gate, finds its pool full; where somebody else refuses the write of its
// addresses, that one is named; where its annotations leave no room for them, the numbers are, and
// nothing is taken for it. Each has its address once that is over, and is told of it once.
var LateTold = behaviours.Behaviour{ID: "late-told", Manifest: lateToldManifest, Test: lateTold}

func lateTold(t *testing.T, e *behaviours.Env) {
	named, frozen := behaviours.NewPod("late-told", "named", nil), behaviours.NewPod("late-told", "frozen", nil)
	t.Run("a pod that names its node", func(t *testing.T) { namedNode(t, e, named) })
	t.Run("a write that a policy refuses", func(t *testing.T) { refusedWrite(t, e, frozen) })
	t.Run("annotations that leave no room", func(t *testing.T) { noRoom(t, e) })
	t.Run("each is told once", func(t *testing.T) { toldOnce(t, e, named, frozen) })
	e.DeleteAll(t, "late-told")
	for _, pool := range []string{"late-told-named", "late-told-frozen", "late-told-long"} {
		e.AwaitTaken(t, pool, 0)
	}
}

func namedNode(t *testing.T, e *behaviours.Env, named *corev1.Pod) {
	const node = "late-told-node"
	kubelet := e.PretendNode(t, node)
	pools := behaviours.FromPools([]string{"late-told-named"}, nil)
	first := behaviours.NewPod("late-told", "first", pools)
	e.Create(t, first)
	named.Annotations, named.Spec.NodeName = pools, node
	if err := e.Client.Create(t.Context(), named); err != nil {
		t.Fatal(err)
	}
	if why := named.Annotations[crdv1.AnnotationUnassigned]; behaviours.Gated(named) || why != crdv1.ReasonPoolFull {
		t.Errorf("it was admitted with the gates %q and %s=%q, want no gate and %s", gateNames(named), crdv1.AnnotationUnassigned, why, crdv1.ReasonPoolFull)
	}
	if err := behaviours.CarriesNothing(named); err != nil {
		t.Error(err)
	}
	if message := e.AwaitReason(t, named, crdv1.ReasonPoolFull); !strings.Contains(message, `pool "late-told-named"`) {
		t.Errorf("it is told %q, want the pool in it", message)
	}
	if err := e.Client.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if a := e.AwaitAssigned(t, named); a.IPv4 != "10.19.0.1/24" {
		t.Errorf("it was given %+v", a)
	}
	if why, ok := named.Annotations[crdv1.AnnotationUnassigned]; ok {
		t.Errorf("it has its address, and the annotation that says %q why not", why)
	}
	e.AwaitSaysAssigned(t, named)
	if err := e.Client.Delete(t.Context(), named); err != nil {
		t.Fatal(err)
	}
	kubelet.End(t, named)
}

func refusedWrite(t *testing.T, e *behaviours.Env, frozen *corev1.Pod) {
	pools := behaviours.FromPools([]string{"late-told-frozen"}, nil)
	last := behaviours.NewPod("late-told", "last", pools)
	e.Create(t, last)
	frozen.Annotations, frozen.Labels = pools, map[string]string{"app": "frozen"}
	e.CreateWaiting(t, frozen)
	awaitFrozen(t, e, frozen)
	if err := e.Client.Delete(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	message := e.AwaitReason(t, frozen, crdv1.ReasonWriteRefused)
	for _, want := range []string{`admission policy "late-told-frozen" refuses`, "frozen pods are changed by people only"} {
		if !strings.Contains(message, want) {
			t.Errorf("it is told %q, want %q in it", message, want)
		}
	}
	if err := behaviours.Waits(e.Pod(t, frozen)); err != nil {
		t.Error(err)
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "late-told-frozen"}}
	if err := e.Client.Delete(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	if a := e.AwaitAssigned(t, frozen); a.IPv4 != "10.19.1.1/24" {
		t.Errorf("it was given %+v", a)
	}
	e.AwaitSaysAssigned(t, frozen)
}

// awaitFrozen waits until the API server knows the policy: it refuses the controller.
func awaitFrozen(t *testing.T, e *behaviours.Env, pod *corev1.Pod) {
	t.Helper()
	controller := e.AsController(t)
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"tried":"yes"}}}`))
		err := controller.Patch(ctx, pod.DeepCopy(), patch, client.DryRunAll)
		if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) {
			return nil
		}
		return errors.Join(errors.New("the policy does not refuse it"), err)
	})
}

func noRoom(t *testing.T, e *behaviours.Env) {
	const notes = "example.com/notes"
	const most = validation.TotalAnnotationSizeLimitB - 100
	annotations := behaviours.FromPools([]string{"late-told-long"}, nil)
	left := most - len(notes)
	for key, value := range annotations {
		left -= len(key) + len(value)
	}
	annotations[notes] = strings.Repeat("x", left)
	pod := behaviours.NewPod("late-told", "refused", annotations)
	numbers := []string{
		fmt.Sprintf("metadata.annotations of the pod take %d bytes", most), fmt.Sprintf("the API server takes %d in all", validation.TotalAnnotationSizeLimitB),
	}
	refusal := e.Refused(t, pod)
	for _, want := range numbers {
		if !strings.Contains(refusal, want) {
			t.Errorf("the refusal is %q, want %q in it", refusal, want)
		}
	}

	// One that is given them while it waits goes on waiting until they are shorter.
	gated := behaviours.NewPod("late-told", "gated", behaviours.FromPools([]string{"late-told-long"}, nil))
	gated.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: theirGate}}
	e.CreateWaiting(t, gated)
	e.AwaitReason(t, gated, crdv1.ReasonForeignGate)
	annotate := func(value string) {
		t.Helper()
		patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, notes, value))
		if err := e.Client.Patch(t.Context(), gated, patch); err != nil {
			t.Fatal(err)
		}
	}
	annotate(annotations[notes])
	ungate(t, e, gated, theirGate)
	message := e.AwaitReason(t, gated, crdv1.ReasonNoPool)
	for _, want := range numbers {
		if !strings.Contains(message, want) {
			t.Errorf("it is told %q, want %q in it", message, want)
		}
	}
	if taken := *e.Pool(t, "late-told-long").Status.AllocatedIPCount; taken != 0 {
		t.Errorf("%d addresses are taken for pods that cannot carry them", taken)
	}
	annotate("short")
	e.AwaitAssigned(t, gated)
	e.AwaitSaysAssigned(t, gated)
}

// toldOnce fails unless each of the pods, which were bound late, was told once of its addresses,
// and not that it missed its admission. Another was told of its own since: what there is to tell of
// these has been told.
func toldOnce(t *testing.T, e *behaviours.Env, pods ...*corev1.Pod) {
	for _, pod := range pods {
		events, err := e.Events(t.Context(), pod)
		if err != nil {
			t.Fatal(err)
		}
		assigned := 0
		for _, event := range events {
			switch {
			case event.Reason == crdv1.ReasonMissedAdmission:
				t.Errorf("pod %s was told %s: %s", pod.Name, event.Reason, event.Message)
			case event.Reason == crdv1.ReasonAssigned && event.Series != nil:
				assigned += int(event.Series.Count)
			case event.Reason == crdv1.ReasonAssigned:
				assigned++
			}
		}
		if assigned != 1 {
			t.Errorf("pod %s was told %d times of its addresses, want once: %+v", pod.Name, assigned, events)
		}
	}
}
