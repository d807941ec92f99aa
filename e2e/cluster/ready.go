package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// awaitNodes waits for what the nodes can reach at this point.
func (c *Cluster) awaitNodes(ctx context.Context) error {
	missing, err := c.Nodes[0].missingPlugins()
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		return c.WaitReady(ctx)
	}
	fmt.Fprintf(c.options.Out, "nodes will be Ready once the CNI plugin %s is installed\n", strings.Join(missing, ", "))
	return c.waitNodes(ctx, "all nodes to register", func(*corev1.Node) error { return nil })
}

// WaitReady waits until all nodes are Ready.
func (c *Cluster) WaitReady(ctx context.Context) error {
	return c.waitNodes(ctx, "all nodes to be Ready", readiness)
}

func (c *Cluster) waitNodes(ctx context.Context, what string, check func(*corev1.Node) error) error {
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return err
	}
	return await(ctx, what, func(ctx context.Context) error {
		for _, n := range c.Nodes {
			if err := errors.Join(n.Containerd.Check(), n.Kubelet.Check(), n.KubeProxy.Check()); err != nil {
				return hopeless{err}
			}
			node, err := client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if err := check(node); err != nil {
				return err
			}
		}
		return nil
	})
}

// readiness says why a node is not Ready. The condition is set before the taint that keeps pods
// away is removed, so it checks both.
func readiness(node *corev1.Node) error {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
			return fmt.Errorf("node %q is not Ready: %s", node.Name, condition.Message)
		}
	}
	if len(node.Status.Conditions) == 0 {
		return fmt.Errorf("node %q has not reported its state yet", node.Name)
	}
	for _, taint := range node.Spec.Taints {
		if taint.Key == corev1.TaintNodeNotReady || taint.Key == corev1.TaintNodeUnreachable {
			return fmt.Errorf("node %q is tainted %s", node.Name, taint.Key)
		}
	}
	return nil
}

// missingPlugins returns the plugins that the node's network configuration names and that are not
// installed.
func (n *Node) missingPlugins() ([]string, error) {
	configs, err := filepath.Glob(filepath.Join(n.CNIConfDir(), "*.conflist"))
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, file := range configs {
		names, err := pluginsOf(file)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if _, err := os.Stat(filepath.Join(n.CNIBinDir(), name)); errors.Is(err, fs.ErrNotExist) {
				missing = append(missing, name)
			}
		}
	}
	return missing, nil
}

func pluginsOf(file string) ([]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list struct {
		Plugins []struct {
			Type string `json:"type"`
			IPAM struct {
				Type string `json:"type"`
			} `json:"ipam"`
		} `json:"plugins"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	var names []string
	for _, p := range list.Plugins {
		names = append(names, p.Type)
		if p.IPAM.Type != "" {
			names = append(names, p.IPAM.Type)
		}
	}
	return names, nil
}
