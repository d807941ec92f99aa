package apiserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/cluster"
	"spidernet.io/spiderpool/e2e/cluster/component"
)

// Server is an API server for tests.
type Server struct {
	Config     *rest.Config
	Kubeconfig string // the same as a file
	Scheme     *runtime.Scheme
	Client     client.Client // of an admin, without a cache
}

// Main is the body of a TestMain: it starts a server, hands it to use, runs the tests and stops it.
// It returns what the process should exit with.
func Main(m *testing.M, use func(*Server) error) int {
	code, err := run(context.Background(), m, use)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func run(ctx context.Context, m *testing.M, use func(*Server) error) (code int, err error) {
	plane, err := cluster.StartControlPlane(ctx, cluster.ControlPlaneOptions{})
	if err != nil {
		return 1, err
	}
	defer func() {
		if stop := plane.Stop(ctx); err == nil {
			err = stop
		}
	}()
	server, err := prepare(plane)
	if err != nil {
		return 1, err
	}
	if err := use(server); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func prepare(plane *cluster.ControlPlane) (*Server, error) {
	config := plane.Config
	tree, err := component.Tree()
	if err != nil {
		return nil, err
	}
	_, err = envtest.InstallCRDs(config, envtest.CRDInstallOptions{
		Paths: []string{filepath.Join(tree, "chart", "files", "crds")}, ErrorIfPathMissing: true, MaxTime: 30 * time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("installing the custom resources: %w", err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, crdv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	return &Server{Config: config, Kubeconfig: plane.Kubeconfig, Scheme: scheme, Client: c}, nil
}

// patience bounds the wait for a condition; it is reached by failures only.
const patience = 30 * time.Second

// Eventually waits until check says so.
func Eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !check() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, patience)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
