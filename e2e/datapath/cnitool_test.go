package datapath

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	v1 "spidernet.io/spiderpool/crds/v1"
)

// network is a network configuration that cnitool finds by its name.
type network struct {
	name   string
	folder string
	// path is the search path for plugins.
	path string
}

// newNetwork writes a configuration list with one main plugin. The key ipam is put there where the
// plugin has none.
func newNetwork(t testing.TB, name, version string, plugin map[string]any) *network {
	t.Helper()
	if plugin["ipam"] == nil {
		plugin["ipam"] = map[string]any{"type": "spiderpool"}
	}
	n := &network{name: name, folder: t.TempDir(), path: cniPath()}
	text := encode(t, map[string]any{"cniVersion": version, "name": name, "plugins": []any{plugin}})
	if err := os.WriteFile(filepath.Join(n.folder, name+".conflist"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return n
}

// capability is what makes a runtime pass the pod's annotations.
var capability = map[string]bool{"io.kubernetes.cri.pod-annotations": true}

// run lets cnitool do verb for the pod's eth0, with the annotations that a runtime would pass. It
// returns stdout, stderr and whether it succeeded.
func (n *network) run(t testing.TB, verb string, p *pod, annotations map[string]string, env ...string) (stdout, stderr string, ok bool) {
	t.Helper()
	command := exec.CommandContext(t.Context(), referenceProgram("cnitool"), verb, n.name, p.path)
	command.Env = append([]string{"NETCONFPATH=" + n.folder, "CNI_PATH=" + n.path, "PATH=" + os.Getenv("PATH")}, env...)
	if annotations != nil {
		arguments := map[string]any{"io.kubernetes.cri.pod-annotations": annotations}
		command.Env = append(command.Env, "CAP_ARGS="+string(encode(t, arguments)))
	}
	var out, errors bytes.Buffer
	command.Stdout, command.Stderr = &out, &errors
	err := command.Run()
	if _, failed := err.(*exec.ExitError); err != nil && !failed { //nolint:errorlint // nothing wraps it
		t.Fatal(err)
	}
	return out.String(), errors.String(), err == nil
}

// must is run for what has to succeed.
func (n *network) must(t testing.TB, verb string, p *pod, annotations map[string]string, env ...string) string {
	t.Helper()
	stdout, stderr, ok := n.run(t, verb, p, annotations, env...)
	if !ok {
		t.Fatalf("cnitool %s %s %s: %s%s", verb, n.name, p.path, stdout, stderr)
	}
	return stdout
}

// annotate is what the webhook writes to a pod.
func annotate(t testing.TB, assigned v1.Assigned) map[string]string {
	t.Helper()
	return map[string]string{v1.AnnotationAssignedPrefix + assigned.Interface: string(encode(t, assigned))}
}

func encode(t testing.TB, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
