package install

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"

	"spidernet.io/spiderpool/e2e/cluster"
	"spidernet.io/spiderpool/e2e/cluster/component"
	"spidernet.io/spiderpool/e2e/cluster/machine"
	"spidernet.io/spiderpool/e2e/cluster/process"
	"spidernet.io/spiderpool/e2e/kruise"
)

// Where things are on the control plane's machine, as the API server sees them.
var (
	onLoopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	webhooksAt = netip.AddrPortFrom(onLoopback, 9443)
	metricsAt  = netip.AddrPortFrom(onLoopback, 9090)
	healthAt   = netip.AddrPortFrom(onLoopback, 9440)
)

const (
	// localServer is the API server for programs on the control plane's machine.
	localServer = "https://127.0.0.1:6443"
	// confOnNode is the folder of the plugin's kubeconfig on nodes.
	confOnNode = "/etc/cni/net.d/spiderpool"
)

// ClusterOptions say how the product is installed in a cluster with nodes.
type ClusterOptions struct {
	Values Values   // in addition to controller.url
	Flags  []string // of the controller
	// Supervise restarts the controller whenever it ends.
	Supervise bool
	// Step is called with what is done next; may be nil.
	Step func(what string)
}

// OnCluster installs the product, and OpenKruise's stand-in, in a running cluster. Both programs
// run on the control plane's machine and end with it. It returns once the webhooks answer and the
// nodes are Ready.
func OnCluster(ctx context.Context, c *cluster.Cluster, o ClusterOptions) (*Controller, error) {
	if o.Step == nil {
		o.Step = func(string) {}
	}
	dir := Dir(c)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	o.Step("building the controller, the plugin and the stand-in of OpenKruise")
	standin, err := component.Own(ctx, "e2e/kruise/cmd/kruise-standin", dir)
	if err != nil {
		return nil, err
	}
	if err := BuildPlugin(ctx, filepath.Join(dir, "plugin")); err != nil {
		return nil, err
	}
	o.Step("installing the chart with helm")
	values := Values{"controller": Values{"url": "https://" + webhooksAt.String()}}
	for key, value := range o.Values {
		values[key] = value
	}
	if err := Chart(ctx, c.Config, values); err != nil {
		return nil, err
	}
	if o.Supervise {
		o.Step("starting the controller next to the API server, under a supervisor that restarts it")
	} else {
		o.Step("starting the controller next to the API server")
	}
	controller, err := StartController(ctx, ControllerOptions{
		Config: c.Config, Server: localServer, Dir: dir, Bind: webhooksAt, Metrics: metricsAt, Health: healthAt,
		Flags: o.Flags, Supervise: o.Supervise,
		Start: func(s process.Spec) (*process.Process, error) {
			return c.StartInControlPlane(s.Name, s.Path, s.Args, s.Env)
		},
		Reach: dialOn(c.Control),
	})
	if err != nil {
		return nil, err
	}
	o.Step("starting the stand-in of OpenKruise next to it")
	owner, err := startStandin(ctx, c, standin, dir)
	if err != nil {
		return nil, err
	}
	o.Step("putting the plugin onto the nodes")
	if err := pluginOnNodes(ctx, c, dir); err != nil {
		return nil, err
	}
	o.Step("waiting for webhooks and nodes")
	if err := AwaitWebhooks(ctx, c.Config); err != nil {
		return nil, err
	}
	return controller, errors.Join(c.WaitReady(ctx), owner.Check())
}

// Dir is the folder of the product's programs, keys and caches, on the cluster's disk: it is
// removed with the cluster.
func Dir(c *cluster.Cluster) string {
	return filepath.Join(filepath.Dir(filepath.Dir(c.AuthorityFile())), "spiderpool")
}

// startStandin gives OpenKruise's stand-in an admin's rights: the rights of the real one do not
// matter for the product.
func startStandin(ctx context.Context, c *cluster.Cluster, program, dir string) (*process.Process, error) {
	config, err := clientcmd.LoadFromFile(c.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig of an admin: %w", err)
	}
	for _, known := range config.Clusters {
		known.Server = localServer
	}
	file := filepath.Join(dir, "kruise-standin.kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		return nil, err
	}
	if err := kruise.Install(ctx, c.Config); err != nil {
		return nil, err
	}
	return c.StartInControlPlane("kruise-standin", program, []string{"--kubeconfig=" + file}, nil)
}

func pluginOnNodes(ctx context.Context, c *cluster.Cluster, dir string) error {
	identity, err := NewIdentity(ctx, c.Config, "spiderpool-cni", cluster.Server, filepath.Join(dir, "cni"))
	if err != nil {
		return err
	}
	for _, n := range c.Nodes {
		err := Plugin(ctx, PluginOptions{
			Source: filepath.Join(dir, "plugin"), BinDir: n.CNIBinDir(),
			ConfDir: filepath.Join(n.CNIConfDir(), filepath.Base(confOnNode)), OnNode: confOnNode,
			Server: cluster.Server, Identity: identity,
		})
		if err != nil {
			return fmt.Errorf("node %q: %w", n.Name, err)
		}
	}
	return nil
}

// dialOn connects from inside a machine. Addresses must be numeric: then the socket is opened by
// the calling thread, which is the one in the machine's namespaces.
func dialOn(m *machine.Machine) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = m.InNetwork(func() (err error) {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}
}
