package controlplane

import (
	_ "embed" // the manifest
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed pool-ready.yaml
var poolReadyManifest []byte

// PoolReady proves: a pool that a thousand pods use stays Ready while its vlan, its routes and its
// gateway are edited and while it grows, and no pod that comes meanwhile waits for it; all pods are
// listed at most once for that, and what was added is given in the end. It needs an API server that
// writes down who lists pods.
var PoolReady = behaviours.Behaviour{ID: "pool-ready", Manifest: poolReadyManifest, Test: poolReady}

const (
	readyPool  = "pool-ready-pool"
	readyInUse = 1000
	readyMore  = 200 // as many as the pool has left
	readyAdded = 10
)

// readyEdits are made while pods come, one after the other.
var readyEdits = []string{
	`{"spec":{"vlan":100}}`,
	`{"spec":{"routes":[{"dst":"10.99.0.0/16","gw":"10.18.15.250"}]}}`,
	`{"spec":{"gateway":"10.18.15.254"}}`,
	`{"spec":{"ips":["10.18.0.1-10.18.4.176","10.18.5.1-10.18.5.10"]}}`,
}

func poolReady(t *testing.T, e *behaviours.Env) {
	admitAtOnce(t, e, "pool-ready", readyPool, "in-use", readyInUse)
	awaitSettled(t, e, readyPool, readyInUse)
	lists := e.PodLists(t)
	var unready []string // what versions of the pool said that were not Ready
	versions := e.Follow(t, e.Pool(t, readyPool), func(p *crdv1.SpiderIPPool) {
		if readiness, why := p.Readiness(); readiness != crdv1.Ready {
			unready = append(unready, why)
		}
	})

	behaviours.AtOnce(readyMore, func(i int) {
		if every := readyMore / len(readyEdits); i%every == every/2 {
			edit := client.RawPatch(types.MergePatchType, []byte(readyEdits[i/every]))
			if err := e.Client.Patch(t.Context(), e.Pool(t, readyPool), edit); err != nil {
				t.Errorf("editing the pool by %s: %v", readyEdits[i/every], err)
			}
		}
		admittedWithAddress(t, e, fmt.Sprintf("more-%d", i))
	})
	e.AwaitReady(t, readyPool)
	e.AwaitPool(t, readyPool, func(p *crdv1.SpiderIPPool) error {
		want := []string{"10.18.0.1-10.18.4.176", "10.18.5.1-10.18.5.10"}
		if !slices.Equal(p.Status.InService, want) {
			return fmt.Errorf("%q are in service, want %q", p.Status.InService, want)
		}
		return nil
	})
	for i := range readyAdded {
		got := admittedWithAddress(t, e, fmt.Sprintf("last-%d", i))
		want := crdv1.Assigned{
			Interface: crdv1.DefaultNIC, IPv4Pool: readyPool, IPv4: got.IPv4, IPv4Gateway: "10.18.15.254", Vlan: 100,
			Routes: []crdv1.Route{{Dst: "10.99.0.0/16", Gw: "10.18.15.250"}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("after the edits is assigned (-want +got):\n%s", diff)
		}
	}
	n := e.PodLists(t) - lists
	t.Logf("the controller listed all pods %d times", n)
	if n > 1 {
		t.Errorf("the controller listed all pods %d times, want at most once", n)
	}
	versions.UpToDate(t, e, func() {
		if len(unready) > 0 {
			t.Errorf("%d versions of the pool were not Ready, the first %s", len(unready), unready[0])
		}
	})
	allHaveAddresses(t, e)
	e.DeleteAll(t, "pool-ready")
	e.AwaitTaken(t, readyPool, 0)
}

// admittedWithAddress makes a pod, which must have its address from admission.
func admittedWithAddress(t *testing.T, e *behaviours.Env, name string) (a crdv1.Assigned) {
	t.Helper()
	pod := behaviours.NewPod("pool-ready", name, behaviours.FromPools([]string{readyPool}, nil))
	if err := e.Client.Create(t.Context(), pod); err != nil {
		t.Errorf("creating pod %s: %v", name, err)
		return a
	}
	value, ok := pod.Annotations[crdv1.AnnotationAssignedPrefix+crdv1.DefaultNIC]
	if !ok || behaviours.Gated(pod) {
		t.Errorf("pod %s waits: it was admitted with the gates %q and annotations %v", name, gateNames(pod), pod.Annotations)
		return a
	}
	a, err := crdv1.ParseAssigned(crdv1.DefaultNIC, value)
	if err != nil {
		t.Error(err)
	}
	return a
}

// allHaveAddresses fails unless all pods have an address of their own, those that the pool gained
// are among them, and none says that it ever waited.
func allHaveAddresses(t *testing.T, e *behaviours.Env) {
	t.Helper()
	pods, err := e.Pods(t.Context(), "pool-ready")
	if err != nil {
		t.Fatal(err)
	}
	carried := behaviours.Addresses(pods)
	if want := readyInUse + readyMore + readyAdded; len(pods) != want || len(carried) != want {
		t.Errorf("%d pods carry %d addresses, want %d of each", len(pods), len(carried), want)
	}
	for i := range byte(readyAdded) {
		if a := netip.AddrFrom4([4]byte{10, 18, 5, i + 1}); carried[a] == "" {
			t.Errorf("nobody has %s, which the pool has gained", a)
		}
	}
	toldOfNoWait(t, e, pods)
}

// toldOfNoWait fails if one of the pods that came while the pool was edited says, or was told, that
// it waited.
func toldOfNoWait(t *testing.T, e *behaviours.Env, pods []corev1.Pod) {
	t.Helper()
	for i := range pods {
		if c := behaviours.Condition(&pods[i]); c != nil && strings.HasPrefix(pods[i].Name, "more-") {
			t.Errorf("pod %s says %s: %s", pods[i].Name, c.Reason, c.Message)
		}
	}
	var events corev1.EventList
	if err := e.Client.List(t.Context(), &events, client.InNamespace("pool-ready")); err != nil {
		t.Fatal(err)
	}
	for _, event := range events.Items {
		waited := event.Reason == crdv1.ReasonPoolNotReady || event.Reason == crdv1.ReasonAssigned
		if waited && strings.HasPrefix(event.InvolvedObject.Name, "more-") {
			t.Errorf("pod %s was told %s: %s", event.InvolvedObject.Name, event.Reason, event.Message)
		}
	}
}
