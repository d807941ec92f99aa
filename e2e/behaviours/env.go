package behaviours

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator/check"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/cluster"
	"spidernet.io/spiderpool/e2e/cluster/component"
	"spidernet.io/spiderpool/e2e/cluster/process"
	"spidernet.io/spiderpool/e2e/install"
	"spidernet.io/spiderpool/e2e/kruise"
)

// Env is an API server with the product installed.
type Env struct {
	Config     *rest.Config
	Client     client.WithWatch // reads past every cache
	Clients    kubernetes.Interface
	Controller *install.Controller
	Cluster    *cluster.Cluster      // nil without nodes
	Plane      *cluster.ControlPlane // nil with nodes, which have theirs in Cluster

	spares  chan *cluster.Node // those that nobody has
	kubectl kubectl
	audit   string // the API server's log of pod lists; empty where it keeps none
	watch   *check.Watch
	stop    []func(context.Context) error // in the order they were started
}

// Scheme has all kinds that behaviours use.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, crdv1.AddToScheme, kruise.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return scheme, nil
}

// NewEnv makes the clients for an API server and begins to watch its pods, which needs nothing of
// the product.
func NewEnv(ctx context.Context, cfg *rest.Config) (*Env, error) {
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	e := &Env{Config: cfg}
	if e.Client, err = client.NewWithWatch(cfg, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	if e.Clients, err = kubernetes.NewForConfig(cfg); err != nil {
		return nil, err
	}
	if e.watch, err = check.Start(ctx, e.Client); err != nil {
		return nil, err
	}
	return e, nil
}

// StartControlPlane starts an API server without nodes, the product, and OpenKruise's stand-in. dir
// takes the controller's files.
func StartControlPlane(ctx context.Context, dir string) (*Env, error) {
	return startControlPlane(ctx, dir, kruise.Gates{}, install.Chart)
}

// StartControlPlaneAs is StartControlPlane as it would be with an older version of Kubernetes, such
// as 1.35: the API server serves and does what that did.
func StartControlPlaneAs(ctx context.Context, minor, dir string) (*Env, error) {
	chart := func(ctx context.Context, cfg *rest.Config, values install.Values) error {
		return install.ChartFor(ctx, cfg, "v"+minor+".0", values)
	}
	return startControlPlane(ctx, dir, kruise.Gates{}, chart, "--emulated-version="+minor)
}

// Choices are what a cluster may choose instead of the defaults.
type Choices struct {
	Config install.Values // in the product's configuration
	Gates  kruise.Gates   // of OpenKruise
}

// StartControlPlaneWith is StartControlPlane with other choices.
func StartControlPlaneWith(ctx context.Context, other Choices, dir string) (*Env, error) {
	return startControlPlane(ctx, dir, other.Gates, func(ctx context.Context, cfg *rest.Config, values install.Values) error {
		all := maps.Clone(values["config"].(install.Values)) //nolint:errcheck,forcetypeassert // ChartValues made it
		maps.Copy(all, other.Config)
		values["config"] = all
		return install.Chart(ctx, cfg, values)
	})
}

// applyChart installs the chart.
type applyChart func(context.Context, *rest.Config, install.Values) error

func startControlPlane(ctx context.Context, dir string, gates kruise.Gates, chart applyChart, apiServerFlags ...string) (*Env, error) {
	plane, err := cluster.StartControlPlane(ctx, cluster.ControlPlaneOptions{
		APIServerFlags:    append(apiServerFlags, "--request-timeout="+RequestTimeout.String()),
		ControllerManager: true, // default service accounts, namespaces, garbage
	})
	if err != nil {
		return nil, err
	}
	e, err := installOnLoopback(ctx, plane, dir, chart)
	if err != nil {
		return nil, errors.Join(err, plane.Stop(context.WithoutCancel(ctx)))
	}
	e.Plane, e.stop = plane, append([]func(context.Context) error{plane.Stop}, e.stop...)
	if err := e.equip(ctx, plane.Kubeconfig, dir, gates); err != nil {
		return nil, errors.Join(err, e.Stop(context.WithoutCancel(ctx)))
	}
	return e, nil
}

// equip brings what beside the product runs in a suite with nodes too: kubectl and the controllers
// of OpenKruise.
func (e *Env) equip(ctx context.Context, kubeconfig, dir string, gates kruise.Gates) error {
	program, err := component.Path(ctx, "kubectl")
	if err != nil {
		return err
	}
	e.kubectl = kubectl{program: program, kubeconfig: kubeconfig, home: dir}
	standin, err := kruise.Start(context.WithoutCancel(ctx), e.Config, kruise.Options{Gates: gates, Log: logr.Discard()}) // ends with Stop
	if err != nil {
		return err
	}
	e.stop = append(e.stop, func(context.Context) error { return standin.Stop() })
	return nil
}

func installOnLoopback(ctx context.Context, plane *cluster.ControlPlane, dir string, chart applyChart) (*Env, error) {
	ports, err := install.FreePorts(3)
	if err != nil {
		return nil, err
	}
	if err := chart(ctx, plane.Config, ChartValues("https://"+ports[0].String())); err != nil {
		return nil, err
	}
	e, err := NewEnv(ctx, plane.Config)
	if err != nil {
		return nil, err
	}
	e.Controller, err = install.StartController(ctx, install.ControllerOptions{
		Config: plane.Config, Dir: dir, Bind: ports[0], Metrics: ports[1], Health: ports[2], Flags: ControllerFlags,
		Start: func(s process.Spec) (*process.Process, error) { return process.Start(process.Here, s) },
	})
	if err != nil {
		return nil, err
	}
	e.stop = append(e.stop, func(ctx context.Context) error { return e.Controller.Stop(ctx, Patience) })
	if err := install.AwaitWebhooks(ctx, plane.Config); err != nil {
		return nil, errors.Join(err, e.Stop(context.WithoutCancel(ctx)))
	}
	return e, nil
}

// Finish looks at everything once more, ends the watch, and returns an error for all that is wrong.
func (e *Env) Finish(ctx context.Context) error {
	found, err := check.Settled(ctx, e.Client, settle)
	if err != nil {
		return err
	}
	doubles, err := e.watch.Stop(ctx)
	if err != nil {
		return err
	}
	if found = append(found, doubles...); len(found) > 0 {
		return fmt.Errorf("not consistent in the end:\n%s", check.Format(found))
	}
	return nil
}

// WatchAnew judges what was seen of the pods and begins to watch them anew: after a restart of the
// API server, which forgets what was before. Where the cluster is to become another one in between,
// become does it.
func (e *Env) WatchAnew(ctx context.Context, become func(context.Context) error) error {
	doubles, err := e.watch.Stop(ctx)
	if err != nil && !errors.Is(err, check.ErrGap) {
		return err
	}
	if become != nil {
		if err := become(ctx); err != nil {
			return err
		}
	}
	if e.watch, err = check.Start(context.WithoutCancel(ctx), e.Client); err != nil {
		return err
	}
	if len(doubles) > 0 {
		return fmt.Errorf("the pods that were watched until now:\n%s", check.Format(doubles))
	}
	return nil
}

// Stop ends what was started, the last first.
func (e *Env) Stop(ctx context.Context) error {
	var errs []error
	for i := range e.stop {
		errs = append(errs, e.stop[len(e.stop)-1-i](ctx))
	}
	return errors.Join(errs...)
}

// Log returns the controller's log, for a test that failed.
func (e *Env) Log() string {
	text, err := os.ReadFile(filepath.Clean(e.Controller.Spec.Log))
	if err != nil {
		return err.Error()
	}
	return string(text)
}
