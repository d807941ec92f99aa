package nodes

import (
	"context"
	_ "embed" // the manifest
	"fmt"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed life-late.yaml
var lifeLateManifest []byte

// LifeLate proves: pods that did not get their addresses at admission get them later, as they are:
// those from before the installation, from an outage of the webhook, and from an error inside of
// it. Pods that run with another plugin's addresses are left alone, and nobody is given those, nor
// a node's, nor the gateway's. Static pods are told that they can have none.
var LifeLate = behaviours.Behaviour{
	ID: "life-late", Manifest: lifeLateManifest, Before: beforeInstallation, Alone: lifeLateAlone, Test: lifeLate,
}

const (
	lifeLateNamespace = "life-late"
	// lifeLateBefore is the namespace of the pods that are older than the product.
	lifeLateBefore = "life-late-before"
)

// lifeLatePod returns a pod that is to have an address of each family, on one of the nodes that all
// behaviours share.
func lifeLatePod(namespace, name, node string) *corev1.Pod {
	pools := behaviours.FromPools([]string{"life-late-v4"}, []string{"life-late-v6"})
	return behaviours.Pinned(behaviours.NewPod(namespace, name, pools), node)
}

func lifeLateAlone(t *testing.T, e *behaviours.Env) {
	t.Run("the webhook is away", func(t *testing.T) { outage(t, e) })
	if e.Controller.Check() == nil {
		t.Run("an error inside the webhook", func(t *testing.T) { errorInside(t, e) })
	}
}

func lifeLate(t *testing.T, e *behaviours.Env) {
	t.Run("older than the installation", func(t *testing.T) { olderThanUs(t, e) })
	t.Run("addresses that others use", func(t *testing.T) { othersAddresses(t, e) })
	t.Run("static pods", func(t *testing.T) { staticPods(t, e) })
	for _, namespace := range []string{lifeLateNamespace, lifeLateBefore} {
		e.DeleteAll(t, namespace)
	}
	for _, pool := range []string{"life-late-v4", "life-late-v6", "life-late-inhabited-v4", "life-late-inhabited-v6"} {
		e.AwaitTaken(t, pool, 0)
	}
}

// foreigners are the pods that run with another plugin's addresses.
var foreigners = []string{"foreign-0", "foreign-1", "foreign-2"}

// beforeInstallation makes pods in a cluster without the product: some run on one node by another
// plugin's hands, some wait, with and without a node.
func beforeInstallation(ctx context.Context, e *behaviours.Env) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: lifeLateBefore}}
	if err := e.Client.Create(ctx, namespace); err != nil {
		return err
	}
	err := behaviours.Await(ctx, behaviours.Patience, func(ctx context.Context) error {
		return e.Client.Get(ctx, client.ObjectKey{Namespace: lifeLateBefore, Name: "default"}, &corev1.ServiceAccount{})
	})
	if err != nil {
		return err
	}
	waits, runs := e.Cluster.Nodes[0], e.Cluster.Nodes[1]
	placed := lifeLatePod(lifeLateBefore, "placed", waits.Name)
	placed.Spec.NodeName = waits.Name
	for _, pod := range []*corev1.Pod{placed, lifeLatePod(lifeLateBefore, "unplaced", waits.Name)} {
		if err := e.Client.Create(ctx, pod); err != nil {
			return err
		}
	}
	remove, err := otherPlugin(runs)
	if err != nil {
		return err
	}
	for _, name := range foreigners {
		pod := lifeLatePod(lifeLateBefore, name, runs.Name)
		pod.Spec.NodeName = runs.Name // the scheduler would first wait for the node to be Ready
		if err := e.Client.Create(ctx, pod); err != nil {
			return err
		}
	}
	err = behaviours.Await(ctx, behaviours.Patience, func(ctx context.Context) error {
		pods, err := e.Pods(ctx, lifeLateBefore)
		if err != nil {
			return err
		}
		return foreignersRun(pods)
	})
	if err != nil {
		return err
	}
	return remove()
}

// foreignersRun returns an error unless all of them run with the other plugin's addresses.
func foreignersRun(pods []corev1.Pod) error {
	running := 0
	for i := range pods {
		if !slices.Contains(foreigners, pods[i].Name) {
			continue
		}
		if err := behaviours.Ready(&pods[i]); err != nil {
			return err
		}
		if len(pods[i].Status.PodIPs) != 2 {
			return fmt.Errorf("pod %s has %v, want an address of each family", pods[i].Name, pods[i].Status.PodIPs)
		}
		for _, ip := range pods[i].Status.PodIPs {
			if a, err := netip.ParseAddr(ip.IP); err != nil || !ofTheOther(a) {
				return fmt.Errorf("pod %s has %s, which is not of the other plugin", pods[i].Name, ip.IP)
			}
		}
		running++
	}
	if running != len(foreigners) {
		return fmt.Errorf("%d pods run by another plugin, want %d", running, len(foreigners))
	}
	return nil
}

// olderThanUs: pods that waited before there was a product get addresses without being made again;
// those that ran then are left alone.
func olderThanUs(t *testing.T, e *behaviours.Env) {
	kind := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"}}
	if err := e.Client.Get(t.Context(), client.ObjectKey{Name: "spiderippools.spiderpool.spidernet.io"}, kind); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"placed", "unplaced"} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: lifeLateBefore, Name: name}}
		e.AwaitPod(t, pod, behaviours.Ready)
		if kind.CreationTimestamp.Before(&pod.CreationTimestamp) {
			t.Errorf("pod %s is of %s, want one that is not younger than the installation at %s", name, pod.CreationTimestamp, kind.CreationTimestamp)
		}
		runsWithItsClaims(t, pod)
		e.AwaitSaysAssigned(t, pod)
	}
	pods, err := e.Pods(t.Context(), lifeLateBefore)
	if err != nil {
		t.Fatal(err)
	}
	if err := foreignersRun(pods); err != nil {
		t.Error(err)
	}
	for i := range pods {
		if !slices.Contains(foreigners, pods[i].Name) {
			continue
		}
		if err := behaviours.CarriesNothing(&pods[i]); err != nil {
			t.Error(err)
		}
		if c := behaviours.Condition(&pods[i]); c != nil {
			t.Errorf("pod %s, which is none of ours, was told %+v", pods[i].Name, c)
		}
	}
}

// runsWithItsClaims fails unless a pod carries an address of each family and runs with those.
func runsWithItsClaims(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if addresses := addressesOf(t, pod); len(addresses) != len(pod.Status.PodIPs) {
		t.Errorf("pod %s carries %v and runs with %v", pod.Name, addresses, pod.Status.PodIPs)
	}
}
