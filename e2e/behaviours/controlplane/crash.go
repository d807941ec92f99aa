package controlplane

import (
	"context"
	_ "embed" // the manifest
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed crash.yaml
var crashManifest []byte

// Crash proves: the controller is killed at a random moment of each of ten bursts. Every pod is
// admitted, those that met no webhook are given their addresses late, no two ever carry one
// address, and what the dead left reserved is free after the grace and a hold. It needs an API
// server and a controller of its own.
var Crash = behaviours.Behaviour{ID: "crash", Manifest: crashManifest, Test: crash}

const (
	crashPool  = "crash-pool"
	crashPods  = 200
	crashTimes = 10
	// crashPatience bounds one burst: reservations of the dead may fill the pool until they expire.
	crashPatience = 3 * behaviours.Grace
)

func crash(t *testing.T, e *behaviours.Env) {
	random := rand.New(rand.NewPCG(behaviours.Seed(t), 0))
	for round := range crashTimes {
		after := 1 + random.Int64N(crashPods)
		if !t.Run(fmt.Sprintf("kill %d after %d pods", round+1, after), func(t *testing.T) { crashOnce(t, e, round, after) }) {
			return
		}
	}
}

func crashOnce(t *testing.T, e *behaviours.Env, round int, after int64) {
	term := e.Pool(t, crashPool).Status.Term
	moment, done := make(chan struct{}), make(chan struct{})
	var admitted atomic.Int64
	go func() {
		defer close(done)
		behaviours.AtOnce(crashPods, func(i int) {
			admitDespiteCrash(t, e, fmt.Sprintf("round-%d-%d", round, i))
			if admitted.Add(1) == after {
				close(moment)
			}
		})
	}()
	<-moment                  // admitDespiteCrash ends, well or not, so this comes
	if e.Controller.Alive() { // it has ended by itself where it lost the election to a busy machine
		if err := e.Controller.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	reviveController(t, e)
	<-done
	// The successor leads once it has taken the pool over; only then does it see the pods end.
	awaitCrashPool(t, e, func(p *crdv1.SpiderIPPool) error {
		if p.Status.Term == term {
			return fmt.Errorf("still under the term of the dead, %q", term)
		}
		return nil
	})
	awaitAllSettled(t, e)
	e.DeleteAll(t, "crash")
	awaitCrashPool(t, e, func(p *crdv1.SpiderIPPool) error {
		if len(p.Status.Settled) > 0 {
			return fmt.Errorf("%v are settled although their pods have ended", p.Status.Settled)
		}
		return nil
	})
}

// awaitCrashPool waits until the pool is as wanted, and starts the controller again where it has
// ended, as a Deployment would.
func awaitCrashPool(t *testing.T, e *behaviours.Env, wanted func(*crdv1.SpiderIPPool) error) {
	t.Helper()
	behaviours.Eventually(t, crashPatience, func(ctx context.Context) error {
		if err := revive(ctx, e); err != nil {
			return err
		}
		var pool crdv1.SpiderIPPool
		if err := e.Client.Get(ctx, client.ObjectKey{Name: crashPool}, &pool); err != nil {
			return err
		}
		return wanted(&pool)
	})
}

// admitDespiteCrash creates a pod, again and again while the controller is away or its dead
// predecessor's reservations fill the pool.
func admitDespiteCrash(t *testing.T, e *behaviours.Env, name string) {
	ctx, cancel := context.WithTimeout(t.Context(), crashPatience)
	defer cancel()
	err := behaviours.Await(ctx, crashPatience, func(ctx context.Context) error {
		err := e.Client.Create(ctx, behaviours.NewPod("crash", name, behaviours.FromPools([]string{crashPool}, nil)))
		if apierrors.IsAlreadyExists(err) {
			return nil // the answer to an earlier attempt was lost
		}
		return err
	})
	if err != nil {
		t.Errorf("pod %s: %v", name, err)
	}
}

// awaitAllSettled waits until every pod carries an address, which those that met no webhook are
// given late, and the leader has seen it. What is reserved or held beside them belongs to nobody:
// it expires.
func awaitAllSettled(t *testing.T, e *behaviours.Env) {
	t.Helper()
	behaviours.Eventually(t, crashPatience, func(ctx context.Context) error {
		if err := revive(ctx, e); err != nil {
			return err
		}
		pods, err := e.Pods(ctx, "crash")
		if err != nil {
			return err
		}
		if got := len(behaviours.Addresses(pods)); len(pods) != crashPods || got != crashPods {
			return fmt.Errorf("%d pods carry %d addresses, want %d", len(pods), got, crashPods)
		}
		return nil
	})
	awaitCrashPool(t, e, func(p *crdv1.SpiderIPPool) error {
		left := len(p.Status.Reserved) + len(p.Status.Held)
		if p.Status.AllocatedIPCount == nil || *p.Status.AllocatedIPCount-int64(left) != crashPods {
			return fmt.Errorf("status is %+v, want %d settled", p.Status, crashPods)
		}
		t.Logf("the dead left %d addresses reserved, or held by now, for pods that never came", left)
		return nil
	})
}
