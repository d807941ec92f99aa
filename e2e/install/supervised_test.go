package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/cluster"
	"spidernet.io/spiderpool/e2e/cluster/process"
)

// TestASupervisedControllerThatEndsLeadsAgain also checks the log of the real controller, which has
// stopped and led again: every line must be JSON.
func TestASupervisedControllerThatEndsLeadsAgain(t *testing.T) {
	t.Parallel()
	plane, err := cluster.StartControlPlane(t.Context(), cluster.ControlPlaneOptions{ControllerManager: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	ports, err := FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	if err := Chart(t.Context(), plane.Config, Values{"controller": Values{"url": "https://" + ports[0].String()}}); err != nil {
		t.Fatal(err)
	}
	c, err := StartController(t.Context(), ControllerOptions{
		Config: plane.Config, Dir: t.TempDir(), Bind: ports[0], Metrics: ports[1], Health: ports[2],
		Flags: []string{"--leader-election-lease-duration=3s"}, Supervise: true,
		Start: func(s process.Spec) (*process.Process, error) { return process.Start(process.Here, s) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background(), patience); err != nil {
			t.Error(err)
		}
	})
	poolIsReady(t, plane.Config, "before", 1)

	first := started(t, c)
	record, err := process.Identify(first[len(first)-1])
	if err != nil {
		t.Fatal(err)
	}
	if err := record.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	poolIsReady(t, plane.Config, "after", 2)
	if again := started(t, c); len(again) != len(first)+1 {
		t.Errorf("the controller was started as %v, and before it was killed as %v", again, first)
	}
}

// poolIsReady creates a pool and waits until it is Ready, which needs a leading controller.
func poolIsReady(t *testing.T, cfg *rest.Config, name string, n int) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := crdv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	api, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	pool := &crdv1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       crdv1.IPPoolSpec{Subnet: fmt.Sprintf("198.18.%d.0/24", n), IPs: []string{fmt.Sprintf("198.18.%d.10", n)}},
	}
	if err := errors.Join(AwaitWebhooks(t.Context(), cfg), api.Create(t.Context(), pool)); err != nil {
		t.Fatal(err)
	}
	err = wait.PollUntilContextTimeout(t.Context(), poll, patience, true, func(ctx context.Context) (bool, error) {
		err := api.Get(ctx, client.ObjectKeyFromObject(pool), pool)
		return meta.IsStatusConditionTrue(pool.Status.Conditions, crdv1.ConditionReady), err
	})
	if err != nil {
		t.Fatalf("pool %q is not Ready: %v, conditions %+v", name, err, pool.Status.Conditions)
	}
}

// started returns the PIDs as which the supervisor started the controller.
func started(t *testing.T, c *Controller) []int {
	t.Helper()
	log, err := os.ReadFile(c.Spec.Log)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for text := range strings.Lines(string(log)) {
		var line struct {
			PID    int    `json:"pid"`
			Logger string `json:"logger"`
		}
		if !strings.HasSuffix(text, "\n") {
			break // the last line is not complete yet
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Errorf("%v: %s", err, text)
		}
		if line.Logger == "supervisor" && line.PID > 0 {
			pids = append(pids, line.PID)
		}
	}
	return pids
}
