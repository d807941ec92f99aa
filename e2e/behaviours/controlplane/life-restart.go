package controlplane

import (
	"context"
	_ "embed" // the manifest
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
	"spidernet.io/spiderpool/e2e/cluster/process"
)

//go:embed life-restart.yaml
var lifeRestartManifest []byte

// LifeRestart proves: while pods come and go, the controller, the API server and etcd are killed
// and started again at random moments, and etcd is restored from an older backup. Nothing is lost,
// nothing doubled; and a controller that knew the cluster from before the restore takes nothing for
// granted. It needs an API server and a controller of its own.
var LifeRestart = behaviours.Behaviour{ID: "life-restart", Manifest: lifeRestartManifest, Test: lifeRestart}

const (
	restartPool    = "life-restart-pool"
	restartWorkers = 8
	// restartPatience bounds what waits for a hold.
	restartPatience = 4 * time.Minute
)

func lifeRestart(t *testing.T, e *behaviours.Env) {
	random := rand.New(rand.NewPCG(behaviours.Seed(t), 0))
	for name, p := range map[string]*process.Process{
		"the controller": e.Controller.Process, "the API server": e.Plane.APIServer, "etcd": e.Plane.Etcd,
	} {
		t.Run(name+" is killed", func(t *testing.T) { killedAmongPods(t, e, p, time.Duration(random.IntN(1500))*time.Millisecond) })
	}
	t.Run("etcd is restored", func(t *testing.T) { restored(t, e) })
	e.DeleteAll(t, "life-restart")
	behaviours.Eventually(t, restartPatience, func(ctx context.Context) error {
		var pool crdv1.SpiderIPPool
		if err := e.Client.Get(ctx, client.ObjectKey{Name: restartPool}, &pool); err != nil {
			return err
		}
		if n := pool.Status.AllocatedIPCount; n == nil || *n != 0 {
			return fmt.Errorf("the pool's status is %+v, want nothing taken", pool.Status)
		}
		return nil
	})
}

// killedAmongPods kills a process while workers make and delete pods, starts it again, and waits
// until every pod that is left has an address.
func killedAmongPods(t *testing.T, e *behaviours.Env, p *process.Process, after time.Duration) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan int)
	for worker := range restartWorkers {
		go func() { done <- comeAndGo(ctx, e, fmt.Sprintf("%s-%d", p.Spec.Name, worker)) }()
	}
	behaviours.Pause(ctx, after)
	if err := p.Kill(t.Context()); err != nil {
		t.Error(err)
	}
	behaviours.Pause(ctx, after)
	if err := p.Restart(); err != nil {
		t.Error(err)
	}
	if err := e.Plane.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	reviveController(t, e)
	behaviours.Pause(ctx, 2*time.Second)
	stop()
	made := 0
	for range restartWorkers {
		made += <-done
	}
	t.Logf("%d pods came while %s was away and back", made, p.Spec.Name)
	awaitAllAssigned(t, e)
	if err := e.WatchAnew(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// comeAndGo makes pods and deletes two of three, until ctx ends. What fails is tried again:
// something is away. It returns how many it made.
func comeAndGo(ctx context.Context, e *behaviours.Env, prefix string) int {
	made := 0
	for i := 0; ctx.Err() == nil; i++ {
		pod := behaviours.NewPod("life-restart", fmt.Sprintf("%s-%d", prefix, i), behaviours.FromPools([]string{restartPool}, nil))
		if err := e.Client.Create(ctx, pod); err != nil {
			behaviours.Pause(ctx, 50*time.Millisecond)
			continue
		}
		made++
		if i%3 != 0 {
			_ = e.Client.Delete(ctx, pod) // one that stays is as good
		}
	}
	return made
}

// reviveController starts the controller again where it has ended, as a Deployment would, and waits
// until it is ready.
func reviveController(t *testing.T, e *behaviours.Env) {
	t.Helper()
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error { return revive(ctx, e) })
}

func revive(ctx context.Context, e *behaviours.Env) error {
	if !e.Controller.Alive() {
		if err := e.Controller.Restart(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return e.Controller.AwaitReady(ctx)
}

// awaitAllAssigned waits until every pod carries an address of its own.
func awaitAllAssigned(t *testing.T, e *behaviours.Env) map[string]string {
	t.Helper()
	carried := map[string]string{} // namespace/name -> address
	behaviours.Eventually(t, restartPatience, func(ctx context.Context) error {
		if err := revive(ctx, e); err != nil {
			return err
		}
		pods, err := e.Pods(ctx, "life-restart")
		if err != nil {
			return err
		}
		pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
		all := behaviours.Addresses(pods)
		if len(all) != len(pods) {
			return fmt.Errorf("%d pods carry %d addresses", len(pods), len(all))
		}
		clear(carried)
		for a, pod := range all {
			carried[pod] = a.String()
		}
		return nil
	})
	return carried
}

// restored takes etcd back to a moment before pods were deleted and others came. The pods of then
// are back, with the addresses that they had: none of these may be handed out, though all were free
// a moment ago.
func restored(t *testing.T, e *behaviours.Env) {
	before := awaitAllAssigned(t, e)
	backup, err := e.Plane.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	reviveController(t, e)
	e.DeleteAll(t, "life-restart")
	for i := range 40 {
		pod := behaviours.NewPod("life-restart", fmt.Sprintf("never-%d", i), behaviours.FromPools([]string{restartPool}, nil))
		if err := e.Client.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
	awaitAllAssigned(t, e)
	restore := func(ctx context.Context) error { return e.Plane.Restore(ctx, backup) }
	if err := e.WatchAnew(t.Context(), restore); err != nil {
		t.Fatal(err)
	}
	// It must end by itself, knowing too much.
	behaviours.Eventually(t, behaviours.Patience, func(context.Context) error {
		if e.Controller.Alive() {
			return errors.New("the controller goes on in a cluster that was restored")
		}
		return nil
	})
	reviveController(t, e)
	for i := range 40 {
		pod := behaviours.NewPod("life-restart", fmt.Sprintf("after-%d", i), behaviours.FromPools([]string{restartPool}, nil))
		if err := e.Client.Create(t.Context(), pod); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	after := awaitAllAssigned(t, e)
	maps.DeleteFunc(after, func(pod, _ string) bool { _, ok := before[pod]; return !ok })
	if !maps.Equal(before, after) {
		t.Errorf("the pods of the backup carry\n%v\nand carried\n%v", after, before)
	}
}
