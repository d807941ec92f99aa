package controlplane_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"spidernet.io/spiderpool/e2e/behaviours"
	"spidernet.io/spiderpool/e2e/behaviours/controlplane"
)

var env *behaviours.Env

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	ctx := context.Background()
	ctrl.SetLogger(logr.Discard()) // controller-runtime complains where nobody did
	dir, err := os.MkdirTemp("", "controlplane-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if env, err = behaviours.StartControlPlane(ctx, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code = m.Run()
	if err := env.Finish(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if code != 0 {
		fmt.Fprintf(os.Stderr, "the controller's log:\n%s\n", env.Log())
	}
	if err := env.Stop(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

func TestBehaviours(t *testing.T) { behaviours.Run(t, env, controlplane.All) }

func TestEveryBehaviourIsOneGoAndOneManifestOfItsID(t *testing.T) {
	t.Parallel()
	stems := map[string]bool{} // stem -> runs
	for _, b := range slices.Concat(controlplane.All, controlplane.Alone) {
		stems[b.ID] = true
		for _, ext := range []string{".go", ".yaml"} {
			if _, err := os.Stat(b.ID + ext); err != nil {
				t.Error(err)
			}
		}
	}
	manifests, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range manifests {
		if stem := strings.TrimSuffix(file, ".yaml"); !stems[stem] {
			t.Errorf("%s belongs to no behaviour that runs", file)
		}
	}
}

func TestCrash(t *testing.T) {
	t.Parallel()
	alone(t, controlplane.Crash, behaviours.StartControlPlane)
}

func TestFailClosed(t *testing.T) {
	t.Parallel()
	alone(t, controlplane.FailClosed, func(ctx context.Context, dir string) (*behaviours.Env, error) {
		return behaviours.StartControlPlaneAs(ctx, controlplane.FailClosedOn, dir)
	})
}

func TestOtherChoices(t *testing.T) {
	t.Parallel()
	alone(t, controlplane.OtherChoices, func(ctx context.Context, dir string) (*behaviours.Env, error) {
		return behaviours.StartControlPlaneWith(ctx, controlplane.OtherChoicesMade, dir)
	})
}

func TestLifeRestart(t *testing.T) {
	t.Parallel()
	alone(t, controlplane.LifeRestart, behaviours.StartControlPlane)
}

func TestPoolReady(t *testing.T) {
	t.Parallel()
	alone(t, controlplane.PoolReady, behaviours.StartControlPlaneAudited)
}

// alone proves a behaviour on an API server of its own: it stops the controller that others would
// share.
func alone(t *testing.T, b behaviours.Behaviour, start func(ctx context.Context, dir string) (*behaviours.Env, error)) {
	t.Helper()
	ctx := context.Background()
	own, err := start(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Finish(ctx); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the controller's log:\n%s", own.Log())
		}
		if err := own.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	behaviours.Run(t, own, []behaviours.Behaviour{b})
}
