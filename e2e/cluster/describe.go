package cluster

import (
	"fmt"
	"io"

	"spidernet.io/spiderpool/e2e/cluster/process"
)

// Processes returns the cluster's own processes.
func (c *Cluster) Processes() []*process.Process {
	all := c.ControlPlane.processes()
	for _, n := range c.Nodes {
		all = append(all, n.Containerd, n.Kubelet, n.KubeProxy)
	}
	return all
}

// Describe prints how to use a running cluster.
func (c *Cluster) Describe(out io.Writer) {
	down := "make cluster-down"
	if c.options.Name != "" {
		down += " CLUSTER=" + c.options.Name
	}
	fmt.Fprintf(out, "\n  export KUBECONFIG=%s\n  export PATH=%s:$PATH\n  kubectl get nodes\n\n", c.Kubeconfig, c.Bin())
	fmt.Fprintf(out, "logs are in %s\n", c.Logs())
	for _, n := range c.Nodes {
		fmt.Fprintf(out, "a shell on %s: nsenter --all --target %d\n", n.Name, n.Machine.PID())
	}
	fmt.Fprintf(out, "the API server's machine, which is the pods' gateway: nsenter --all --target %d\n", c.Control.PID())
	fmt.Fprintf(out, "it stays up until: %s\n", down)
}
