package cluster_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"spidernet.io/spiderpool/e2e/cluster"
	"spidernet.io/spiderpool/e2e/cluster/component"
	"spidernet.io/spiderpool/e2e/cluster/syspkg"
)

// hostLocal gives each node its own slice of the underlay: enough to test the network without the
// product.
func hostLocal(n *cluster.Node) ([]byte, error) {
	octet := 40 + n.IPv4.As4()[3]
	four := map[string]any{
		"subnet":     cluster.UnderlayIPv4.String(),
		"rangeStart": fmt.Sprintf("172.18.%d.10", octet),
		"rangeEnd":   fmt.Sprintf("172.18.%d.200", octet),
		"gateway":    cluster.GatewayIPv4.String(),
	}
	six := map[string]any{
		"subnet":     cluster.UnderlayIPv6.String(),
		"rangeStart": fmt.Sprintf("fc00:f853:ccd:e793:%d::10", octet),
		"rangeEnd":   fmt.Sprintf("fc00:f853:ccd:e793:%d::200", octet),
		"gateway":    cluster.GatewayIPv6.String(),
	}
	return cluster.MacvlanNetwork(map[string]any{
		"type":   "host-local",
		"ranges": []any{[]any{four}, []any{six}},
		"routes": []any{map[string]any{"dst": "0.0.0.0/0"}, map[string]any{"dst": "::/0"}},
	})
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("a cluster needs root: run this test under sudo, or run make unit")
	}
}

// up makes a cluster for one test. It is always taken down again.
func up(t *testing.T, options cluster.Options) *cluster.Cluster {
	t.Helper()
	needRoot(t)
	options.Out = t.Output()
	t.Cleanup(func() { takeDown(t, options.Name) })
	start := time.Now()
	c, err := cluster.Up(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("up after %s", time.Since(start).Round(100*time.Millisecond))
	return c
}

// takeDown ends a cluster. Its logs are kept only if the test failed.
func takeDown(t *testing.T, name string) {
	t.Helper()
	if err := cluster.Down(context.Background(), name, t.Output()); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		return
	}
	tree, err := component.Tree()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(tree, ".cluster-"+name)); err != nil {
		t.Error(err)
	}
}

func kubectl(t *testing.T, c *cluster.Cluster, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(c.Bin(), "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig)
	output, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(output)), err
}

func mustKubectl(t *testing.T, c *cluster.Cluster, args ...string) string {
	t.Helper()
	output, err := kubectl(t, c, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

// runPods starts a pod per node and returns them once all run.
func runPods(t *testing.T, c *cluster.Cluster, prefix string, hostNetwork bool) []*corev1.Pod {
	t.Helper()
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	pods := client.CoreV1().Pods("default")
	var made []*corev1.Pod
	for _, n := range c.Nodes {
		none := int64(0)
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: prefix + "-" + n.Name},
			Spec: corev1.PodSpec{
				HostNetwork: hostNetwork, NodeName: n.Name, TerminationGracePeriodSeconds: &none,
				Containers: []corev1.Container{{
					Name: "main", Image: "busybox", ImagePullPolicy: corev1.PullIfNotPresent,
					Command: []string{"/bin/sh", "-c", "echo hello from $(hostname); exec sleep 1000000"},
				}},
			},
		}
		if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		mustKubectl(t, c, "wait", "--for=condition=Ready", "--timeout=120s", "pod/"+pod.Name)
		if pod, err = pods.Get(t.Context(), pod.Name, metav1.GetOptions{}); err != nil {
			t.Fatal(err)
		}
		made = append(made, pod)
	}
	return made
}

func TestClusterRunsPodsThatReachOneAnotherAndLeavesNothing(t *testing.T) {
	const name = "test-full"
	needRoot(t)
	before := lookFor(t, name)
	c := up(t, cluster.Options{Name: name, Network: hostLocal})
	during := lookFor(t, name)
	if diff := cmp.Diff(before.Addresses, during.Addresses); diff != "" {
		t.Errorf("this computer's own addresses changed (-before +during):\n%s", diff)
	}
	if diff := cmp.Diff(before.Mounts, during.Mounts); diff != "" {
		t.Errorf("this computer's own mounts changed (-before +during):\n%s", diff)
	}
	if len(during.Cgroups) == 0 || len(during.Disks) == 0 || len(during.Processes) == 0 {
		t.Fatalf("the search for traces finds none of a running cluster: %+v", during)
	}
	checkHostPods(t, c)
	checkPodNetwork(t, c)
	checkProgramOfOurs(t, c)
	pids := []int{c.Control.PID()}
	for _, n := range c.Nodes {
		pids = append(pids, n.Machine.PID())
	}
	// The first processes, Kubernetes' own and a shim per pod; what runs in a pod is in a nested
	// namespace.
	all := inMachines(t, pids...)
	if want := len(pids) + len(c.Processes()) + 4; len(all) < want {
		t.Errorf("%d processes in the machines, want %d at least: %v", len(all), want, all)
	}
	start := time.Now()
	if err := cluster.Down(t.Context(), name, t.Output()); err != nil {
		t.Fatal(err)
	}
	t.Logf("down after %s", time.Since(start).Round(10*time.Millisecond))
	if diff := cmp.Diff(before, lookFor(t, name)); diff != "" {
		t.Errorf("traces are left (-before +after):\n%s", diff)
	}
	for _, p := range c.Processes() {
		if p.Alive() {
			t.Errorf("%s is alive after Down", p.Spec.Name)
		}
	}
	checkDoorIsClosed(t, c)
	if err := cluster.Down(t.Context(), name, t.Output()); err != nil {
		t.Errorf("a second Down: %v", err)
	}
}

func checkHostPods(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	for _, pod := range runPods(t, c, "host", true) {
		if got, want := mustKubectl(t, c, "logs", pod.Name), "hello from "+pod.Spec.NodeName; got != want {
			t.Errorf("log of %s: got %q, want %q", pod.Name, got, want)
		}
		if got := mustKubectl(t, c, "exec", pod.Name, "--", "hostname"); got != pod.Spec.NodeName {
			t.Errorf("host name in %s: got %q", pod.Name, got)
		}
		// The Service's address is implemented by kube-proxy.
		if got, err := kubectl(t, c, "exec", pod.Name, "--", "nc", "-w", "5", "10.96.0.1", "443", "-e", "true"); err != nil {
			t.Errorf("reaching the API server's Service from %s: %v\n%s", pod.Name, err, got)
		}
	}
}

func checkPodNetwork(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	pods := runPods(t, c, "pod", false)
	for _, from := range pods {
		for _, to := range pods {
			for _, address := range to.Status.PodIPs {
				mustKubectl(t, c, "exec", from.Name, "--", "ping", "-c", "1", "-w", "10", address.IP)
			}
		}
		if len(from.Status.PodIPs) != 2 {
			t.Errorf("addresses of %s: got %v, want two", from.Name, from.Status.PodIPs)
		}
		mustKubectl(t, c, "exec", from.Name, "--", "ping", "-c", "1", "-w", "10", cluster.GatewayIPv4.String())
	}
}

// checkProgramOfOurs starts a web server next to the API server, like the product's controller, and
// requests a page from a pod.
func checkProgramOfOurs(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	busybox, err := syspkg.BusyboxPath()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("welcome"), 0o644); err != nil {
		t.Fatal(err)
	}
	address := netip.AddrPortFrom(cluster.GatewayIPv4, 8080).String()
	server, err := c.StartInControlPlane("web", busybox, []string{"httpd", "-f", "-p", address, "-h", dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a pod to get the page", func() error {
		if err := server.Check(); err != nil {
			return err
		}
		got, err := kubectl(t, c, "exec", "pod-"+c.Nodes[0].Name, "--", "wget", "-qO-", "http://"+address+"/index.html")
		if err == nil && got != "welcome" {
			err = fmt.Errorf("got %q", got)
		}
		return err
	})
}

func checkDoorIsClosed(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	server, err := url.Parse(c.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", server.Host); err == nil {
		conn.Close()
		t.Errorf("a server still answers at %s", server.Host)
	}
}

func TestClustersRunSideBySideAndOutliveTheirMakers(t *testing.T) {
	one := up(t, cluster.Options{Name: "test-one", Nodes: 1, Network: hostLocal})
	two := up(t, cluster.Options{Name: "test-two", Nodes: 1, Network: hostLocal})
	mustKubectl(t, one, "create", "namespace", "only-in-one")
	if output, err := kubectl(t, two, "get", "namespace", "only-in-one"); err == nil {
		t.Errorf("the other cluster has it too: %s", output)
	}
	if _, err := cluster.Up(t.Context(), cluster.Options{Name: "test-one", Out: t.Output()}); !errors.Is(err, cluster.ErrUp) {
		t.Errorf("making it again: got %v, want %v", err, cluster.ErrUp)
	}
	again, err := cluster.Open("test-one")
	if err != nil {
		t.Fatal(err)
	}
	node := again.Nodes[0]
	if err := node.Kubelet.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if one.Nodes[0].Kubelet.Alive() {
		t.Error("the kubelet killed through the opened cluster is alive in the one that was made")
	}
	if err := node.Kubelet.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := again.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Down(t.Context(), "test-one", t.Output()); err != nil {
		t.Fatal(err)
	}
	mustKubectl(t, two, "get", "nodes")
}

func TestNodeComesBackAfterACutCableAndAPowerCut(t *testing.T) {
	c := up(t, cluster.Options{Name: "test-power", Network: hostLocal})
	pods := runPods(t, c, "pod", false)
	ping := func() error {
		_, err := kubectl(t, c, "exec", pods[0].Name, "--", "ping", "-c", "1", "-w", "2", pods[1].Status.PodIP)
		return err
	}
	checkGatewayStays(t, c)
	node := c.Nodes[1]
	if err := node.CutCable(); err != nil {
		t.Fatal(err)
	}
	if ping() == nil {
		t.Error("a pod behind a cut cable answers")
	}
	if err := node.MendCable(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod behind the reconnected cable to answer", ping)
	if err := node.PullPlug(t.Context()); err != nil {
		t.Fatal(err)
	}
	if node.Kubelet.Alive() || node.Containerd.Alive() {
		t.Error("a program of the node survived the power cut")
	}
	if err := node.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node to run programs in its pod again", func() error {
		_, err := kubectl(t, c, "exec", pods[1].Name, "--", "true")
		return err
	})
}

// checkGatewayStays checks that the gateway's hardware address is its own: one that it has from a
// node's cable is lost with that node, and then all nodes lose the gateway.
func checkGatewayStays(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	owners := map[string][]string{} // hardware address -> NICs
	err := c.Control.InNetwork(func() error {
		nics, err := net.Interfaces()
		for _, nic := range nics {
			owners[nic.HardwareAddr.String()] = append(owners[nic.HardwareAddr.String()], nic.Name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for address, nics := range owners {
		if slices.Contains(nics, "underlay") && len(nics) == 1 {
			return
		}
		t.Logf("%s: %q", address, nics)
	}
	t.Error("the gateway shares its hardware address with a node's cable")
}

func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}

// buildCommand builds cmd/cluster with the flags that this test was built with.
func buildCommand(t *testing.T, dir string) string {
	t.Helper()
	program := filepath.Join(dir, "cluster")
	output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/cluster").CombinedOutput()
	if err != nil {
		t.Fatalf("building cmd/cluster: %v\n%s", err, output)
	}
	return program
}

func TestDownCleansUpAfterAMakerThatWasKilled(t *testing.T) {
	needRoot(t)
	const name = "test-killed"
	before := lookFor(t, name)
	program := buildCommand(t, t.TempDir())
	// Depending on which of these files exists when it is killed, it leaves different things
	// behind.
	for _, sign := range []string{"control-plane/machine.record", "spider-worker/containerd.record", "spider-worker2/kubelet.record"} {
		t.Run(filepath.Base(sign), func(t *testing.T) {
			maker := exec.Command(program, "up", "-name", name)
			maker.Stdout, maker.Stderr = t.Output(), t.Output()
			if err := maker.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { takeDown(t, name) })
			eventually(t, sign, func() error {
				if len(glob(t, "/var/lib/spiderpool-e2e/"+name+"-*/"+sign)) == 0 {
					return fs.ErrNotExist
				}
				return nil
			})
			if err := maker.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			maker.Wait() // killed
			if len(lookFor(t, name).Processes) == 0 {
				t.Fatal("nothing was left to clean up: this test shows nothing")
			}
			if err := cluster.Down(t.Context(), name, t.Output()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, lookFor(t, name)); diff != "" {
				t.Errorf("traces are left (-before +after):\n%s", diff)
			}
		})
	}
}

func TestWithoutRootItSaysSoAtOnce(t *testing.T) {
	dir := t.TempDir()
	program := buildCommand(t, dir)
	cmd := exec.Command(program, "up")
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		for path := dir; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
			if err := os.Chmod(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd.Dir = "/"
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("got %v, want exit code 1", err)
	}
	first, _, _ := bufio.NewReader(bytes.NewReader(output)).ReadLine() // an empty output fails below
	for _, want := range []string{"needs root", "make unit", "sudo"} {
		if !strings.Contains(string(first), want) {
			t.Errorf("it says %q, without %q", output, want)
		}
	}
}
