package datapath

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "spidernet.io/spiderpool/crds/v1"
)

// node is a node that the installer has furnished, and its API server, which knows one pod.
type node struct {
	bin        string
	kubeconfig string
	requests   chan string // who was asked for what
}

const shopPod = "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=u-1"

// newNode runs the installer's program.
func newNode(t testing.TB, annotations map[string]string) *node {
	t.Helper()
	root := t.TempDir()
	n := &node{bin: filepath.Join(root, "bin"), kubeconfig: filepath.Join(root, "conf", "kubeconfig"), requests: make(chan string, 100)}
	body := encode(t, map[string]any{"kind": "Pod", "metadata": map[string]any{
		"namespace": "shop", "name": "web", "uid": "u-1", "annotations": annotations,
	}})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.requests <- r.Method + " " + r.URL.Path + " " + r.Header.Get("Authorization")
		_, _ = w.Write(body) // a client that hung up shows in the test
	}))
	t.Cleanup(server.Close)
	account := filepath.Join(root, "account")
	for _, folder := range []string{n.bin, account} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, content := range map[string][]byte{"ca.crt": authority, "token": []byte("t0ken")} {
		if err := os.WriteFile(filepath.Join(account, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder := filepath.Dir(n.kubeconfig)
	command := exec.CommandContext(t.Context(), ownProgram("spiderpool-installer"), "--once", "--cni-bin-dir="+n.bin,
		"--kubeconfig-dir="+folder, "--kubeconfig-dir-on-host="+folder, "--server="+server.URL, "--service-account-dir="+account)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("installing: %v\n%s", err, output)
	}
	return n
}

// TestPodIsLookedUpWhereTheRuntimePassesNoAnnotations goes the whole way: installer, bridge,
// plugin, lookup, API server.
func TestPodIsLookedUpWhereTheRuntimePassesNoAnnotations(t *testing.T) {
	t.Parallel()
	carried := assignment(98, 40)
	furnished := newNode(t, annotate(t, carried))
	n := newNetwork(t, "lookup", "1.1.0", map[string]any{
		"type": "bridge", "bridge": "br-lookup", "ipam": map[string]any{"type": "spiderpool", "kubeconfig": furnished.kubeconfig},
	})
	n.path = furnished.bin + ":" + os.Getenv(pluginVariable)
	p := newPod(t, "lookup")
	n.must(t, "status", p, nil)
	if len(furnished.requests) > 0 {
		t.Error("STATUS asked the API server")
	}
	n.must(t, "add", p, nil, shopPod)
	checkNIC(t, p, carried)
	n.must(t, "check", p, nil, shopPod)
	n.must(t, "del", p, nil, shopPod)
	if got, want := <-furnished.requests, "GET /api/v1/namespaces/shop/pods/web Bearer t0ken"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	if len(furnished.requests) > 0 {
		t.Errorf("asked %d times too often", len(furnished.requests))
	}
}

// TestPodOfAnotherUIDIsRefused proves that a sandbox of a pod that was made again never takes its
// successor's address.
func TestPodOfAnotherUIDIsRefused(t *testing.T) {
	t.Parallel()
	furnished := newNode(t, annotate(t, v1.Assigned{Interface: "eth0", IPv4Pool: "p", IPv4: "10.9.97.40/24"}))
	n := newNetwork(t, "uid", "1.0.0", map[string]any{
		"type": "bridge", "bridge": "br-uid", "ipam": map[string]any{"type": "spiderpool", "kubeconfig": furnished.kubeconfig},
	})
	n.path = furnished.bin + ":" + os.Getenv(pluginVariable)
	p := newPod(t, "uid")
	_, stderr, ok := n.run(t, "add", p, nil, strings.Replace(shopPod, "u-1", "u-0", 1))
	if want := "pod shop/web has UID u-1, but the sandbox is for UID u-0"; ok || !strings.Contains(stderr, want) {
		t.Errorf("got %s, want %s", stderr, want)
	}
}
