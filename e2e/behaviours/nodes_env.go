package behaviours

import (
	"context"
	"errors"
	"os"
	"path/filepath"

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
	e.kubectl = kubectl{program: filepath.Join(c.Bin(), "kubectl"), kubeconfig: c.Kubeconfig, home: install.Dir(c)}
	return e, nil
}
