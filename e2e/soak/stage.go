package soak

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
	"spidernet.io/spiderpool/e2e/cluster"
	"spidernet.io/spiderpool/e2e/cluster/process"
	"spidernet.io/spiderpool/e2e/install"
	"spidernet.io/spiderpool/e2e/kruise"
)

const (
	namespace      = "soak"
	poolV4, poolV6 = "soak-v4", "soak-v6"
	replicas       = 2
	// patience limits what takes seconds on an idle machine.
	patience = 2 * time.Minute
)

// stage is everything that a run needs.
type stage struct {
	plane    *cluster.ControlPlane
	client   client.WithWatch // bypasses every cache, and the proxy
	replicas []*install.Controller
	webhooks *balancer
	proxy    *proxy

	mu   sync.Mutex
	away map[*process.Process]bool // down on purpose: it is not restarted
	stop []func(context.Context) error
}

// start brings up the control plane and the product. end stops what it started.
func start(ctx context.Context, dir string, seed uint64) (_ *stage, err error) {
	s := &stage{away: map[*process.Process]bool{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.end(context.WithoutCancel(ctx)))
		}
	}()
	s.plane, err = cluster.StartControlPlane(ctx, cluster.ControlPlaneOptions{
		APIServerFlags:    []string{"--request-timeout=" + behaviours.RequestTimeout.String()},
		ControllerManager: true,
	})
	if err != nil {
		return s, err
	}
	s.stop = append(s.stop, s.plane.Stop)
	ports, err := install.FreePorts(1 + 3*replicas)
	if err != nil {
		return s, err
	}
	if err := install.Chart(ctx, s.plane.Config, behaviours.ChartValues("https://"+ports[0].String())); err != nil {
		return s, err
	}
	scheme, err := behaviours.Scheme()
	if err != nil {
		return s, err
	}
	if s.client, err = client.NewWithWatch(s.plane.Config, client.Options{Scheme: scheme}); err != nil {
		return s, err
	}
	standin, err := kruise.Start(context.WithoutCancel(ctx), s.plane.Config, kruise.Options{Log: logr.Discard()})
	if err != nil {
		return s, err
	}
	s.stop = append(s.stop, func(context.Context) error { return standin.Stop() })
	if err := s.startProduct(ctx, dir, ports, seed); err != nil {
		return s, err
	}
	return s, s.prepare(ctx)
}

func (s *stage) startProduct(ctx context.Context, dir string, ports []netip.AddrPort, seed uint64) (err error) {
	between, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the proxies are stopped last but one
	s.stop = append(s.stop, func(context.Context) error { cancel(); return nil })
	if s.proxy, err = startProxy(between, s.plane.Config, seed); err != nil {
		return err
	}
	through := rest.CopyConfig(s.plane.Config)
	authority, err := install.AuthorityOf(through)
	if err != nil {
		return err
	}
	through.CAFile, through.CAData = "", slices.Concat(authority, s.proxy.Authority)
	var webhooks []netip.AddrPort
	for i := range replicas {
		own := ports[1+3*i:]
		webhooks = append(webhooks, own[0])
		c, err := install.StartController(ctx, install.ControllerOptions{
			Config: through, Server: s.proxy.URL, Dir: filepath.Join(dir, fmt.Sprintf("replica-%d", i)),
			Bind: own[0], Metrics: own[1], Health: own[2], Flags: behaviours.ControllerFlags,
			Start: func(spec process.Spec) (*process.Process, error) { return process.Start(process.Here, spec) },
		})
		if err != nil {
			return err
		}
		s.replicas = append(s.replicas, c)
		s.stop = append(s.stop, func(ctx context.Context) error { return c.Stop(ctx, patience) })
	}
	if s.webhooks, err = balance(between, ports[0], webhooks...); err != nil {
		return err
	}
	return install.AwaitWebhooks(ctx, s.plane.Config)
}

// prepare creates the namespace and the pools: they have fewer addresses than there may be pods.
func (s *stage) prepare(ctx context.Context) error {
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: poolV4}, Spec: crdv1.IPPoolSpec{Subnet: "172.30.0.0/16", IPs: []string{"172.30.1.1-172.30.1.90"}}},
		&crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: poolV6}, Spec: crdv1.IPPoolSpec{Subnet: "fd30::/64", IPs: []string{"fd30::1-fd30::80"}}},
	} {
		if err := s.client.Create(ctx, object); err != nil {
			return fmt.Errorf("creating %T %q: %w", object, object.GetName(), err)
		}
	}
	return behaviours.Await(ctx, patience, func(ctx context.Context) error {
		for _, name := range []string{poolV4, poolV6} {
			pool, err := s.pool(ctx, name)
			if err != nil {
				return err
			}
			if _, why := pool.Readiness(); why != "" {
				return fmt.Errorf("pool %q %s", name, why)
			}
		}
		return s.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, &corev1.ServiceAccount{})
	})
}

func (s *stage) pool(ctx context.Context, name string) (*crdv1.SpiderIPPool, error) {
	var pool crdv1.SpiderIPPool
	err := s.client.Get(ctx, client.ObjectKey{Name: name}, &pool)
	return &pool, err
}

// end stops what was started, in reverse order.
func (s *stage) end(ctx context.Context) error {
	var errs []error
	for i := range s.stop {
		errs = append(errs, s.stop[len(s.stop)-1-i](ctx))
	}
	return errors.Join(errs...)
}

// leave says whether a process is down on purpose.
func (s *stage) leave(p *process.Process, away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away[p] = away
}

// supervise restarts what has exited, as a Deployment and a kubelet would.
func (s *stage) supervise(ctx context.Context) {
	all := []*process.Process{s.plane.ControllerManager}
	for _, c := range s.replicas {
		all = append(all, c.Process)
	}
	for ctx.Err() == nil {
		for _, p := range all {
			s.mu.Lock()
			if !s.away[p] && !p.Alive() {
				_ = p.Restart() // if it does not come up, the next round tries again
			}
			s.mu.Unlock()
		}
		behaviours.Pause(ctx, 500*time.Millisecond)
	}
}

// clear deletes everything that the workload has created.
func (s *stage) clear(ctx context.Context) error {
	for _, object := range owners() {
		err := s.client.Delete(ctx, object, client.PropagationPolicy(metav1.DeletePropagationBackground))
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	var pods corev1.PodList
	if err := s.client.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
		return err
	}
	for i := range pods.Items {
		if err := client.IgnoreNotFound(s.client.Delete(ctx, &pods.Items[i])); err != nil {
			return err
		}
	}
	if n := len(pods.Items); n > 0 {
		return fmt.Errorf("%d pods are still there", n)
	}
	return nil
}
