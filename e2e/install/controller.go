package install

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/cluster/component"
	"spidernet.io/spiderpool/e2e/cluster/process"
)

// ControllerName is the name of the controller's process, its log and its record.
const ControllerName = "spiderpool-controller"

// ControllerOptions say where and how a controller runs.
type ControllerOptions struct {
	Config *rest.Config // of an admin
	// Server is the API server as the controller reaches it; empty means the one of Config.
	Server          string
	Dir             string         // for its binary, identity and log
	Bind            netip.AddrPort // of its webhooks
	Metrics, Health netip.AddrPort // of its other servers
	// Start starts the process where it is to run.
	Start func(process.Spec) (*process.Process, error)
	// Reach connects from this process to Health; nil means directly.
	Reach func(ctx context.Context, network, address string) (net.Conn, error)
	// Flags are added to the controller's.
	Flags []string
	// Supervise restarts the controller whenever it ends; Process is then its supervisor. Tests
	// that stop or kill the controller themselves leave it out.
	Supervise bool
}

// Controller is a running controller.
type Controller struct {
	*process.Process
	health *http.Client
	ready  string // URL
}

// StartController builds and starts a controller and returns once it is ready.
func StartController(ctx context.Context, o ControllerOptions) (*Controller, error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	binary, err := component.Own(ctx, "admission/cmd/spiderpool-controller", o.Dir)
	if err != nil {
		return nil, err
	}
	identity, err := NewIdentity(ctx, o.Config, "spiderpool-controller", o.Server, filepath.Join(o.Dir, "controller"))
	if err != nil {
		return nil, err
	}
	spec := process.Spec{
		Name: ControllerName,
		Path: binary,
		Args: append([]string{
			"--kubeconfig=" + identity.Kubeconfig,
			"--namespace=" + Namespace,
			"--webhook-bind-address=" + o.Bind.String(),
			"--metrics-bind-address=" + o.Metrics.String(),
			"--health-bind-address=" + o.Health.String(),
			"--webhook-configuration=spiderpool",
		}, o.Flags...),
		Env:    []string{"HOME=" + o.Dir, "PATH=/usr/bin:/bin"},
		Log:    filepath.Join(o.Dir, ControllerName+".log"),
		Record: filepath.Join(o.Dir, ControllerName+".record"),
	}
	if o.Supervise {
		if spec, err = supervised(ctx, o.Dir, spec); err != nil {
			return nil, err
		}
	}
	p, err := o.Start(spec)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DialContext: o.Reach, DisableKeepAlives: true}
	c := &Controller{
		Process: p,
		health:  &http.Client{Transport: transport, Timeout: 5 * time.Second},
		ready:   "http://" + o.Health.String() + "/readyz",
	}
	if err := c.AwaitReady(ctx); err != nil {
		return nil, errors.Join(err, p.Kill(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// supervised returns how to start a supervisor of a program, with the program's environment and
// log.
func supervised(ctx context.Context, dir string, program process.Spec) (process.Spec, error) {
	binary, err := component.Own(ctx, "e2e/cluster/cmd/supervise", dir)
	if err != nil {
		return process.Spec{}, err
	}
	program.Path, program.Args = binary, append([]string{program.Path}, program.Args...)
	return program, nil
}

// AwaitReady waits until the controller says that it is ready.
func (c *Controller) AwaitReady(ctx context.Context) error {
	last := errors.New("it was not asked")
	err := wait.PollUntilContextTimeout(ctx, poll, patience, true, func(ctx context.Context) (bool, error) {
		if err := c.Check(); err != nil {
			return false, err
		}
		last = c.getReady(ctx)
		return last == nil, nil
	})
	if wait.Interrupted(err) {
		err = fmt.Errorf("%w: %w", err, last)
	}
	if err != nil {
		return fmt.Errorf("waiting for the controller to be ready (its log is %s): %w", c.Spec.Log, err)
	}
	return nil
}

func (c *Controller) getReady(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.ready, nil)
	if err != nil {
		return err
	}
	response, err := c.health.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s says %s", c.ready, response.Status)
	}
	return nil
}

// AwaitWebhooks waits until the API server reaches all of the controller's webhooks and trusts it.
// A ready controller is not enough: the API server sees a new webhook configuration, and a new CA
// in it, a moment later.
func AwaitWebhooks(ctx context.Context, cfg *rest.Config) error {
	scheme := runtime.NewScheme()
	if err := crdv1.AddToScheme(scheme); err != nil {
		return err
	}
	plain, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	c := client.NewDryRunClient(plain)
	var last error
	err = wait.PollUntilContextTimeout(ctx, poll, patience, true, func(ctx context.Context) (bool, error) {
		last = probe(ctx, c)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the webhooks to answer: %w: %w", err, last)
	}
	return nil
}

// probe has a good pool mutated and a bad one refused, both as dry runs. The pods' webhook is in
// the same configuration as the mutating one of pools.
func probe(ctx context.Context, c client.Client) error {
	pool := func(ips ...string) *crdv1.SpiderIPPool {
		return &crdv1.SpiderIPPool{
			ObjectMeta: metav1.ObjectMeta{Name: "webhook-probe"},
			Spec:       crdv1.IPPoolSpec{Subnet: "198.18.0.0/24", IPs: ips},
		}
	}
	good := pool()
	if err := c.Create(ctx, good); err != nil {
		return fmt.Errorf("a good pool: %w", err)
	}
	if good.Spec.IPVersion == nil {
		return errors.New("a good pool: its ipVersion was not filled in")
	}
	if err := c.Create(ctx, pool("198.18.1.1")); err == nil {
		return errors.New("a pool with an address outside of its subnet was not refused")
	}
	return nil
}

// firstPort and lastPort are below the kernel's ports for outgoing connections: none of those takes
// the port of a controller that is being restarted.
const firstPort, lastPort = 20000, 32000

// FreePorts returns different loopback addresses that nothing listens on.
func FreePorts(n int) ([]netip.AddrPort, error) {
	var free []netip.AddrPort
	for attempt := 0; len(free) < n; attempt++ {
		port := uint16(firstPort + rand.IntN(lastPort-firstPort)) // within 16 bits
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(a))
		if err != nil {
			if attempt == 100 {
				return nil, fmt.Errorf("finding a free port: %w", err)
			}
			continue
		}
		defer l.Close() // only once all are chosen, so that they differ
		free = append(free, a)
	}
	return free, nil
}
