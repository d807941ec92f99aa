package cluster_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"spidernet.io/spiderpool/e2e/cluster"
	"spidernet.io/spiderpool/e2e/cluster/process"
)

// startControlPlane also checks that nothing is left of it in the end.
func startControlPlane(t *testing.T, options cluster.ControlPlaneOptions) (*cluster.ControlPlane, *kubernetes.Clientset) {
	t.Helper()
	start := time.Now()
	c, err := cluster.StartControlPlane(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ready after %s", time.Since(start).Round(10*time.Millisecond))
	t.Cleanup(func() { stopControlPlane(t, c) })
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	return c, client
}

func stopControlPlane(t *testing.T, c *cluster.ControlPlane) {
	t.Helper()
	if err := c.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if c.Etcd.Alive() || c.APIServer.Alive() || c.ControllerManager != nil && c.ControllerManager.Alive() {
		t.Error("alive after Stop")
	}
	if _, err := os.Stat(c.Kubeconfig); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", c.Kubeconfig, err)
	}
	server, err := url.Parse(c.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", server.Host)
	if err != nil {
		t.Errorf("its port is not free: %v", err)
		return
	}
	listener.Close()
}

func TestControlPlaneServesPoliciesAndKeepsPodsOfOthersOut(t *testing.T) {
	t.Parallel()
	c, client := startControlPlane(t, cluster.ControlPlaneOptions{})
	ctx := t.Context()
	resources, err := client.Discovery().ServerResourcesForGroupVersion("admissionregistration.k8s.io/v1")
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]bool{} // kind -> served
	for _, r := range resources.APIResources {
		served[r.Kind] = true
	}
	for _, kind := range []string{"MutatingAdmissionPolicy", "ValidatingAdmissionPolicy", "MutatingWebhookConfiguration"} {
		if !served[kind] {
			t.Errorf("%s is not served in v1: got %v", kind, served)
		}
	}
	stranger := *c.Config
	stranger.CertData, stranger.KeyData = nil, nil
	nobody, err := kubernetes.NewForConfig(&stranger)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nobody.CoreV1().Pods("default").List(ctx, metav1.ListOptions{}); err == nil {
		t.Error("a stranger may list pods")
	}
}

func TestControllerManagerMakesPodsOfReplicaSetsAndTheirServiceAccounts(t *testing.T) {
	t.Parallel()
	_, client := startControlPlane(t, cluster.ControlPlaneOptions{ControllerManager: true})
	pods := client.CoreV1().Pods("default")
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "one"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "busybox"}}},
	}
	made, err := pods.Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if made.Spec.ServiceAccountName != "default" {
		t.Errorf("service account: got %q, want default: the admission plugin is off", made.Spec.ServiceAccountName)
	}
}

func TestControlPlaneOutlivesTheDeathOfItsParts(t *testing.T) {
	t.Parallel()
	c, client := startControlPlane(t, cluster.ControlPlaneOptions{})
	ctx := t.Context()
	namespaces := client.CoreV1().Namespaces()
	mark := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "mark"}}
	if _, err := namespaces.Create(ctx, mark, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]interface {
		Kill(context.Context) error
		Restart() error
	}{"etcd": c.Etcd, "API server": c.APIServer} {
		if err := p.Kill(ctx); err != nil {
			t.Fatal(err)
		}
		if err := p.Restart(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := c.Ready(ctx); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := namespaces.Get(ctx, "mark", metav1.GetOptions{}); err != nil {
			t.Errorf("after the death of %s: %v", name, err)
		}
	}
}

// makerVariable turns this test's program into one that makes a control plane, reports what it
// made, and then waits to be killed.
const makerVariable = "TEST_CONTROL_PLANE_MAKER"

type made struct {
	Dir       string
	Processes []process.Record
}

func TestMain(m *testing.M) {
	if os.Getenv(makerVariable) == "" {
		os.Exit(m.Run())
	}
	c, err := cluster.StartControlPlane(context.Background(), cluster.ControlPlaneOptions{})
	if err != nil {
		panic(err)
	}
	report := made{filepath.Dir(c.Kubeconfig), []process.Record{c.Etcd.Record(), c.APIServer.Record()}}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		panic(err)
	}
	select {}
}

func TestControlPlaneDiesWithItsMaker(t *testing.T) {
	t.Parallel()
	maker := exec.CommandContext(t.Context(), os.Args[0])
	maker.Env = append(os.Environ(), makerVariable+"=1")
	maker.Stderr = t.Output()
	output, err := maker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := maker.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var report made
	if err := json.Unmarshal(line, &report); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(report.Dir)
	for _, p := range report.Processes {
		if !p.Alive() {
			t.Errorf("process %d does not run", p.PID)
		}
	}
	if err := maker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	maker.Wait() // killed
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, p := range report.Processes {
		if err := p.Wait(ctx); err != nil {
			t.Error(err)
		}
	}
}
