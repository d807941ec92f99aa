package datapath

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "spidernet.io/spiderpool/crds/v1"
)

var versions = []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"}

// mainPlugin is one that delegates to ours.
type mainPlugin struct {
	name string
	// entry returns its entry in the configuration, with the interface it needs made; the subnet is
	// number's, see assignment.
	entry func(t *testing.T, number int) map[string]any
}

var mainPlugins = []mainPlugin{
	{"macvlan", func(t *testing.T, number int) map[string]any {
		t.Helper()
		master := fmt.Sprintf("up%d", number)
		underlay(t, master, fmt.Sprintf("10.9.%d.1/24", number), fmt.Sprintf("fd09:%d::1/64", number))
		return map[string]any{"type": "macvlan", "master": master, "mode": "bridge", "capabilities": capability}
	}},
	{"bridge", func(_ *testing.T, number int) map[string]any {
		return map[string]any{"type": "bridge", "bridge": fmt.Sprintf("br%d", number), "isGateway": true, "capabilities": capability}
	}},
}

// assignment is the host'th address of the number'th subnet in both families.
func assignment(number, host int) v1.Assigned {
	return v1.Assigned{
		Interface: "eth0",
		IPv4Pool:  "p4", IPv4: fmt.Sprintf("10.9.%d.%d/24", number, host), IPv4Gateway: fmt.Sprintf("10.9.%d.1", number),
		IPv6Pool: "p6", IPv6: fmt.Sprintf("fd09:%d::%x/64", number, host), IPv6Gateway: fmt.Sprintf("fd09:%d::1", number),
		Routes: []v1.Route{
			{Dst: "192.0.2.0/24", Gw: fmt.Sprintf("10.9.%d.2", number)},
			{Dst: "2001:db8::/32", Gw: fmt.Sprintf("fd09:%d::2", number)},
		},
	}
}

// TestEveryCommandInEveryVersion takes two pods through their lives.
func TestEveryCommandInEveryVersion(t *testing.T) {
	t.Parallel()
	number := 0
	for _, plugin := range mainPlugins {
		for _, version := range versions {
			number++
			subnet := number
			t.Run(plugin.name+" "+version, func(t *testing.T) {
				t.Parallel()
				live(t, plugin, version, subnet)
			})
		}
	}
}

func live(t *testing.T, plugin mainPlugin, version string, subnet int) {
	t.Helper()
	n := newNetwork(t, fmt.Sprintf("net%d", subnet), version, plugin.entry(t, subnet))
	checkStatus(t, n, version, newPod(t, fmt.Sprintf("s%d", subnet)))

	first, second := newPod(t, fmt.Sprintf("a%d", subnet)), newPod(t, fmt.Sprintf("b%d", subnet))
	carried, carried2 := assignment(subnet, 40), assignment(subnet, 41)
	checkResult(t, n.must(t, "add", first, annotate(t, carried)), version, carried)
	n.must(t, "add", second, annotate(t, carried2))
	checkNIC(t, first, carried)
	checkNIC(t, second, carried2)
	for _, to := range []string{carried2.IPv4, carried2.IPv6, carried.IPv4Gateway + "/24", carried.IPv6Gateway + "/64"} {
		first.ping(t, netip.MustParsePrefix(to).Addr())
	}

	checkCheck(t, n, version, first, carried, carried2)
	for range 2 { // the second time there is nothing left
		n.must(t, "del", first, annotate(t, carried))
		if first.hasLink(t, "eth0") {
			t.Error("DEL left the NIC")
		}
	}
	checkGC(t, n, version, second)
}

// checkResult compares what a runtime gets to see.
func checkResult(t *testing.T, stdout, version string, want v1.Assigned) {
	t.Helper()
	var result struct {
		CNIVersion string `json:"cniVersion"`
		IPs        []struct {
			Version, Address, Gateway string
		} `json:"ips"`
		Routes []struct{ Dst, GW string } `json:"routes"`
	}
	if err := json.Unmarshal([]byte(stdout), &result); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	got := []string{result.CNIVersion}
	for _, ip := range result.IPs {
		got = append(got, strings.TrimSpace(ip.Version+" "+ip.Address+" "+ip.Gateway))
	}
	for _, route := range result.Routes {
		got = append(got, route.Dst+" "+route.GW)
	}
	v4, v6 := "", ""
	if version < "1" { // those versions name the family
		v4, v6 = "4 ", "6 "
	}
	expected := []string{
		version, v4 + want.IPv4 + " " + want.IPv4Gateway, v6 + want.IPv6 + " " + want.IPv6Gateway,
		"0.0.0.0/0 " + want.IPv4Gateway, "::/0 " + want.IPv6Gateway,
		want.Routes[0].Dst + " " + want.Routes[0].Gw, want.Routes[1].Dst + " " + want.Routes[1].Gw,
	}
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

// checkNIC compares what is in place in the pod.
func checkNIC(t *testing.T, p *pod, want v1.Assigned) {
	t.Helper()
	if diff := cmp.Diff([]string{want.IPv4, want.IPv6}, p.addresses(t, "eth0")); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	expected := []string{
		"0.0.0.0/0 via " + want.IPv4Gateway, want.Routes[0].Dst + " via " + want.Routes[0].Gw,
		want.Routes[1].Dst + " via " + want.Routes[1].Gw, "::/0 via " + want.IPv6Gateway,
	}
	if diff := cmp.Diff(expected, p.routes(t)); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

// checkCheck proves that CHECK passes, that it sees an annotation that changed, and that versions
// without it say so.
func checkCheck(t *testing.T, n *network, version string, p *pod, carried, other v1.Assigned) {
	t.Helper()
	if version == "0.3.1" {
		if _, stderr, ok := n.run(t, "check", p, annotate(t, carried)); ok || !strings.Contains(stderr, "does not support the CHECK command") {
			t.Errorf("CHECK in version %s: %s", version, stderr)
		}
		return
	}
	n.must(t, "check", p, annotate(t, carried))
	_, stderr, ok := n.run(t, "check", p, annotate(t, other))
	if want := "NIC eth0 has not address " + other.IPv4; ok || !strings.Contains(stderr, want) {
		t.Errorf("CHECK with another annotation: got %s, want %s", stderr, want)
	}
}

// checkStatus proves that STATUS reaches our plugin through the main one.
func checkStatus(t *testing.T, n *network, version string, p *pod) {
	t.Helper()
	n.must(t, "status", p, nil) // libcni asks no plugin before 1.1.0
	if version != "1.1.0" {
		return
	}
	wrong := newNetwork(t, n.name, version, map[string]any{
		"type": "bridge", "bridge": "none", "ipam": map[string]any{"type": "spiderpool", "kubeconfig": "/no/such/file"},
	})
	if _, stderr, ok := wrong.run(t, "status", p, nil); ok || !strings.Contains(stderr, "/no/such/file: no such file") {
		t.Errorf("STATUS with a kubeconfig that is missing: %s", stderr)
	}
}

// checkGC lets libcni collect every attachment, and asks our plugin itself, since main plugins do
// not pass GC on.
func checkGC(t *testing.T, n *network, version string, p *pod) {
	t.Helper()
	n.must(t, "gc", p, nil)
	if version != "1.1.0" {
		return // libcni collects nothing by older versions; the NIC goes with its namespace
	}
	if p.hasLink(t, "eth0") {
		t.Error("GC left the NIC")
	}
	command := exec.CommandContext(t.Context(), ownProgram("spiderpool"))
	command.Env = []string{"CNI_COMMAND=GC", "CNI_PATH=" + cniPath()}
	command.Stdin = strings.NewReader(`{"cniVersion":"1.1.0","name":"n","ipam":{"type":"spiderpool"},"cni.dev/valid-attachments":[]}`)
	if output, err := command.CombinedOutput(); err != nil || len(output) > 0 {
		t.Errorf("GC: %v, %s", err, output)
	}
}

// TestPodWithoutAnAddressIsRefusedWithASentence reads what kubelet would show.
func TestPodWithoutAnAddressIsRefusedWithASentence(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "refused", "1.0.0", map[string]any{"type": "bridge", "bridge": "br-refused", "capabilities": capability})
	p := newPod(t, "refused")
	_, stderr, ok := n.run(t, "add", p, map[string]string{"other": "annotation"}, "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web")
	if want := "pod shop/web has no address for NIC eth0: annotation ipam.spidernet.io/assigned-eth0 is missing"; ok || !strings.Contains(stderr, want) {
		t.Errorf("got %s, want %s", stderr, want)
	}
	n.must(t, "del", p, nil) // as runtimes do after each ADD that failed
	if p.hasLink(t, "eth0") {
		t.Error("a refused pod has a NIC")
	}
	_, stderr, ok = n.run(t, "add", p, nil, "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web")
	if want := `add "capabilities": {"io.kubernetes.cri.pod-annotations": true}`; ok || !strings.Contains(stderr, want) {
		t.Errorf("got %s, want %s", stderr, want)
	}
}

// TestCleanGatewayLeavesTheDefaultRouteToAnotherNIC makes a second NIC as webhooks annotate it.
func TestCleanGatewayLeavesTheDefaultRouteToAnotherNIC(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "clean", "1.1.0", map[string]any{"type": "bridge", "bridge": "br-clean", "capabilities": capability})
	p := newPod(t, "clean")
	carried := assignment(99, 40)
	carried.CleanGateway = true
	n.must(t, "add", p, annotate(t, carried))
	want := []string{"192.0.2.0/24 via 10.9.99.2", "2001:db8::/32 via fd09:99::2"}
	if diff := cmp.Diff(want, p.routes(t)); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	n.must(t, "del", p, annotate(t, carried))
}
