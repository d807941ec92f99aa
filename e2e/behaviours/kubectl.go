package behaviours

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"testing"
)

// kubectl is the real one, and what it needs.
type kubectl struct {
	program    string
	kubeconfig string
	home       string // for its caches
}

// Kubectl runs the real kubectl, as a user does, and returns what it prints.
func (e *Env) Kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := e.TryKubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TryKubectl is Kubectl for what may fail.
func (e *Env) TryKubectl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, e.kubectl.program, args...)
	cmd.Env = []string{"KUBECONFIG=" + e.kubectl.kubeconfig, "HOME=" + e.kubectl.home}
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("kubectl %q: %w: %s%s", args, err, out.Bytes(), complaint.Bytes())
	}
	return out.String(), nil
}
