package controlplane

import (
	"context"
	_ "embed" // the manifest
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed life-orphan.yaml
var lifeOrphanManifest []byte

// LifeOrphan proves: when a quota, a policy or a later webhook refuses the pod after us, its
// address is free again after the grace; and a namespace whose controllers go on trying over their
// quota holds no more of a shared pool than its pods and its cap, so that another namespace's pods
// always start.
var LifeOrphan = behaviours.Behaviour{ID: "life-orphan", Manifest: lifeOrphanManifest, Test: lifeOrphan}

const (
	orphanPool    = "life-orphan-pool"
	orphanRefused = "life-orphan-refused"

	orphanQuota      = 5  // pods
	orphanCap        = 64 // a tenth of the pool is less
	orphanOwnerCap   = orphanCap / 2
	orphanSets       = 10
	orphanWanted     = 500 // pods, of all controllers together
	orphanOthersPods = 60
)

func lifeOrphan(t *testing.T, e *behaviours.Env) {
	t.Run("at once", func(t *testing.T) { // returns when all have ended
		t.Run("quota", func(t *testing.T) {
			t.Parallel()
			retryOverQuota(t, e)
		})
		for namespace, says := range map[string]string{
			"life-orphan-policy": "the policy wants none", "life-orphan-webhook": "later.life-orphan.example.com",
		} {
			t.Run(namespace, func(t *testing.T) {
				t.Parallel()
				refusedAfterUs(t, e, namespace, says)
			})
		}
	})
}

// refusedAfterUs has somebody else refuse a pod that has its address already.
func refusedAfterUs(t *testing.T, e *behaviours.Env, namespace, says string) {
	pod := func() *corev1.Pod {
		return behaviours.NewPod(namespace, "unwanted", behaviours.FromPools([]string{orphanRefused}, nil))
	}
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error {
		if err := e.Client.Create(ctx, pod(), client.DryRunAll); err == nil || !strings.Contains(err.Error(), says) {
			return fmt.Errorf("a pod is not refused by %q yet: %w", says, err)
		}
		return nil
	})
	if got := e.Refused(t, pod()); !strings.Contains(got, says) {
		t.Fatalf("refused with\n  %s\nwant %q in it", got, says)
	}
	refused := time.Now()
	if n := count(e.Record(t, orphanRefused), reservedIn(namespace)); n != 1 {
		t.Fatalf("%d addresses are reserved for the refused pod, want one: else this proves nothing", n)
	}
	e.AwaitRecord(t, orphanRefused, func(r *allocator.Record) error {
		if n := count(r, reservedIn(namespace)); n != 0 {
			return fmt.Errorf("%d addresses are still reserved for the refused pod", n)
		}
		return nil
	})
	took := time.Since(refused)
	t.Logf("the address was free %s after the refusal", took.Round(time.Millisecond))
	if limit := behaviours.Grace + 10*time.Second; took > limit { // the bound, and some for a slow computer
		t.Errorf("the address was free %s after the refusal, want at most %s", took, limit)
	}
}

func reservedIn(namespace string) func(allocator.Reservation) bool {
	return func(v allocator.Reservation) bool { return v.Pod.Namespace == namespace }
}

// count returns how many addresses are reserved for those that which means.
func count(r *allocator.Record, which func(allocator.Reservation) bool) int {
	n := 0
	for _, v := range r.Awaited() {
		if which(v) {
			n++
		}
	}
	return n
}

// tally is the most that was reserved at any moment.
type tally struct {
	namespace, owner int
	err              error
}

func (m *tally) see(pool *crdv1.SpiderIPPool) {
	record, err := behaviours.RecordOf(pool)
	if err != nil {
		m.err = errors.Join(m.err, err)
		return
	}
	owners := map[string]int{} // owner -> reserved for it
	for _, v := range record.Awaited() {
		if v.Pod.Namespace == "life-orphan" && v.Owner != "" {
			owners[v.Owner]++
		}
	}
	for _, n := range owners {
		m.owner = max(m.owner, n)
	}
	m.namespace = max(m.namespace, count(record, reservedIn("life-orphan")))
}

func retryOverQuota(t *testing.T, e *behaviours.Env) {
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error {
		var quota corev1.ResourceQuota
		err := e.Client.Get(ctx, client.ObjectKey{Namespace: "life-orphan", Name: "few"}, &quota)
		if err == nil && len(quota.Status.Hard) == 0 {
			err = errors.New("the quota is not counted yet")
		}
		return err
	})
	var most tally
	follower := e.Follow(t, e.Pool(t, orphanPool), most.see)
	owners := wantFarTooMany(t, e)

	// Others come one by one while the controllers try, the CronJob's too.
	for _, kind := range []string{"ReplicaSet", "Job"} {
		awaitRefusal(t, e, kind)
		for i := range orphanOthersPods {
			name := fmt.Sprintf("beside-%s-%d", strings.ToLower(kind), i)
			e.Create(t, behaviours.NewPod("life-orphan-others", name, behaviours.FromPools([]string{orphanPool}, nil)))
		}
	}
	var seen tally
	follower.UpToDate(t, e, func() { seen = most })
	seen.judge(t)
	if pods, err := e.Pods(t.Context(), "life-orphan"); err != nil || len(pods) > orphanQuota {
		t.Errorf("%d pods (%v), want at most the %d of the quota", len(pods), err, orphanQuota)
	}
	for _, owner := range owners {
		if err := e.Client.Delete(t.Context(), owner, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
			t.Fatal(err)
		}
	}
	e.AwaitRecord(t, orphanPool, func(r *allocator.Record) error {
		if r.Count() != 2*orphanOthersPods || count(r, reservedIn("life-orphan")) > 0 {
			return fmt.Errorf("%d addresses are taken, want the %d of the others", r.Count(), 2*orphanOthersPods)
		}
		return nil
	})
	e.DeleteAll(t, "life-orphan-others")
}

// judge compares the most that was reserved with what may be.
func (m *tally) judge(t *testing.T) {
	t.Helper()
	t.Logf("at most %d addresses were reserved for the namespace, %d of them for one owner", m.namespace, m.owner)
	if m.err != nil {
		t.Error(m.err)
	}
	if m.namespace > orphanCap || m.owner > orphanOwnerCap {
		t.Errorf("%d addresses were reserved for the namespace at one moment and %d for one owner, want at most %d and %d",
			m.namespace, m.owner, orphanCap, orphanOwnerCap)
	}
	if m.namespace <= orphanQuota {
		t.Errorf("no more than %d addresses were reserved at any moment: the controllers did not try", m.namespace)
	}
}

// wantFarTooMany makes ten ReplicaSets and a CronJob, and returns them.
func wantFarTooMany(t *testing.T, e *behaviours.Env) []client.Object {
	t.Helper()
	const each = orphanWanted / (orphanSets + 1)
	template := func(name string) corev1.PodTemplateSpec {
		pod := behaviours.NewPod("", "", behaviours.FromPools([]string{orphanPool}, nil))
		return corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Annotations: pod.Annotations, Labels: map[string]string{"app": name}}, Spec: pod.Spec,
		}
	}
	jobs := template("job")
	jobs.Spec.RestartPolicy = corev1.RestartPolicyNever
	owners := []client.Object{&batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "life-orphan", Name: "cron"},
		Spec: batchv1.CronJobSpec{Schedule: "* * * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{
			Parallelism: new(int32(orphanWanted - orphanSets*each)), Completions: new(int32(orphanWanted)), Template: jobs,
		}}},
	}}
	for i := range orphanSets {
		name := fmt.Sprintf("set-%d", i)
		owners = append(owners, &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "life-orphan", Name: name},
			Spec: appsv1.ReplicaSetSpec{
				Replicas: new(int32(each)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}, Template: template(name),
			},
		})
	}
	for _, owner := range owners {
		if err := e.Client.Create(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
	}
	return owners
}

// awaitRefusal waits until a controller of the kind was told of the quota. The CronJob starts its
// Job with the next minute.
func awaitRefusal(t *testing.T, e *behaviours.Env, kind string) {
	t.Helper()
	behaviours.Eventually(t, time.Minute+behaviours.Patience, func(ctx context.Context) error {
		var events corev1.EventList
		err := e.Client.List(ctx, &events, client.InNamespace("life-orphan"), client.MatchingFields{"involvedObject.kind": kind, "reason": "FailedCreate"})
		if err != nil {
			return err
		}
		for _, event := range events.Items {
			if strings.Contains(event.Message, "exceeded quota") {
				return nil
			}
		}
		return fmt.Errorf("no %s was refused a pod by the quota: %d events", kind, len(events.Items))
	})
}
