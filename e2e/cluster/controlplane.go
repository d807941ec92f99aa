package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"spidernet.io/spiderpool/e2e/cluster/component"
	"spidernet.io/spiderpool/e2e/cluster/machine"
	"spidernet.io/spiderpool/e2e/cluster/process"
)

// serviceRanges are the address ranges of Services.
const serviceRanges = "10.96.0.0/16,fd00:10:96::/112"

// grace is how long a program may take to exit after SIGTERM.
const grace = 10 * time.Second

// plane says where a control plane runs and with which flags.
type plane struct {
	dir                  string // etcd's data, records
	logs                 string
	bin                  string // Kubernetes' programs
	keys                 identities
	etcdClient, etcdPeer netip.AddrPort
	apiBind              netip.AddrPort
	advertise            netip.Addr // the API server's address for pods; not valid where there are no pods
	apiServerFlags       []string
	managerFlags         []string // of the controller manager
	survive              bool     // outlives this process
}

// spec returns how one of Kubernetes' programs is started.
func (p plane) spec(program string, args ...string) process.Spec {
	return process.Spec{
		Name:    program,
		Path:    filepath.Join(p.bin, program),
		Args:    args,
		Env:     []string{"PATH=" + machine.SystemPath, "HOME=/"},
		Log:     filepath.Join(p.logs, program+".log"),
		Record:  filepath.Join(p.dir, program+".record"),
		Survive: p.survive,
	}
}

// server is the API server's address for programs on the same machine.
func (p plane) server() string {
	return fmt.Sprintf("https://127.0.0.1:%d", p.apiBind.Port())
}

// ControlPlane is a running etcd and API server. Each of its processes can be paused, killed and
// restarted.
type ControlPlane struct {
	Config            *rest.Config // of an admin, without client-side limits
	Kubeconfig        string       // the same as a file
	Etcd              *process.Process
	APIServer         *process.Process
	ControllerManager *process.Process // nil where it was not requested
	Scheduler         *process.Process // nil without nodes

	dir string // removed by Stop; empty where the cluster owns it
}

// ControlPlaneOptions are the options of a control plane without nodes.
type ControlPlaneOptions struct {
	// APIServerFlags are added to the API server's own, and win over them.
	APIServerFlags []string
	// ControllerManager requests the kube-controller-manager: for default service accounts (without
	// it the admission plugin ServiceAccount refuses pods), ReplicaSets, garbage collection, the
	// deletion of namespaces.
	ControllerManager bool
}

// StartControlPlane starts etcd and an API server, and nothing that could run a pod, on free
// loopback ports. It does not need root. It returns once the API server is ready. Stop, or the end
// of this process, ends what it started.
func StartControlPlane(ctx context.Context, options ControlPlaneOptions) (*ControlPlane, error) {
	store, err := component.Default()
	if err != nil {
		return nil, err
	}
	bin, err := store.Dir(ctx, "kubernetes")
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		c, err := startOnLoopback(ctx, bin, options)
		if err == nil {
			return c, nil
		}
		// A port that was free when it was chosen may be taken by now.
		if attempt == 3 || !strings.Contains(err.Error(), "address already in use") {
			return nil, fmt.Errorf("starting a control plane: %w", err)
		}
	}
}

func startOnLoopback(ctx context.Context, bin string, options ControlPlaneOptions) (*ControlPlane, error) {
	dir, err := os.MkdirTemp("", "control-plane-")
	if err != nil {
		return nil, err
	}
	p := plane{dir: dir, logs: dir, bin: bin, keys: identities{filepath.Join(dir, "keys")}, apiServerFlags: options.APIServerFlags}
	c := &ControlPlane{dir: dir, Kubeconfig: filepath.Join(dir, "kubeconfig")}
	err = c.start(ctx, p, options.ControllerManager)
	if err != nil {
		return nil, errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

func (c *ControlPlane) start(ctx context.Context, p plane, controllerManager bool) error {
	for _, port := range []*netip.AddrPort{&p.etcdClient, &p.etcdPeer, &p.apiBind} {
		free, err := freePort()
		if err != nil {
			return err
		}
		*port = free
	}
	issuer, err := newIssuer(p.keys.dir)
	if err != nil {
		return err
	}
	if err := issuer.controlPlane([]string{"127.0.0.1", "localhost"}); err != nil {
		return err
	}
	if err := issuer.issueControllers(p.server()); err != nil {
		return err
	}
	if err := issuer.client(c.Kubeconfig, p.server(), admin); err != nil {
		return err
	}
	if err := c.launch(p, process.Here); err != nil {
		return err
	}
	if err := c.awaitReady(ctx); err != nil {
		return err
	}
	if !controllerManager {
		return nil
	}
	if c.ControllerManager, err = process.Start(process.Here, p.controllerManager()); err != nil {
		return err
	}
	return c.awaitServiceAccounts(ctx)
}

// launch starts etcd and the API server, which waits for etcd by itself.
func (c *ControlPlane) launch(p plane, place process.Place) (err error) {
	if c.Etcd, err = process.Start(place, p.etcd()); err != nil {
		return err
	}
	if c.APIServer, err = process.Start(place, p.apiServer()); err != nil {
		return err
	}
	c.Config, err = loadConfig(c.Kubeconfig)
	return err
}

// awaitReady waits until the API server reports that it is ready, including its built-in roles.
func (c *ControlPlane) awaitReady(ctx context.Context) error {
	return c.awaitOK(ctx, "the API server to be ready", "/readyz", c.Etcd, c.APIServer)
}

// awaitServiceAccounts waits for what pods of namespace default need: the first sign that the
// controller manager works.
func (c *ControlPlane) awaitServiceAccounts(ctx context.Context) error {
	return c.awaitOK(ctx, "the default service account", "/api/v1/namespaces/default/serviceaccounts/default", c.processes()...)
}

// awaitOK waits until the API server answers a GET of the path with OK, unless one of the required
// processes has ended.
func (c *ControlPlane) awaitOK(ctx context.Context, what, path string, takes ...*process.Process) error {
	client, err := rest.HTTPClientFor(c.Config)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	return await(ctx, what, func(ctx context.Context) error {
		if err := check(takes); err != nil {
			return hopeless{err}
		}
		return getOK(ctx, client, c.Config.Host+path)
	})
}

// check returns an error if one of the processes has ended.
func check(processes []*process.Process) error {
	var errs []error
	for _, p := range processes {
		errs = append(errs, p.Check())
	}
	return errors.Join(errs...)
}

// processes returns the started processes, in the order to stop them: the API server before etcd,
// or it would spend its last seconds waiting for it.
func (c *ControlPlane) processes() []*process.Process {
	all := []*process.Process{c.ControllerManager, c.Scheduler, c.APIServer, c.Etcd}
	return slices.DeleteFunc(all, func(p *process.Process) bool { return p == nil })
}

// Ready waits until the API server is ready, after a restart for example.
func (c *ControlPlane) Ready(ctx context.Context) error { return c.awaitReady(ctx) }

// Stop ends all processes and removes the files.
func (c *ControlPlane) Stop(ctx context.Context) error {
	var errs []error
	for _, p := range c.processes() {
		p.Resume() //nolint:errcheck // a paused process does not react; it does not matter if it is gone
		errs = append(errs, p.Stop(ctx, grace))
	}
	if c.dir != "" {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}

// Ports are chosen below the kernel's ports for outgoing connections, so that none of these takes
// the port of a server that is being restarted.
const firstPort, lastPort = 20000, 32000

func freePort() (netip.AddrPort, error) {
	var last error
	for range 100 {
		address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(firstPort+rand.IntN(lastPort-firstPort)))
		listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(address))
		if err == nil {
			return address, listener.Close()
		}
		last = err
	}
	return netip.AddrPort{}, fmt.Errorf("finding a free port: %w", last)
}
