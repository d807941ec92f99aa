package nodes

import (
	"context"
	_ "embed" // the manifest
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
	"spidernet.io/spiderpool/e2e/cluster"
	"spidernet.io/spiderpool/e2e/cluster/process"
)

//go:embed life-double.yaml
var lifeDoubleManifest []byte

// LifeDouble proves: a pod that is deleted by force on a healthy node, and goes on running since it
// does not heed the request to end and its runtime stands still, never answers for its address
// beside the pod that waits for exactly that one: that gets it when the hold's proof is there.
var LifeDouble = behaviours.Behaviour{ID: "life-double", Manifest: lifeDoubleManifest, Test: lifeDouble}

func lifeDouble(t *testing.T, e *behaviours.Env) {
	atOnce(t, e,
		part{"nobody answers beside one that was deleted by force", neverDouble},
		part{"nor beside one that ends by itself", oneAfterAnother},
		part{"the prober hears a double", hearsDouble},
	)
}

// hearsDouble gives a pod's address to a node too.
func hearsDouble(t *testing.T, e *behaviours.Env) {
	pod := podOf("life-double", "one", "life-double-shown")
	a := runs(t, e, pod)
	node := e.Cluster.Nodes[0]
	if node.Name == pod.Spec.NodeName {
		node = e.Cluster.Nodes[1]
	}
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

// addAddress gives a node an address for the time of the test, and returns the node's hardware
// address.
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

	resume := standStill(t, e, first)
	e.DeleteByForce(t, first)
	deleted := time.Now()
	hold := awaitHeld(t, e, "life-double", first)
	if hold.Grace != time.Minute {
		t.Errorf("the hold knows of a termination grace of %s, want that of the pod, a minute", hold.Grace)
	}
	behaviours.Eventually(t, behaviours.Patience, func(context.Context) error {
		return answersAfter(prober.Answers(t), old, deleted.Add(stillness))
	})
	resume()
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
	var last time.Time // that it was heard, when the API did not have it any more
	for _, h := range heard {
		if h.By == old {
			last = h.At
		}
	}
	t.Logf("%d answers heard; the first pod answered until %s after it was deleted; the next had its address after %s",
		len(heard), last.Sub(deleted).Round(time.Millisecond), took.Round(time.Millisecond))
	remove(t, e, next)
}

// stillness is how long the runtime of the first pod stands still: many times what it takes the
// next pod to start.
const stillness = 20 * time.Second

// standStill stops what the runtime ends a pod's containers by, as a computer does that is short of
// memory: the kubelet asks in vain, and the pod goes on. Calling what it returns ends that.
func standStill(t *testing.T, e *behaviours.Env, pod *corev1.Pod) (resume func()) {
	t.Helper()
	of := sandboxes(t, e, pod)
	if len(of) != 1 {
		t.Fatalf("pod %s has sandboxes %q, want one", pod.Name, of)
	}
	shim := shimOf(t, of[0])
	if err := shim.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	resume = sync.OnceFunc(func() {
		if err := shim.Signal(syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(resume)
	return resume
}

// shimOf finds the process that keeps a sandbox, by the sandbox's name among its arguments. It is a
// node's, and this computer sees those of all nodes.
func shimOf(t *testing.T, sandbox string) process.Record {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(line), "/containerd-shim-") || !strings.Contains(string(line), "\x00-id\x00"+sandbox+"\x00") {
			continue // another, or one that has just ended
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		record, err := process.Identify(pid)
		if err != nil {
			t.Fatal(err)
		}
		return record
	}
	t.Fatalf("no process keeps sandbox %s", sandbox)
	return process.Record{}
}

// answersAfter returns an error until somebody has answered after a time.
func answersAfter(heard []behaviours.Answer, by string, after time.Time) error {
	if !slices.ContainsFunc(heard, func(a behaviours.Answer) bool { return a.By == by && a.At.After(after) }) {
		return fmt.Errorf("%s has not answered after %s", by, after.Format(time.TimeOnly))
	}
	return nil
}

// oneAfterAnother has a pod end by itself while another waits for its address. Its sandbox outlives
// its containers by a moment.
func oneAfterAnother(t *testing.T, e *behaviours.Env) {
	const pool = "life-double-ends"
	first, next := podOf("life-double", "ends", pool), podOf("life-double", "after", pool)
	first.Spec.RestartPolicy = corev1.RestartPolicyNever
	first.Spec.Containers[0].Command = untilTold(0)
	a := runs(t, e, first)
	prober := e.Probe(t, a)
	old := hardwareOf(t, e, first)
	awaitAnswer(t, prober, old)
	e.CreateWaiting(t, next)
	tell(t, e, first)
	e.AwaitAssigned(t, next)
	reachable(t, e, next)
	by := hardwareOf(t, e, next)
	awaitAnswer(t, prober, by)
	if found := behaviours.Double(prober.Answers(t)); found != "" || by == old {
		t.Errorf("two had %s at one time: %s and %s: %s", a, old, by, found)
	}
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
		return answersAfter(prober.Answers(t), by, time.Time{})
	})
}

// awaitAssignedLate waits until a pod that waits for the end of a hold has its address.
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
