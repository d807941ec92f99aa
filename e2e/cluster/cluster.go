package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"spidernet.io/spiderpool/e2e/cluster/filelock"
	"spidernet.io/spiderpool/e2e/cluster/machine"
	"spidernet.io/spiderpool/e2e/cluster/process"
)

// Server is the API server's address on the underlay.
const Server = "https://172.18.0.1:6443"

// apiPort is where the API server listens on its machine.
const apiPort = 6443

// ErrUp says that a cluster of this name is running already.
var ErrUp = errors.New("is up already")

// Cluster is a running cluster.
type Cluster struct {
	Config       *rest.Config // of an admin, without client-side limits
	Kubeconfig   string       // the same as a file
	ControlPlane *ControlPlane
	Control      *machine.Machine // the control plane's machine, and the underlay's gateway
	Nodes        []*Node

	options Options
	place   place
	tools   tools
}

// Up makes a cluster. It returns once all nodes are Ready or, where plugins that the network
// configuration names are missing, have registered and wait only for those. What it started
// outlives this process; Down ends it. What an earlier cluster of this name left behind is removed
// first; if one is still running, the error is ErrUp.
func Up(ctx context.Context, options Options) (*Cluster, error) {
	if err := checkRoot(); err != nil {
		return nil, err
	}
	if err := options.setDefaults(); err != nil {
		return nil, err
	}
	p, err := placeOf(options.Name)
	if err != nil {
		return nil, err
	}
	unlock, err := p.take(ctx, options.Out)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if c, err := open(options.Name, p); err == nil && c.alive() {
		return nil, fmt.Errorf("cluster %q %w: use it, or take it down first", p.id, ErrUp)
	}
	if err := p.clear(ctx); err != nil {
		return nil, fmt.Errorf("removing what is left of cluster %q: %w", p.id, err)
	}
	c := &Cluster{options: options, place: p, Kubeconfig: p.kubeconfig()}
	if err := c.up(ctx); err != nil {
		// The logs are kept, to find the cause.
		return nil, errors.Join(fmt.Errorf("starting cluster %q: %w", p.id, err), p.clear(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// checkRoot fails at once, instead of half way.
func checkRoot() error {
	if os.Geteuid() == 0 {
		return nil
	}
	return errors.New("a cluster needs root, for network namespaces, mounts and cgroups: run this under sudo -E, or run `make unit`, which needs none")
}

// take locks the cluster, so that no other process starts or removes it meanwhile.
func (p place) take(ctx context.Context, out io.Writer) (func(), error) {
	if err := os.MkdirAll(p.state, 0o755); err != nil {
		return nil, err
	}
	return filelock.Take(ctx, p.lock(), func() {
		fmt.Fprintf(out, "waiting for another process that works on cluster %q\n", p.id)
	})
}

func (c *Cluster) up(ctx context.Context) (err error) {
	if err := os.RemoveAll(c.place.logs()); err != nil {
		return err
	}
	for _, dir := range []string{c.place.disk, c.place.control(), c.place.logs(), c.place.bin()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := c.options.save(c.place.options()); err != nil {
		return err
	}
	if c.tools, err = gatherTools(ctx, c.options.Out, &c.place); err != nil {
		return err
	}
	keys, err := c.bootControl(ctx)
	if err != nil {
		return err
	}
	group, boot := errgroup.WithContext(ctx)
	group.Go(func() error { return c.startControlPlane(boot, keys) })
	for i := range c.options.Nodes {
		node := newNode(c, i)
		c.Nodes = append(c.Nodes, node)
		group.Go(func() error { return node.first(boot, keys) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, node := range c.Nodes {
		if err := node.bootKubernetes(); err != nil {
			return err
		}
	}
	if err := c.linkPrograms(); err != nil {
		return err
	}
	return c.awaitNodes(ctx)
}

// first prepares a node and boots it as far as possible without the API server.
func (n *Node) first(ctx context.Context, keys *issuer) error {
	if err := n.prepare(keys); err != nil {
		return fmt.Errorf("preparing node %q: %w", n.Name, err)
	}
	if err := n.bootRuntime(ctx); err != nil {
		return fmt.Errorf("booting node %q: %w", n.Name, err)
	}
	for _, tarball := range []string{n.cluster.tools.pause, n.cluster.tools.busybox} {
		if err := n.LoadImage(ctx, tarball); err != nil {
			return err
		}
	}
	return nil
}

// bootControl starts the control plane's machine with its door, builds the underlay, and issues all
// keys.
func (c *Cluster) bootControl(ctx context.Context) (*issuer, error) {
	door, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("opening a door on loopback: %w", err)
	}
	defer door.Close() // the machine has its own
	spec := machine.Spec{Name: "control-plane", Dir: c.place.control(), Upstream: fmt.Sprintf("127.0.0.1:%d", apiPort)}
	if c.Control, err = machine.Start(ctx, c.tools.machine, spec, door); err != nil {
		return nil, err
	}
	if err := buildUnderlay(c.Control); err != nil {
		return nil, err
	}
	keys, err := newIssuer(c.place.keys().dir)
	if err != nil {
		return nil, err
	}
	if err := keys.client(c.Kubeconfig, "https://"+door.Addr().String(), admin); err != nil {
		return nil, err
	}
	return keys, nil
}

// plane returns how the control plane is started.
func (c *Cluster) plane() plane {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	return plane{
		dir:            c.place.control(),
		logs:           c.place.logs(),
		bin:            c.tools.kubernetes,
		keys:           c.place.keys(),
		etcdClient:     netip.AddrPortFrom(loopback, 2379),
		etcdPeer:       netip.AddrPortFrom(loopback, 2380),
		apiBind:        netip.AddrPortFrom(netip.IPv6Unspecified(), apiPort),
		advertise:      GatewayIPv4,
		apiServerFlags: c.options.APIServerFlags,
		managerFlags:   c.options.ControllerManagerFlags,
		survive:        true,
	}
}

func (c *Cluster) startControlPlane(ctx context.Context, keys *issuer) (err error) {
	p := c.plane()
	hosts := []string{
		"127.0.0.1", "::1", "localhost", GatewayIPv4.String(), GatewayIPv6.String(), "10.96.0.1", "fd00:10:96::1",
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
	}
	if err := keys.controlPlane(hosts); err != nil {
		return err
	}
	if err := keys.issueControllers(p.server()); err != nil {
		return err
	}
	c.ControlPlane = &ControlPlane{Kubeconfig: c.Kubeconfig}
	if err := c.ControlPlane.launch(p, c.Control.Place); err != nil {
		return err
	}
	c.Config = c.ControlPlane.Config
	// The other two exit at once while they have no rights.
	if err := c.ControlPlane.awaitReady(ctx); err != nil {
		return err
	}
	if c.ControlPlane.ControllerManager, err = c.Control.Start(p.controllerManager()); err != nil {
		return err
	}
	if c.ControlPlane.Scheduler, err = c.Control.Start(p.scheduler()); err != nil {
		return err
	}
	if err := c.admitToKubelets(ctx); err != nil {
		return err
	}
	return c.ControlPlane.awaitServiceAccounts(ctx)
}

// admitToKubelets lets the API server fetch logs and run commands on nodes.
func (c *Cluster) admitToKubelets(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return err
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: kubeletClient},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:kubelet-api-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: kubeletClient}},
	}
	_, err = client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
	return err
}

// linkPrograms links kubectl and helm into the state folder.
func (c *Cluster) linkPrograms() error {
	for name, file := range map[string]string{"kubectl": filepath.Join(c.tools.kubernetes, "kubectl"), "helm": c.tools.helm} {
		if err := os.Symlink(file, filepath.Join(c.place.bin(), name)); err != nil {
			return err
		}
	}
	return nil
}

// LoadImage imports an image tarball on all nodes.
func (c *Cluster) LoadImage(ctx context.Context, tarball string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, node := range c.Nodes {
		group.Go(func() error { return node.LoadImage(ctx, tarball) })
	}
	return group.Wait()
}

// StartInControlPlane runs a program of this computer in the control plane's machine until the
// cluster ends. On loopback it reaches the API server and is reached by it; on the gateway's
// addresses, nodes and pods. The name is used for its log and record.
func (c *Cluster) StartInControlPlane(name, path string, args, env []string) (*process.Process, error) {
	spec := c.plane().spec(name, args...)
	spec.Path, spec.Env = path, append(spec.Env, env...)
	return c.Control.Start(spec)
}

// AuthorityFile is the certificate of the cluster's CA.
func (c *Cluster) AuthorityFile() string { return c.place.keys().file("ca.crt") }

// Bin is the folder with kubectl and helm.
func (c *Cluster) Bin() string { return c.place.bin() }

// Logs is the folder with the log of every process.
func (c *Cluster) Logs() string { return c.place.logs() }
