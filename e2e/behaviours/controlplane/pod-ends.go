package controlplane

import (
	_ "embed" // the manifest
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed pod-ends.yaml
var podEndsManifest []byte

// PodEnds proves: that a pod with an address has ended is believed of its node alone. Whoever else
// says so is refused, whether it is of containers that run or of a pod that is about to start, and
// with what to do instead; a phase that others write while containers run is let through and frees
// nothing; what Kubernetes' own components write passes. A pod that has finished cannot go on.
var PodEnds = behaviours.Behaviour{ID: "pod-ends", Manifest: podEndsManifest, Test: podEnds}

const podEndsPool = "pod-ends-pool"

func podEnds(t *testing.T, e *behaviours.Env) {
	kubelet := e.PretendNode(t, "pod-ends-node")
	t.Run("while containers run", func(t *testing.T) { endOfRunning(t, e, kubelet) })
	t.Run("before containers run", func(t *testing.T) { endOfStarting(t, e, kubelet) })
	t.Run("by the garbage collector", func(t *testing.T) { endOfCollected(t, e, kubelet) })
	t.Run("without a node", func(t *testing.T) { endOfUnbound(t, e) })
	t.Run("without an address", func(t *testing.T) { endWithoutAddress(t, e, kubelet) })
	e.AwaitTaken(t, podEndsPool, 0)
}

// podWithAddress makes a pod of two containers and one that runs beside them from the start, and
// returns its address.
func podWithAddress(t *testing.T, e *behaviours.Env, name string) (*corev1.Pod, netip.Addr) {
	t.Helper()
	pod := behaviours.NewPod("pod-ends", name, behaviours.FromPools([]string{podEndsPool}, nil))
	second := pod.Spec.Containers[0]
	second.Name = "second"
	pod.Spec.Containers = append(pod.Spec.Containers, second)
	side := pod.Spec.Containers[0]
	side.Name, side.RestartPolicy = "side", new(corev1.ContainerRestartPolicyAlways)
	pod.Spec.InitContainers = []corev1.Container{side}
	prefix, err := netip.ParsePrefix(e.Create(t, pod).IPv4)
	if err != nil {
		t.Fatal(err)
	}
	return pod, prefix.Addr()
}

// say writes a pod's status as a user, and returns the refusal.
func say(t *testing.T, e *behaviours.Env, as client.Client, pod *corev1.Pod, change func(*corev1.PodStatus)) error {
	t.Helper()
	before := e.Pod(t, pod.DeepCopy())
	after := before.DeepCopy()
	change(&after.Status)
	return as.Status().Patch(t.Context(), after, client.StrategicMergeFrom(before))
}

func running() corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}
}

func terminated() corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.Now()}}
}

func allRunning(s *corev1.PodStatus) {
	s.Phase = corev1.PodRunning
	s.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: running()}, {Name: "second", State: running()}}
	s.InitContainerStatuses = []corev1.ContainerStatus{{Name: "side", State: running()}}
}

const (
	endsDenied = `pods %q is forbidden: ValidatingAdmissionPolicy 'spiderpool-pod-ends' with binding 'spiderpool-pod-ends' denied request: `
	endsRemedy = `is for node pod-ends-node to say, not for kubernetes-admin; to end the pod, delete it, ` +
		`and if something else than a kubelet runs the pods of that node, name its user in the chart's value guards.podStatus.allowedUsers`
)

func wantDenied(t *testing.T, err error, pod, reason string) {
	t.Helper()
	if got, want := fmt.Sprint(err), fmt.Sprintf(endsDenied, pod)+reason; got != want {
		t.Errorf("answer is\n  %s\nwant\n  %s", got, want)
	}
}

func endOfRunning(t *testing.T, e *behaviours.Env, kubelet *behaviours.Kubelet) {
	pod, address := podWithAddress(t, e, "runs")
	kubelet.Bind(t, pod)
	kubelet.Report(t, pod, allRunning)
	for name, tc := range map[string]struct {
		lie   func(*corev1.PodStatus)
		ended string
	}{
		"one has terminated": {func(s *corev1.PodStatus) { s.ContainerStatuses[0].State = terminated() }, "main"},
		"one is waiting": {func(s *corev1.PodStatus) {
			s.ContainerStatuses[1].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}
		}, "second"},
		"one is in no state":  {func(s *corev1.PodStatus) { s.ContainerStatuses[0].State = corev1.ContainerState{} }, "main"},
		"one is not told of":  {func(s *corev1.PodStatus) { s.ContainerStatuses = s.ContainerStatuses[:1] }, "second"},
		"one has other names": {func(s *corev1.PodStatus) { s.ContainerStatuses[0].Name = "another" }, "main"},
		"none is told of":     {func(s *corev1.PodStatus) { s.ContainerStatuses = nil }, "main, second"},
		"the one beside them": {func(s *corev1.PodStatus) { s.InitContainerStatuses = nil }, "side"},
		"all, with the phase": {func(s *corev1.PodStatus) {
			s.Phase = corev1.PodFailed
			s.ContainerStatuses[0].State, s.ContainerStatuses[1].State = terminated(), terminated()
		}, "main, second"},
	} {
		t.Run(name, func(t *testing.T) {
			what := "container " + tc.ended + " was running, and the pod carries an address of Spiderpool: that it ended " + endsRemedy
			wantDenied(t, say(t, e, e.Client, pod, tc.lie), "runs", what)
		})
	}
	t.Run("by the kubelet of another node", func(t *testing.T) {
		other := e.As(t, "system:node:another", "system:nodes")
		if err := say(t, e, other, pod, func(s *corev1.PodStatus) { s.ContainerStatuses = nil }); err == nil {
			t.Error("it was believed")
		}
	})
	t.Run("phases alone", func(t *testing.T) {
		for _, phase := range []corev1.PodPhase{corev1.PodFailed, corev1.PodSucceeded, corev1.PodFailed} {
			if err := say(t, e, e.Client, pod, func(s *corev1.PodStatus) { s.Phase = phase }); err != nil {
				t.Errorf("phase %s: %v", phase, err)
			}
			stillUsed(t, e, address)
		}
	})
	t.Run("what others write", func(t *testing.T) { othersWrite(t, e, pod) })
	stillUsed(t, e, address)

	kubelet.Report(t, pod, func(s *corev1.PodStatus) {
		s.Phase = corev1.PodSucceeded
		s.ContainerStatuses[0].State, s.ContainerStatuses[1].State = terminated(), terminated()
		s.InitContainerStatuses[0].State = terminated()
	})
	awaitFree(t, e, address)
	goesOn(t, e, pod)
	kubelet.End(t, pod)
}

// othersWrite has Kubernetes' components write what they do.
func othersWrite(t *testing.T, e *behaviours.Env, pod *corev1.Pod) {
	condition := func(kind corev1.PodConditionType, reason string) func(*corev1.PodStatus) {
		return func(s *corev1.PodStatus) {
			s.Conditions = append(s.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, LastTransitionTime: metav1.Now()})
		}
	}
	for name, tc := range map[string]struct {
		as     client.Client
		change func(*corev1.PodStatus)
	}{
		"the scheduler":      {e.As(t, "system:kube-scheduler"), condition("PodScheduled", "Preempted")},
		"the node's watcher": {e.AsServiceAccount(t, "kube-system", "node-controller"), condition(corev1.PodReady, "NodeNotReady")},
		"the controller":     {e.AsController(t), condition("example.com/told", "Test")},
		"an operator":        {e.Client, condition("example.com/ready", "Test")},
		"who adds a container's status": {e.Client, func(s *corev1.PodStatus) {
			s.EphemeralContainerStatuses = []corev1.ContainerStatus{{Name: "debug", State: terminated()}}
		}},
	} {
		if err := say(t, e, tc.as, pod, tc.change); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// endOfStarting is of a pod whose sandbox may stand already, with the address.
func endOfStarting(t *testing.T, e *behaviours.Env, kubelet *behaviours.Kubelet) {
	pod, address := podWithAddress(t, e, "starts")
	kubelet.Bind(t, pod)
	for _, phase := range []corev1.PodPhase{corev1.PodFailed, corev1.PodSucceeded} {
		err := say(t, e, e.Client, pod, func(s *corev1.PodStatus) { s.Phase = phase })
		wantDenied(t, err, "starts", "phase "+string(phase)+
			" with nothing running, and the pod carries an address of Spiderpool: that it finished "+endsRemedy)
	}
	stillUsed(t, e, address)
	kubelet.Report(t, pod, func(s *corev1.PodStatus) { s.Phase = corev1.PodFailed }) // as a kubelet that does not admit a pod
	awaitFree(t, e, address)
	kubelet.End(t, pod)
}

// endOfCollected is of a pod that the garbage collector of pods takes for lost. It may say so, and
// it is not believed, since it does not know.
func endOfCollected(t *testing.T, e *behaviours.Env, kubelet *behaviours.Kubelet) {
	collector := e.AsServiceAccount(t, "kube-system", "pod-garbage-collector")
	collect := func(s *corev1.PodStatus) {
		s.Phase = corev1.PodFailed
		s.Conditions = append(s.Conditions, corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByPodGC", LastTransitionTime: metav1.Now(),
		})
	}
	pod, address := podWithAddress(t, e, "collected")
	kubelet.Bind(t, pod)
	if err := say(t, e, collector, pod, collect); err != nil {
		t.Fatal(err)
	}
	// Now the phase alone would be believed, were it not for the condition.
	err := say(t, e, e.Client, pod, func(s *corev1.PodStatus) { s.Conditions[len(s.Conditions)-1].Reason = "Test" })
	wantDenied(t, err, "collected",
		"phase Failed with nothing running, and the pod carries an address of Spiderpool: that it finished "+endsRemedy)
	stillUsed(t, e, address)
	kubelet.Report(t, pod, func(s *corev1.PodStatus) {
		s.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: terminated()}, {Name: "second", State: terminated()}}
	})
	awaitFree(t, e, address)
	kubelet.End(t, pod)
}

// endOfUnbound is of a pod that runs nowhere: whoever may write its status ends it, and that is
// final.
func endOfUnbound(t *testing.T, e *behaviours.Env) {
	pod, address := podWithAddress(t, e, "unbound")
	if err := say(t, e, e.Client, pod, func(s *corev1.PodStatus) { s.Phase = corev1.PodFailed }); err != nil {
		t.Fatal(err)
	}
	awaitFree(t, e, address)
	goesOn(t, e, pod)
	if err := e.Client.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
}

// goesOn tries to bring a finished pod back.
func goesOn(t *testing.T, e *behaviours.Env, pod *corev1.Pod) {
	t.Helper()
	for name, change := range map[string]func(*corev1.PodStatus){
		"by its phase": func(s *corev1.PodStatus) { s.Phase = corev1.PodPending },
		"by its containers": func(s *corev1.PodStatus) {
			s.EphemeralContainerStatuses = append(s.EphemeralContainerStatuses, corev1.ContainerStatus{Name: "more", State: running()})
		},
	} {
		t.Log(name)
		wantDenied(t, say(t, e, e.Client, pod, change), pod.Name,
			"the pod has finished and its address may be another's by now, so it cannot go on; make it again")
	}
}

// endWithoutAddress is none of ours.
func endWithoutAddress(t *testing.T, e *behaviours.Env, kubelet *behaviours.Kubelet) {
	pod := behaviours.NewPod("pod-ends", "on-host", nil)
	pod.Spec.HostNetwork = true
	if err := e.Client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	kubelet.Bind(t, pod)
	kubelet.Report(t, pod, allRunning)
	for _, change := range []func(*corev1.PodStatus){
		func(s *corev1.PodStatus) {
			s.Phase, s.ContainerStatuses, s.InitContainerStatuses = corev1.PodFailed, nil, nil
		},
		func(s *corev1.PodStatus) { s.Phase = corev1.PodRunning },
	} {
		if err := say(t, e, e.Client, pod, change); err != nil {
			t.Error(err)
		}
	}
	kubelet.End(t, pod)
}

// stillUsed fails if the leader has freed an address, after it has had the time to free another: a
// pod that is made and deleted meanwhile.
func stillUsed(t *testing.T, e *behaviours.Env, address netip.Addr) {
	t.Helper()
	pod, other := podWithAddress(t, e, "passing")
	e.AwaitRecord(t, podEndsPool, inUse(other, true))
	if err := e.Client.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	awaitFree(t, e, other)
	e.AwaitGone(t, pod)
	if err := inUse(address, true)(e.Record(t, podEndsPool)); err != nil {
		t.Error(err)
	}
}

func awaitFree(t *testing.T, e *behaviours.Env, address netip.Addr) {
	t.Helper()
	e.AwaitRecord(t, podEndsPool, inUse(address, false))
}

// inUse wants an address in use, or free.
func inUse(address netip.Addr, want bool) func(*allocator.Record) error {
	return func(r *allocator.Record) error {
		if got := r.State(address); r.InUse(address) != want || !want && got != allocator.StateFree {
			return fmt.Errorf("%s is %v, want it in use: %v", address, got, want)
		}
		return nil
	}
}
