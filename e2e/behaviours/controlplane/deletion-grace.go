package controlplane

import (
	_ "embed" // the manifest
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed deletion-grace.yaml
var deletionGraceManifest []byte

// DeletionGrace proves: nobody gives a pod with an address more than a day to end, neither by
// deleting it, alone or with all others of its namespace, nor by evicting it; for as long as that
// its address would be held. Up to a day, and of pods without addresses, anybody may say what they
// like.
var DeletionGrace = behaviours.Behaviour{ID: "deletion-grace", Manifest: deletionGraceManifest, Test: deletionGrace}

const dayInSeconds = 24 * 60 * 60

func deletionGrace(t *testing.T, e *behaviours.Env) {
	kubelet := e.PretendNode(t, "deletion-grace-node")
	mine := behaviours.NewPod("deletion-grace", "mine", behaviours.FromPools([]string{"deletion-grace-pool"}, nil))
	e.Create(t, mine)
	kubelet.Run(t, mine)
	const denied = `ValidatingAdmissionPolicy 'spiderpool-deletion-grace' with binding 'spiderpool-deletion-grace' denied request: ` +
		`gracePeriodSeconds is %d: a pod that carries an address of Spiderpool may be given at most 86400 (a day) to end, ` +
		`since for that long its address is held where nobody confirms its end; give a shorter one`
	for name, remove := range map[string]func(seconds int64) error{
		"deleted": func(seconds int64) error {
			return e.Client.Delete(t.Context(), mine.DeepCopy(), client.GracePeriodSeconds(seconds))
		},
		"deleted with all others": func(seconds int64) error {
			return e.Client.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(mine.Namespace), client.GracePeriodSeconds(seconds))
		},
	} {
		for _, seconds := range []int64{dayInSeconds + 1, 1_000_000_000} {
			t.Run(fmt.Sprintf("%s with %d s", name, seconds), func(t *testing.T) {
				if got, want := fmt.Sprint(remove(seconds)), fmt.Sprintf(denied, seconds); !strings.HasSuffix(got, want) {
					t.Errorf("answer is\n  %s\nwant\n  … %s", got, want)
				}
			})
		}
	}
	t.Run("evicted", func(t *testing.T) {
		const want = `deleteOptions.gracePeriodSeconds: an eviction may give a pod at most 86400 (a day) to end, since for that long ` +
			`an address of Spiderpool is held where nobody confirms the pod's end; give a shorter one`
		eviction := &policyv1.Eviction{DeleteOptions: &metav1.DeleteOptions{GracePeriodSeconds: new(int64(dayInSeconds + 1))}}
		if got := fmt.Sprint(e.Client.SubResource("eviction").Create(t.Context(), mine.DeepCopy(), eviction)); !strings.HasSuffix(got, want) {
			t.Errorf("answer is\n  %s\nwant\n  … %s", got, want)
		}
	})
	if now := e.Pod(t, mine.DeepCopy()); now.DeletionTimestamp != nil {
		t.Errorf("the pod ends: it has %d s", *now.DeletionGracePeriodSeconds)
	}

	theirs := behaviours.NewPod("deletion-grace", "theirs", nil)
	theirs.Spec.HostNetwork = true
	if err := e.Client.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	kubelet.Run(t, theirs)
	for pod, seconds := range map[*corev1.Pod]int64{mine: dayInSeconds, theirs: 1_000_000_000} {
		if err := e.Client.Delete(t.Context(), pod.DeepCopy(), client.GracePeriodSeconds(seconds)); err != nil {
			t.Errorf("deleting pod %s with %d s: %v", pod.Name, seconds, err)
		}
		kubelet.End(t, pod)
	}
	e.AwaitTaken(t, "deletion-grace-pool", 0)
}
