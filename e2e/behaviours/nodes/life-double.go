package nodes

import (
	"context"
	_ "embed" // the manifest
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
	"spidernet.io/spiderpool/e2e/cluster"
)

//go:embed life-double.yaml
var lifeDoubleManifest []byte

// LifeDouble proves: a pod that is deleted by force on a healthy node, and goes
// on running because it does not heed the request to end, never answers for its
// address beside the pod that waits for exactly that one: that gets it when the
// hold's proof is there.
var LifeDouble = behaviours.Behaviour{ID: "life-double", Manifest: lifeDoubleManifest, Test: lifeDouble}

func lifeDouble(t *testing.T, e *behaviours.Env) {
	atOnce(t, e, map[string]func(*testing.T, *behaviours.Env){
		"the prober hears a double":     hearsDouble,
		"nobody answers beside another": neverDouble,
	})
}

// hearsDouble gives a pod's address to a node too.
func hearsDouble(t *testing.T, e *behaviours.Env) {
	node := e.Borrow(t)
	pod := podOf("life-double", "one", "life-double-shown")
	a := runs(t, e, pod)
	prober := e.Probe(t, a)
	by := hardwareOf(t, e, pod)
	awaitAnswer(t, prober, by)
	if found := behaviours.Double(prober.Answers(t)); found != "" {
		t.Fatalf("before there is a double, it finds %s", found)
	}
	other := addAddress(t, node, a)
	awaitAnswer(t, prober, other)
	awaitAnswer(t, e.Probe(t, a), by) // the pod answers still
	if found := behaviours.Double(prober.Answers(t)); !strings.Contains(found, by) || !strings.Contains(found, other) {
		t.Errorf("it finds %q, want %s and %s", found, by, other)
	}
	remove(t, e, pod)
	e.AwaitGone(t, pod)
}

// addAddress gives a node an address for the time of the test, and returns the
// node's hardware address.
func addAddress(t *testing.T, node *cluster.Node, a netip.Addr) string {
	t.Helper()
	ns, err := node.Machine.Network()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	handle, err := netlink.NewHandleAt(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(handle.Close)
	nic, err := handle.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}}
	if err := handle.AddrAdd(nic, address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := handle.AddrDel(nic, address); err != nil {
			t.Errorf("taking %s from node %s: %v", a, node.Name, err)
		}
	})
	return nic.Attrs().HardwareAddr.String()
}

// neverDouble listens all the time who answers.
func neverDouble(t *testing.T, e *behaviours.Env) {
	first := podOf("life-double", "first", "life-double")
	first.Spec.TerminationGracePeriodSeconds = new(int64(60))
	first.Spec.Containers[0].Command = []string{"/bin/sh", "-c", "trap '' TERM INT; while :; do sleep 1; done"}
	next := podOf("life-double", "next", "life-double")
	a := runs(t, e, first)
	prober := e.Probe(t, a)
	old := hardwareOf(t, e, first)
	awaitAnswer(t, prober, old)
	e.CreateWaiting(t, next)
	e.AwaitReason(t, next, crdv1.ReasonPoolFull)

	e.DeleteByForce(t, first)
	deleted := time.Now()
	hold := awaitHeld(t, e, "life-double", first)
	if hold.Grace != time.Minute {
		t.Errorf("the hold knows of a termination grace of %s, want that of the pod, a minute", hold.Grace)
	}
	awaitAssignedLate(t, e, next)
	took := time.Since(deleted)
	if took < proofOf(hold) {
		t.Errorf("the address was given away %s after the pod was deleted, and the proof takes %s", took, proofOf(hold))
	}
	if got := reachable(t, e, next); got != a {
		t.Fatalf("the pod that waited has %s, want %s", got, a)
	}
	by := hardwareOf(t, e, next)
	awaitAnswer(t, prober, by)
	heard := prober.Answers(t)
	if found := behaviours.Double(heard); found != "" || by == old {
		t.Errorf("two had %s at one time: %s and %s: %s", a, old, by, found)
	}
	beyond := 0 // answers of a pod that the API does not have any more
	var last time.Time
	for _, h := range heard {
		if h.By == old && h.At.After(deleted) {
			beyond, last = beyond+1, h.At
		}
	}
	if beyond == 0 {
		t.Error("the first pod did not answer after it was deleted: there was nothing to guard against")
	}
	t.Logf("%d answers heard; the first pod answered %d times after it was deleted, for %s; the next had its address after %s",
		len(heard), beyond, last.Sub(deleted).Round(time.Millisecond), took.Round(time.Millisecond))
	remove(t, e, next)
}

// hardwareOf returns the hardware address of a pod's default NIC.
func hardwareOf(t *testing.T, e *behaviours.Env, pod *corev1.Pod) string {
	t.Helper()
	return strings.TrimSpace(e.Kubectl(t, "exec", "-n", pod.Namespace, pod.Name, "--", "cat", "/sys/class/net/"+crdv1.DefaultNIC+"/address"))
}

// awaitAnswer waits until somebody answers the prober.
func awaitAnswer(t *testing.T, prober *behaviours.Prober, by string) {
	t.Helper()
	behaviours.Eventually(t, behaviours.Patience, func(context.Context) error {
		heard := prober.Answers(t)
		if !slices.ContainsFunc(heard, func(a behaviours.Answer) bool { return a.By == by }) {
			return fmt.Errorf("%s is not among the %d who answered", by, len(heard))
		}
		return nil
	})
}

// awaitAssignedLate waits until a pod that waits for the end of a hold has its
// address.
func awaitAssignedLate(t *testing.T, e *behaviours.Env, pod *corev1.Pod) {
	t.Helper()
	behaviours.Eventually(t, untilProof, func(ctx context.Context) error {
		var now corev1.Pod
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(pod), &now); err != nil {
			return err
		}
		if behaviours.Gated(&now) {
			return fmt.Errorf("pod %s waits: %+v", now.Name, behaviours.Condition(&now))
		}
		return nil
	})
	e.AwaitAssigned(t, pod)
}
