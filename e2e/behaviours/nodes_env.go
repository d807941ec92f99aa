package behaviours

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"spidernet.io/spiderpool/e2e/cluster"
	"spidernet.io/spiderpool/e2e/install"
)

// StartCluster brings a cluster of its own up, with the product and
// OpenKruise's stand-in.
func StartCluster(ctx context.Context, name string) (*Env, error) {
	c, err := cluster.Up(ctx, cluster.Options{Name: name, APIServerFlags: []string{"--request-timeout=" + RequestTimeout.String()}})
	if err != nil {
		return nil, err
	}
	down := func(ctx context.Context) error { return cluster.Down(ctx, name, os.Stderr) }
	e, err := onCluster(ctx, c)
	if err != nil {
		return nil, errors.Join(err, down(context.WithoutCancel(ctx)))
	}
	e.stop = append(e.stop, down)
	return e, nil
}

func onCluster(ctx context.Context, c *cluster.Cluster) (*Env, error) {
	values := ChartValues("")
	delete(values, "controller")
	controller, err := install.OnCluster(ctx, c, install.ClusterOptions{Values: values, Flags: ControllerFlags})
	if err != nil {
		return nil, err
	}
	e, err := NewEnv(ctx, c.Config)
	if err != nil {
		return nil, err
	}
	e.Cluster, e.Controller = c, controller
	return e, nil
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
	cmd := exec.CommandContext(ctx, filepath.Join(e.Cluster.Bin(), "kubectl"), args...)
	cmd.Env = []string{"KUBECONFIG=" + e.Cluster.Kubeconfig, "HOME=" + install.Dir(e.Cluster)}
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("kubectl %q: %w: %s%s", args, err, out.Bytes(), complaint.Bytes())
	}
	return out.String(), nil
}
