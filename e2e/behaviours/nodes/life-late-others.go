package nodes

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
	"spidernet.io/spiderpool/e2e/cluster"
)

// otherRanges are what the other plugin gives addresses of: the last one of each is left.
var otherRanges = [][2]netip.Addr{
	{netip.MustParseAddr("172.18.75.10"), netip.MustParseAddr("172.18.75.12")},
	{netip.MustParseAddr("fc00:f853:ccd:e793::75:10"), netip.MustParseAddr("fc00:f853:ccd:e793::75:12")},
}

// ofTheOther reports whether an address is the other plugin's to give.
func ofTheOther(a netip.Addr) bool {
	return slices.ContainsFunc(otherRanges, func(r [2]netip.Addr) bool {
		return a.Is4() == r[0].Is4() && !a.Less(r[0]) && !r[1].Less(a)
	})
}

// otherPlugin gives a node a network whose addresses another plugin gives. It is before ours by its
// name, and the runtime uses the first.
func otherPlugin(n *cluster.Node) (remove func() error, err error) {
	var ranges [][]any
	for i, subnet := range []netip.Prefix{cluster.UnderlayIPv4, cluster.UnderlayIPv6} {
		ranges = append(ranges, []any{map[string]any{
			"subnet": subnet.String(), "rangeStart": otherRanges[i][0].String(), "rangeEnd": otherRanges[i][1].String(),
		}})
	}
	config, err := cluster.MacvlanNetwork(map[string]any{"type": "host-local", "ranges": ranges})
	if err != nil {
		return nil, err
	}
	return place(filepath.Join(n.CNIConfDir(), "00-other.conflist"), config)
}

// place puts a file, whole at any time, into a folder that somebody watches.
func place(file string, content []byte) (remove func() error, err error) {
	temp := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)) // nobody reads those
	if err := os.WriteFile(temp, content, 0o644); err != nil {
		return nil, err
	}
	return func() error { return os.Remove(file) }, os.Rename(temp, file)
}

// othersAddresses: a pool whose ranges have the addresses of foreign pods, nodes and the gateway
// gives all others, and each of a foreign pod once that is gone.
func othersAddresses(t *testing.T, e *behaviours.Env) {
	want := vacant(t, e)
	pools := []string{"life-late-inhabited-v4", "life-late-inhabited-v6"}
	annotations := behaviours.FromPools(pools[:1], pools[1:])
	var got [2][]string
	for i := range want[0] {
		pod := behaviours.NewPod(lifeLateNamespace, fmt.Sprintf("tenant-%d", i), annotations)
		e.Create(t, pod)
		e.AwaitPod(t, pod, behaviours.Ready)
		for family, pool := range pools {
			got[family] = append(got[family], addressesOf(t, pod)[pool])
		}
	}
	for family, pool := range pools {
		slices.Sort(got[family])
		if diff := cmp.Diff(want[family], got[family]); diff != "" {
			t.Errorf("pool %q gave (-want +got):\n%s", pool, diff)
		}
	}
	late := behaviours.NewPod(lifeLateNamespace, "tenant-late", annotations)
	e.CreateWaiting(t, late)
	message := e.AwaitReason(t, late, crdv1.ReasonPoolFull, crdv1.ReasonQueued)
	t.Logf("the one too many says: %s", message)
	foreign := e.Pod(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: lifeLateBefore, Name: foreigners[0]}})
	if err := e.Client.Delete(t.Context(), foreign.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	e.AwaitAssigned(t, late)
	e.AwaitPod(t, late, behaviours.Ready)
	for _, ip := range foreign.Status.PodIPs {
		if !slices.Contains(late.Status.PodIPs, ip) {
			t.Errorf("pod %s runs with %v, want what pod %s had: %v", late.Name, late.Status.PodIPs, foreign.Name, foreign.Status.PodIPs)
		}
	}
}

// vacant returns the addresses that the inhabited pools may give, of each family.
func vacant(t *testing.T, e *behaviours.Env) [2][]string {
	t.Helper()
	used := map[netip.Addr]bool{cluster.GatewayIPv4: true, cluster.GatewayIPv6: true}
	for _, n := range e.Cluster.Nodes {
		used[n.IPv4], used[n.IPv6] = true, true
	}
	var all [2][]string
	for family, first := range []netip.Addr{cluster.GatewayIPv4, cluster.GatewayIPv6} {
		for a, n := first, 1; n <= 8; a, n = a.Next(), n+1 {
			if !used[a] {
				all[family] = append(all[family], a.String())
			}
		}
		all[family] = append(all[family], otherRanges[family][1].Next().String())
		slices.Sort(all[family])
	}
	if len(all[0]) != len(all[1]) || len(all[0]) < 2 {
		t.Fatalf("the pools may give %v, want two or more of each family", all)
	}
	return all
}

// staticPods: one that would be given addresses is told that it cannot have any; one on its node's
// network needs none and runs.
func staticPods(t *testing.T, e *behaviours.Env) {
	node := e.Cluster.Nodes[0]
	own, hosts := lifeLatePod(lifeLateNamespace, "static", node.Name), lifeLatePod(lifeLateNamespace, "static-on-host", node.Name)
	hosts.Spec.HostNetwork = true
	for _, pod := range []*corev1.Pod{own, hosts} {
		pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
		content, err := json.Marshal(pod)
		if err != nil {
			t.Fatal(err)
		}
		remove, err := place(filepath.Join(node.StaticPodDir(), pod.Name+".json"), content)
		if err != nil {
			t.Fatal(err)
		}
		pod.Name += "-" + node.Name // its mirror's
		t.Cleanup(func() {
			if err := remove(); err != nil {
				t.Error(err)
			}
			err := behaviours.Await(context.Background(), behaviours.Patience, func(ctx context.Context) error { return noPod(ctx, e, pod.Name) })
			if err != nil {
				t.Error(err)
			}
		})
	}
	e.AwaitPod(t, hosts, behaviours.Ready)
	e.AwaitPod(t, own, func(*corev1.Pod) error { return nil })
	t.Logf("the static pod is told: %s", e.AwaitEvent(t, own, corev1.EventTypeWarning, crdv1.ReasonStaticPod))
	if err := behaviours.CarriesNothing(e.Pod(t, own)); err != nil {
		t.Error(err)
	}
	events, err := e.Events(t.Context(), hosts)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(events, func(e corev1.Event) bool { return e.Reason == crdv1.ReasonStaticPod }) {
		t.Errorf("pod %s, on its node's network, was told that it can have no address", hosts.Name)
	}
}

// noPod returns an error while there is a pod of the name.
func noPod(ctx context.Context, e *behaviours.Env, name string) error {
	pods, err := e.Pods(ctx, lifeLateNamespace)
	if err == nil && slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Name == name }) {
		err = fmt.Errorf("pod %s is still there", name)
	}
	return err
}
