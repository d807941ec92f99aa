package nodes

import (
	"context"
	_ "embed" // the manifest
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed seed-1.yaml
var seed1Manifest []byte

// Seed1 proves: the first example of the page "Spiderpool supports third-party controllers" as it
// is written there: pool, CloneSet, and what kubectl shows.
var Seed1 = behaviours.Behaviour{
	ID: "seed-1", Also: []string{"default", seed1Pool}, Manifest: seed1Manifest, Test: seed1,
}

const (
	seed1Pool = "custom-ipv4-ippool"
	seed1App  = "app=custom-kruise-cloneset"
)

func seed1(t *testing.T, e *behaviours.Env) {
	pods := awaitRunning(t, e, 3)
	t.Run("kubectl get po shows what the page shows", func(t *testing.T) { showsPods(t, e, pods) })
	t.Run("kubectl get sp shows the pool", func(t *testing.T) {
		e.AwaitTaken(t, seed1Pool, 3)
		table := lines(e.Kubectl(t, "get", "sp", seed1Pool))
		want := [][]string{
			{"NAME", "VERSION", "SUBNET", "ALLOCATED-IP-COUNT", "TOTAL-IP-COUNT", "DISABLE"},
			{seed1Pool, "4", "172.18.41.0/24", "3", "11", "false"},
		}
		if !slices.EqualFunc(table, want, slices.Equal) {
			t.Errorf("it shows %q, want %q", table, want)
		}
	})
	t.Run("kubectl get se shows the pods' endpoints", func(t *testing.T) { showsEndpoints(t, e, pods) })
	t.Run("pods reach one another across nodes", func(t *testing.T) {
		one := pods[0]
		i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName != one.Spec.NodeName })
		if i < 0 {
			t.Fatalf("all three pods are on node %s", one.Spec.NodeName)
		}
		e.Kubectl(t, "exec", one.Name, "--", "ping", "-c", "3", "-W", "5", pods[i].Status.PodIP)
	})
	t.Run("the address of a deleted pod is free again", func(t *testing.T) { givesBack(t, e, pods[0]) })
}

// awaitRunning waits until n pods of the CloneSet are Ready, which both readiness gates must allow,
// and returns them.
func awaitRunning(t *testing.T, e *behaviours.Env, n int) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error {
		all, err := e.Pods(ctx, "default")
		if err != nil {
			return err
		}
		pods = slices.DeleteFunc(all, func(p corev1.Pod) bool {
			return p.Labels["app"] != "custom-kruise-cloneset" || p.DeletionTimestamp != nil
		})
		if len(pods) != n {
			return fmt.Errorf("%d pods, want %d", len(pods), n)
		}
		for i := range pods {
			if err := behaviours.Ready(&pods[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return pods
}

var firstToLast = [2]netip.Addr{netip.MustParseAddr("172.18.41.40"), netip.MustParseAddr("172.18.41.50")}

func showsPods(t *testing.T, e *behaviours.Env, pods []corev1.Pod) {
	table := lines(e.Kubectl(t, "get", "po", "-l", seed1App, "-o", "wide"))
	if want := "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES"; strings.Join(table[0], " ") != want {
		t.Errorf("its columns are %q, want %q", table[0], want)
	}
	if len(table) != len(pods)+1 {
		t.Fatalf("it shows %d pods, want %d", len(table)-1, len(pods))
	}
	given := map[string]bool{} // address -> seen
	for _, row := range table[1:] {
		if len(row) != 9 {
			t.Fatalf("row %q has %d columns", row, len(row))
		}
		shown := strings.Join([]string{row[1], row[2], row[3], row[7], row[8]}, " ")
		if want := "1/1 Running 0 <none> 2/2"; shown != want || !podName.MatchString(row[0]) || !nodeName.MatchString(row[6]) {
			t.Errorf("row %q, want a pod of the CloneSet on a node of the cluster, and %s", row, want)
		}
		if !ofThePool(row[5]) || given[row[5]] {
			t.Errorf("row %q, want an address of its own from %s to %s", row, firstToLast[0], firstToLast[1])
		}
		given[row[5]] = true
	}
}

var (
	podName  = regexp.MustCompile(`^custom-kruise-cloneset-[a-z0-9]{5}$`)
	nodeName = regexp.MustCompile(`^spider-worker2?$`)
)

func ofThePool(address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && !a.Less(firstToLast[0]) && !firstToLast[1].Less(a)
}

func showsEndpoints(t *testing.T, e *behaviours.Env, pods []corev1.Pod) {
	var want []string
	for _, p := range pods {
		want = append(want, strings.Join([]string{p.Name, "eth0", seed1Pool, p.Status.PodIP + "/24", p.Spec.NodeName}, " "))
	}
	slices.Sort(want)
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error {
		out, err := e.TryKubectl(ctx, "get", "se", "-n", "default")
		if err != nil {
			return err
		}
		table := lines(out)
		if len(table) == 0 {
			return errors.New("it shows nothing")
		}
		if columns := strings.Join(table[0], " "); columns != "NAME INTERFACE IPV4POOL IPV4 IPV6POOL IPV6 NODE" {
			return fmt.Errorf("its columns are %q", columns)
		}
		var got []string
		for _, row := range table[1:] { // empty columns leave no field
			got = append(got, strings.Join(row, " "))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("it shows %q, want %q", got, want)
		}
		return nil
	})
}

// givesBack deletes a pod: the CloneSet makes another, which gets another address, since the old
// one may linger in ARP tables, and the old one is free.
func givesBack(t *testing.T, e *behaviours.Env, pod corev1.Pod) {
	e.Kubectl(t, "delete", "po", pod.Name, "--wait=false")
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error {
		now, err := e.Pods(ctx, "default")
		if err == nil && slices.ContainsFunc(now, func(p corev1.Pod) bool { return p.UID == pod.UID }) {
			err = fmt.Errorf("pod %s is still there", pod.Name)
		}
		return err
	})
	for _, p := range awaitRunning(t, e, 3) {
		if p.Status.PodIP == pod.Status.PodIP {
			t.Errorf("pod %s was given the address %s that pod %s just gave back", p.Name, p.Status.PodIP, pod.Name)
		}
	}
	old := netip.MustParseAddr(pod.Status.PodIP)
	e.AwaitPool(t, seed1Pool, func(p *crdv1.SpiderIPPool) error {
		taken, err := allocator.ParseSet(p.Status.Settled)
		if err != nil {
			return err
		}
		if taken.Contains(old) || len(p.Status.Reserved) > 0 || *p.Status.AllocatedIPCount != 3 {
			return fmt.Errorf("status is %+v, want %s free and three others taken", p.Status, old)
		}
		return nil
	})
}

// lines splits what kubectl prints into columns; a blank alone does not end one.
func lines(out string) [][]string {
	var table [][]string
	for line := range strings.Lines(out) {
		table = append(table, regexp.MustCompile(`\s{2,}`).Split(strings.TrimSpace(line), -1))
	}
	return table
}
