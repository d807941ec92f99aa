package kruise

import (
	"bytes"
	"context"
	_ "embed" // the CRDs
	"fmt"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"
)

// Gates are the feature gates of OpenKruise that change how pods are created. The zero value is its
// default.
type Gates struct {
	// StartOrdinal is StatefulSetStartOrdinal: ordinals.start is honoured. Otherwise it is ignored,
	// and ordinals start at zero.
	StartOrdinal bool
}

// Options say how a stand-in runs.
type Options struct {
	Gates Gates
	Log   logr.Logger
}

//go:embed crd.yaml
var crds []byte

// Install creates the definitions and waits until the API server serves the kinds.
func Install(ctx context.Context, cfg *rest.Config) error {
	c, err := client.New(cfg, client.Options{})
	if err != nil {
		return fmt.Errorf("installing the stand-in's definitions: %w", err)
	}
	for document := range bytes.SplitSeq(crds, []byte("\n---\n")) {
		var definition unstructured.Unstructured
		if err := yaml.Unmarshal(document, &definition.Object); err != nil {
			return fmt.Errorf("reading the stand-in's definitions: %w", err)
		}
		apply := client.ApplyConfigurationFromUnstructured(&definition)
		if err := c.Apply(ctx, apply, client.FieldOwner("kruise-standin"), client.ForceOwnership); err != nil {
			return fmt.Errorf("installing definition %q: %w", definition.GetName(), err)
		}
	}
	for _, kind := range []schema.GroupVersionKind{
		GroupVersion.WithKind("CloneSetList"), GroupVersion.WithKind("StatefulSetList"), DatabaseGroupVersion.WithKind("DatabaseList"),
	} {
		if err := awaitServed(ctx, cfg, kind); err != nil {
			return err
		}
	}
	return nil
}

func awaitServed(ctx context.Context, cfg *rest.Config, kind schema.GroupVersionKind) error {
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		list := unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		fresh, err := client.New(cfg, client.Options{}) // a mapper remembers that a kind was missing
		if err != nil {
			return false, err
		}
		return fresh.List(ctx, &list, client.Limit(1)) == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the API server to serve %s: %w", kind, err)
	}
	return nil
}

// Run installs the definitions and creates pods until ctx ends. It calls ready once it watches.
func Run(ctx context.Context, cfg *rest.Config, o Options, ready func()) error {
	if err := Install(ctx, cfg); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	if err := AddToScheme(scheme); err != nil {
		return err
	}
	skip := true // two stand-ins in one test process are allowed
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:     scheme,
		Logger:     o.Log,
		Metrics:    server.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: &skip},
	})
	if err != nil {
		return fmt.Errorf("making the stand-in: %w", err)
	}
	if err := addControllers(ctx, mgr, o.Gates); err != nil {
		return fmt.Errorf("making the stand-in: %w", err)
	}
	go func() {
		if mgr.GetCache().WaitForCacheSync(ctx) {
			ready()
		}
	}()
	return mgr.Start(ctx)
}

func addControllers(ctx context.Context, mgr ctrl.Manager, gates Gates) error {
	shared := func(component string) reconciler {
		return reconciler{Client: mgr.GetClient(), live: mgr.GetAPIReader(), events: mgr.GetEventRecorder(component), now: time.Now}
	}
	clones := &cloneSets{shared("cloneset-controller")}
	if err := ctrl.NewControllerManagedBy(mgr).Named("cloneset").For(&CloneSet{}).Owns(&corev1.Pod{}).Complete(clones); err != nil {
		return err
	}
	sets := &statefulSets{shared("statefulset-controller"), gates}
	if err := ctrl.NewControllerManagedBy(mgr).Named("statefulset").For(&StatefulSet{}).Owns(&corev1.Pod{}).Complete(sets); err != nil {
		return err
	}
	operator := &databases{Client: mgr.GetClient(), live: mgr.GetAPIReader()}
	if err := ctrl.NewControllerManagedBy(mgr).Named("database").For(&Database{}).Owns(&appsv1.StatefulSet{}).Complete(operator); err != nil {
		return err
	}
	for _, kind := range []client.Object{&CloneSet{}, &StatefulSet{}, &Database{}, &appsv1.StatefulSet{}, &corev1.Pod{}} {
		if _, err := mgr.GetCache().GetInformer(ctx, kind, cache.BlockUntilSynced(false)); err != nil {
			return err
		}
	}
	return nil
}

// Standin is a stand-in that runs in this process.
type Standin struct {
	cancel context.CancelFunc
	done   chan error
}

// Start runs a stand-in and returns once it watches.
func Start(ctx context.Context, cfg *rest.Config, o Options) (*Standin, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &Standin{cancel: cancel, done: make(chan error, 1)}
	ready := make(chan struct{})
	go func() { s.done <- Run(ctx, cfg, o, func() { close(ready) }) }()
	select {
	case <-ready:
		return s, nil
	case err := <-s.done:
		cancel()
		return nil, err
	}
}

// Stop ends the stand-in and waits until it has ended.
func (s *Standin) Stop() error {
	s.cancel()
	return <-s.done
}
