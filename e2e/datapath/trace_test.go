package datapath

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "spidernet.io/spiderpool/crds/v1"
)

// carriedInTrace is the annotation of traced and measured pods.
var carriedInTrace = v1.Assigned{
	Interface: "eth0", IPv4Pool: "p", IPv4: "172.18.41.40/24", IPv4Gateway: "172.18.41.1",
	Routes: []v1.Route{{Dst: "10.0.0.0/8", Gw: "172.18.41.1"}},
}

// commandEnv is the environment of a command for the pod.
func commandEnv(command string, p *pod, containerID string) []string {
	return []string{
		"CNI_COMMAND=" + command, "CNI_CONTAINERID=" + containerID, "CNI_NETNS=" + p.path, "CNI_IFNAME=eth0",
		"CNI_PATH=" + cniPath(), shopPod,
	}
}

// stdin is what containerd writes to the plugin, or with a kubeconfig what Multus would.
func stdin(t testing.TB, kubeconfig string) []byte {
	t.Helper()
	ipam := map[string]any{"type": "spiderpool"}
	conf := map[string]any{"cniVersion": "1.0.0", "name": "net", "type": "macvlan", "master": "eth0", "ipam": ipam}
	if kubeconfig == "" {
		conf["runtimeConfig"] = map[string]any{"io.kubernetes.cri.pod-annotations": annotate(t, carriedInTrace)}
	} else {
		ipam["kubeconfig"] = kubeconfig
	}
	return encode(t, conf)
}

// trace runs ADD under strace and returns the calls, of the process and of all that it starts, that
// are about sockets or start a program.
func trace(t *testing.T, program string, p *pod, input []byte) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "trace")
	command := exec.CommandContext(t.Context(), "strace", "--follow-forks", "--trace=%network,execve,io_uring_setup", "--output="+file, program)
	command.Env = commandEnv("ADD", p, "traced")
	command.Stdin = bytes.NewReader(input)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("strace: %v\n%s", err, output)
	}
	if !strings.Contains(string(output), carriedInTrace.IPv4) {
		t.Fatalf("ADD answered %s", output)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var calls []string
	for line := range strings.Lines(string(text)) {
		_, call, _ := strings.Cut(strings.TrimSpace(line), " ") // behind the process's id
		if call = strings.TrimSpace(call); !strings.HasPrefix(call, "+++") && !strings.HasPrefix(call, "---") {
			calls = append(calls, call)
		}
	}
	return calls
}

func TestAddOpensNoSocket(t *testing.T) {
	t.Parallel()
	calls := trace(t, ownProgram("spiderpool"), newPod(t, "traced"), stdin(t, ""))
	// The one call proves that strace saw the process, and that no other was started.
	if len(calls) != 1 || !strings.HasPrefix(calls[0], "execve(") {
		t.Errorf("ADD made system calls beside its start:\n%s", strings.Join(calls, "\n"))
	}
}

// TestTraceSeesSockets proves that TestAddOpensNoSocket can fail.
func TestTraceSeesSockets(t *testing.T) {
	t.Parallel()
	furnished := newNode(t, annotate(t, carriedInTrace))
	calls := trace(t, filepath.Join(furnished.bin, "spiderpool"), newPod(t, "traced2"), stdin(t, furnished.kubeconfig))
	text := strings.Join(calls, "\n")
	for _, want := range []string{"socket(AF_INET,", "connect("} {
		if !strings.Contains(text, want) {
			t.Errorf("the trace of a lookup shows no %s:\n%s", want, text)
		}
	}
}
