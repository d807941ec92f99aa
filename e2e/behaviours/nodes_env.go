package behaviours

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"spidernet.io/spiderpool/e2e/cluster"
	"spidernet.io/spiderpool/e2e/install"
)

// StartCluster brings a cluster of its own up, with the product and OpenKruise's stand-in, and what
// the behaviours want to be there before the product is.
func StartCluster(ctx context.Context, name string, all []Behaviour) (*Env, error) {
	c, err := cluster.Up(ctx, cluster.Options{
		Name: name, Nodes: shared + spares, APIServerFlags: []string{"--request-timeout=" + RequestTimeout.String()},
		// Or nobody would be evicted while more than half of the nodes are stopped.
		ControllerManagerFlags: []string{"--unhealthy-zone-threshold=1"},
	})
	if err != nil {
		return nil, err
	}
	down := func(ctx context.Context) error { return cluster.Down(ctx, name, os.Stderr) }
	e, err := onCluster(ctx, c, all)
	if err != nil {
		return nil, errors.Join(err, down(context.WithoutCancel(ctx)))
	}
	e.stop = append(e.stop, down)
	return e, nil
}

func onCluster(ctx context.Context, c *cluster.Cluster, all []Behaviour) (*Env, error) {
	e, err := NewEnv(ctx, c.Config)
	if err != nil {
		return nil, err
	}
	e.Cluster = c
	if err := e.keepSpares(ctx); err != nil {
		return nil, err
	}
	for _, b := range all {
		if b.Before == nil {
			continue
		}
		if err := b.Before(ctx, e); err != nil {
			return nil, fmt.Errorf("before the installation, for %s: %w", b.ID, err)
		}
	}
	values := ChartValues("")
	delete(values, "controller")
	// The controller keeps its usual lease: it is not killed here, and where a hundred pods start
	// on a few cores a short one runs out.
	if e.Controller, err = install.OnCluster(ctx, c, install.ClusterOptions{Values: values}); err != nil {
		return nil, err
	}
	e.kubectl = kubectl{program: filepath.Join(c.Bin(), "kubectl"), kubeconfig: c.Kubeconfig, home: install.Dir(c)}
	return e, nil
}
