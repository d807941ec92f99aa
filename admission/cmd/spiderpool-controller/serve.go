package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"spidernet.io/spiderpool/admission"
	"spidernet.io/spiderpool/admission/config"
	"spidernet.io/spiderpool/admission/selection"
	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/lifecycle"
	"spidernet.io/spiderpool/allocator/lifecycle/latebind"
	"spidernet.io/spiderpool/allocator/view"
	"spidernet.io/spiderpool/certs"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// serve runs the controller until ctx ends or it may no longer lead.
func serve(ctx context.Context, stop context.CancelCauseFunc, o options) error {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), crdv1.AddToScheme(scheme)); err != nil {
		return err
	}
	restConfig, err := connection(o.kubeconfig)
	if err != nil {
		return err
	}
	direct, err := client.New(restConfig, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	var conf config.Config
	err = persist(ctx, func() (err error) { conf, err = readConfig(ctx, direct, o); return err })
	if err != nil {
		return err
	}
	var certificate tls.Certificate
	err = persist(ctx, func() (err error) { certificate, err = prepareCertificate(ctx, direct, o); return err })
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(restConfig, managerOptions(scheme, certificate, o))
	if err != nil {
		return err
	}
	if err := assemble(ctx, mgr, direct, conf, stop); err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// connection has no client-side rate limit: the API server knows its own load better, and throttles
// by API Priority and Fairness.
func connection(kubeconfig string) (*rest.Config, error) {
	rules := clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig}
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading -kubeconfig: %w", err)
	}
	c.QPS = -1
	c.UserAgent = "spiderpool-controller"
	return c, nil
}

// persist retries what failed because the API server was unavailable. If the replica exited
// instead, the kubelet would restart it with a growing backoff, and pods would wait for it.
func persist(ctx context.Context, do func() error) error {
	const pause = 2 * time.Second
	for {
		err := do()
		if err == nil || !away(err) {
			return err
		}
		log.Log.Error(err, "the API server is away; trying again", "after", pause.String())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// away reports whether the API server did not answer, or answered that it cannot serve now.
func away(err error) bool {
	var network net.Error
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return false // something else answered, and would again
	}
	return errors.As(err, &network) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err)
}

func readConfig(ctx context.Context, c client.Reader, o options) (config.Config, error) {
	var m corev1.ConfigMap
	key := types.NamespacedName{Namespace: o.namespace, Name: o.configMap}
	if err := c.Get(ctx, key, &m); err != nil {
		return config.Config{}, fmt.Errorf("reading the configuration: %w", err)
	}
	const entry = "conf.yml"
	text, ok := m.Data[entry]
	if !ok {
		return config.Config{}, fmt.Errorf("reading the configuration: ConfigMap %s has no key %s", key, entry)
	}
	parsed, err := config.Parse([]byte(text))
	if err != nil {
		return config.Config{}, fmt.Errorf("reading the configuration: ConfigMap %s, key %s: %w", key, entry, err)
	}
	return parsed, nil
}

// prepareCertificate makes sure that the API server can call this replica before it starts to
// listen.
func prepareCertificate(ctx context.Context, c client.Client, o options) (tls.Certificate, error) {
	names, addresses := split(o.servingHosts)
	bundle, err := certs.Ensure(ctx, c, certs.Options{
		Namespace: o.namespace, SecretName: o.servingSecret, DNSNames: names, IPAddresses: addresses,
	})
	if err != nil {
		return tls.Certificate{}, err
	}
	if err := certs.Inject(ctx, c, bundle.CA, o.webhookConfiguration, o.webhookConfiguration); err != nil {
		return tls.Certificate{}, err
	}
	return bundle.Serving()
}

func managerOptions(scheme *runtime.Scheme, certificate tls.Certificate, o options) manager.Options {
	renew, retry := o.lease*2/3, o.lease/5
	return manager.Options{
		Scheme:                        scheme,
		LeaderElection:                true,
		LeaderElectionID:              "spiderpool-controller",
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true, // the process exits right after
		LeaseDuration:                 &o.lease,
		RenewDeadline:                 &renew,
		RetryPeriod:                   &retry,
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress:        o.healthAddress,
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: o.webhookAddress.Addr().String(),
			Port: int(o.webhookAddress.Port()),
			TLSOpts: []func(*tls.Config){func(c *tls.Config) {
				c.MinVersion = tls.VersionTLS13
				c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil }
			}},
		}),
	}
}

// assemble wires the packages together: the only place that knows all of them.
func assemble(ctx context.Context, mgr manager.Manager, direct client.Client, conf config.Config, stop context.CancelCauseFunc) error {
	v, err := observe(ctx, mgr, direct, stop)
	if err != nil {
		return err
	}
	lo := ledger.Options{
		API:               ledger.NewAPI(direct),
		Pools:             v.pools,
		ReservedRanges:    v.reserved.Ranges,
		Used:              v.used,
		Synced:            v.synced,
		Caps:              ledger.Caps{Namespace: conf.ReservationCap.Namespace, Owner: conf.ReservationCap.Owner},
		OnClusterRestored: stop,
		Logger:            mgr.GetLogger().WithName("ledger"),
		Metrics:           ledger.NewMetrics(metrics.Registry),
	}
	if err := metrics.Registry.Register(ledger.NewPoolCollector(v.pools, lo)); err != nil {
		return err
	}
	l := ledger.New(lo)
	po := admission.PodOptions{
		Config: conf, Pools: v.pools, Changes: &v.changes, Cached: mgr.GetClient(), Live: direct, Reserver: l, DryRun: ledger.NewDryRun(lo),
		Metrics: admission.NewMetrics(metrics.Registry),
	}
	admission.Register(mgr.GetWebhookServer(), mgr.GetScheme(),
		admission.NewPodDefaulter(po),
		admission.NewPoolValidator(admission.PoolOptions{Config: conf, Pools: v.pools, Users: v.claims}),
		admission.NewReservedIPValidator(conf),
	)
	err = lifecycle.Setup(mgr, lifecycle.Options{
		Ledger: l, Pools: v.pools, Decoder: v.pools.Decoder(), Claims: v.claims, Nodes: v.nodes, Arrivals: v.arrivals, ReservedRanges: v.reserved.Ranges,
		Chooser: chooser{admission.NewChooser(po)},
		Identity: func(p *view.Pod) (allocator.Identity, string) {
			return admission.Identity(p.Name, p.Namespace, metav1.GetControllerOfNoCopy(p), conf)
		},
		Grace: conf.ExpiryGrace, Metrics: lifecycle.NewMetrics(metrics.Registry), OnLeadershipLost: stop,
	})
	if err != nil {
		return err
	}
	return checks(mgr, v.synced)
}

// views is what this replica sees of the cluster.
type views struct {
	claims   *view.Claims
	arrivals *view.Arrivals
	nodes    *view.Nodes
	pools    *ledger.Watched
	reserved *ledger.ReservedRanges
	changes  admission.Signal // of pools
}

// synced reports whether everything that decisions rest on was listed once (I11).
func (v *views) synced() bool {
	return v.claims.Synced() && v.nodes.Synced() && v.pools.Synced() && v.reserved.Synced()
}

// used reports whether something in the cluster uses an address (I7).
func (v *views) used(a netip.Addr) bool { return v.claims.UsedBy(a) || v.nodes.UsedBy(a) }

// observe starts to watch the cluster.
func observe(ctx context.Context, mgr manager.Manager, direct client.Client, stop context.CancelCauseFunc) (*views, error) {
	typed, err := kubernetes.NewForConfigAndClient(rest.CopyConfig(mgr.GetConfig()), mgr.GetHTTPClient())
	if err != nil {
		return nil, err
	}
	v := &views{}
	if v.claims, err = view.NewClaims(typed); err != nil {
		return nil, err
	}
	v.arrivals, err = view.NewArrivals(v.claims, func(ctx context.Context) (view.Awaited, error) { return lifecycle.ReadAwaited(ctx, direct) })
	if err != nil {
		return nil, err
	}
	if v.nodes, err = view.NewNodes(typed, time.Now); err != nil {
		return nil, err
	}
	if err := errors.Join(mgr.Add(v.claims), mgr.Add(v.arrivals), mgr.Add(v.nodes), mgr.Add(view.NewRestored(direct, v.claims, stop))); err != nil {
		return nil, err
	}
	if v.pools, err = ledger.Watch(ctx, mgr.GetCache(), v.changes.Ring); err != nil {
		return nil, err
	}
	if v.reserved, err = ledger.WatchReservedRanges(ctx, mgr.GetCache()); err != nil {
		return nil, err
	}
	// Started now, so that the first pod does not wait for the list.
	_, err = mgr.GetCache().GetInformer(ctx, &corev1.Namespace{}, cache.BlockUntilSynced(false))
	return v, err
}

// chooser lets the leader ask what admission would choose.
type chooser struct{ *admission.Chooser }

var _ latebind.Chooser = chooser{}

// Choose implements latebind.Chooser.
func (c chooser) Choose(ctx context.Context, pod *corev1.Pod) (choice.Choice, error) {
	chosen, err := c.Chooser.Choose(ctx, pod)
	var refusal *selection.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.NotYet:
		return choice.Choice{}, &latebind.NoPoolError{Reason: crdv1.ReasonPoolNotReady, Err: err}
	case errors.As(err, &refusal):
		return choice.Choice{}, &latebind.NoPoolError{Reason: crdv1.ReasonNoPool, Err: err}
	}
	return chosen, err
}

// checks serves the probes: whether the process lives, for the kubelet, and whether this replica
// may answer, for the Service (I11).
func checks(mgr manager.Manager, synced func() bool) error {
	started := mgr.GetWebhookServer().StartedChecker()
	return errors.Join(
		mgr.AddHealthzCheck("process", func(*http.Request) error { return nil }),
		mgr.AddReadyzCheck("webhooks", started),
		mgr.AddReadyzCheck("lists", func(*http.Request) error {
			if !synced() {
				return errors.New("pods, nodes, pools and reserved addresses are not all listed yet")
			}
			return nil
		}),
	)
}
