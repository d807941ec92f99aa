package nodes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
	"spidernet.io/spiderpool/e2e/install"
)

const (
	// outagePods are made while the webhook is away.
	outagePods = 100
	// outageStart bounds how long the kubelets take to start them all.
	outageStart = 5 * time.Minute
)

// outage: while the controller is stopped, no pod is refused; when it is back each gets its
// addresses, and none is made again for that.
func outage(t *testing.T, e *behaviours.Env) {
	if err := e.Controller.Stop(t.Context(), behaviours.Patience); err != nil {
		t.Fatal(err)
	}
	created := admitWithoutWebhook(t, e)
	restarted := time.Now()
	if err := errors.Join(e.Controller.Restart(), e.Controller.AwaitReady(t.Context())); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	given := awaitCreated(t, e, created, behaviours.Patience, func(pod *corev1.Pod) error {
		if claims, errs := crdv1.ClaimsOf(pod.Annotations); len(claims) != 1 || len(errs) > 0 {
			return fmt.Errorf("pod %s carries %v (%v)", pod.Name, claims, errs)
		}
		return nil
	})
	t.Logf("all %d pods had addresses %s after the webhook was back, %s after its program was started",
		outagePods, time.Since(back).Round(time.Millisecond), time.Since(restarted).Round(time.Millisecond))
	if all := behaviours.Addresses(given); len(all) != outagePods {
		t.Errorf("%d pods carry %d different addresses", outagePods, len(all))
	}
	running := awaitCreated(t, e, created, outageStart, behaviours.Ready)
	t.Logf("all %d pods were Ready %s after the webhook was back", outagePods, time.Since(back).Round(time.Millisecond))
	runWithTheirs(t, running)
	for _, i := range []int{0, outagePods - 1} { // one that named its node, and one that did not
		e.AwaitEvent(t, created[i], corev1.EventTypeWarning, crdv1.ReasonMissedAdmission)
		e.AwaitSaysAssigned(t, created[i])
	}
	e.DeleteAll(t, lifeLateNamespace)
	for i := range running {
		e.AwaitGone(t, &running[i])
	}
}

// admitWithoutWebhook makes the pods of the outage, none of which may be refused, and waits until
// the kubelets have met them: so they stand when an outage has lasted, those that came last aside.
func admitWithoutWebhook(t *testing.T, e *behaviours.Env) []*corev1.Pod {
	t.Helper()
	begun := time.Now()
	created := make([]*corev1.Pod, outagePods)
	for i := range created {
		node := e.Cluster.Nodes[i%2].Name
		pod := behaviours.NewPod(lifeLateNamespace, fmt.Sprintf("outage-%02d", i), behaviours.FromPools([]string{"life-late-v4"}, nil))
		created[i] = behaviours.Pinned(pod, node)
		if i < outagePods/10 { // no scheduler for these, and no gate had there been a webhook
			created[i].Spec.NodeName = node
		}
	}
	behaviours.AtOnce(outagePods, func(i int) {
		if err := e.Client.Create(t.Context(), created[i]); err != nil {
			t.Errorf("creating pod %s: %v", created[i].Name, err)
			return
		}
		if behaviours.Gated(created[i]) || len(created[i].Annotations) != 1 {
			t.Errorf("pod %s went through a webhook: %v, %v", created[i].Name, created[i].Spec.SchedulingGates, created[i].Annotations)
		}
	})
	t.Logf("%d pods admitted in %s without the webhook", outagePods, time.Since(begun).Round(time.Millisecond))
	awaitCreated(t, e, created, behaviours.Patience, func(pod *corev1.Pod) error {
		if pod.Status.StartTime == nil {
			return fmt.Errorf("no kubelet knows of pod %s yet", pod.Name)
		}
		return nil
	})
	return created
}

// runWithTheirs fails where pods run with other addresses than they carry, or two with one.
func runWithTheirs(t *testing.T, pods []corev1.Pod) {
	t.Helper()
	runs := map[netip.Addr]string{} // address -> pod
	for i := range pods {
		runsWithItsClaims(t, &pods[i])
		for _, ip := range pods[i].Status.PodIPs {
			a, err := netip.ParseAddr(ip.IP)
			if err != nil {
				t.Fatal(err)
			}
			if other, ok := runs[a]; ok {
				t.Errorf("pods %s and %s run with %s", other, pods[i].Name, a)
			}
			runs[a] = pods[i].Name
		}
	}
}

// awaitCreated waits until all pods are as wanted, the very same that were created, and returns
// them.
func awaitCreated(t *testing.T, e *behaviours.Env, created []*corev1.Pod, within time.Duration, wanted func(*corev1.Pod) error) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	behaviours.Eventually(t, within, func(ctx context.Context) (err error) {
		if pods, err = e.Pods(ctx, lifeLateNamespace); err != nil {
			return err
		}
		if len(pods) != len(created) {
			return fmt.Errorf("%d pods, want the %d that were created", len(pods), len(created))
		}
		var errs []error
		for i := range pods {
			errs = append(errs, wanted(&pods[i]))
		}
		errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
		if len(errs) > 0 {
			return fmt.Errorf("%d of %d pods are not, such as: %w", len(errs), len(pods), errs[0])
		}
		return nil
	})
	for i := range pods {
		if !slices.ContainsFunc(created, func(p *corev1.Pod) bool { return p.UID == pods[i].UID }) {
			t.Errorf("pod %s (%s) is not one of those that were created", pods[i].Name, pods[i].UID)
		}
	}
	return pods
}

// errorInside: pods are admitted although the webhook cannot write what it reserves, wait, say why,
// and get addresses once it can.
func errorInside(t *testing.T, e *behaviours.Env) {
	restore := takeStatusRight(t, e)
	node := e.Cluster.Nodes[0].Name
	named := lifeLatePod(lifeLateNamespace, "error-named", node)
	named.Spec.NodeName = node
	if err := e.Client.Create(t.Context(), named); err != nil {
		t.Fatal(err)
	}
	if err := behaviours.CarriesNothing(named); err != nil || behaviours.Gated(named) {
		t.Errorf("pod %s, which names its node, has gates %v (%v)", named.Name, named.Spec.SchedulingGates, err)
	}
	gated := lifeLatePod(lifeLateNamespace, "error-gated", node)
	e.CreateWaiting(t, gated)
	pods := []*corev1.Pod{named, gated}
	for _, pod := range pods {
		e.AwaitReason(t, pod, crdv1.ReasonInternal)
	}
	if err := e.Controller.Check(); err != nil {
		t.Fatal(err)
	}
	restore()
	for _, pod := range pods {
		e.AwaitAssigned(t, pod)
		e.AwaitSaysAssigned(t, pod)
	}
	running := awaitCreated(t, e, pods, behaviours.Patience, behaviours.Ready)
	runWithTheirs(t, running)
	e.DeleteAll(t, lifeLateNamespace)
	for _, pod := range pods {
		e.AwaitGone(t, pod)
	}
}

// controllerName is the name of the controller's role and service account.
const controllerName = "spiderpool-controller"

// takeStatusRight takes the controller's right to write the status of pools, until the test ends or
// the function that it returns is called.
func takeStatusRight(t *testing.T, e *behaviours.Env) (restore func()) {
	t.Helper()
	role := func() *rbacv1.ClusterRole {
		var r rbacv1.ClusterRole
		if err := e.Client.Get(context.Background(), client.ObjectKey{Name: controllerName}, &r); err != nil {
			t.Fatal(err)
		}
		return &r
	}
	write := func(rules []rbacv1.PolicyRule, may bool) {
		r := role()
		r.Rules = rules
		if err := e.Client.Update(context.Background(), r); err != nil {
			t.Fatal(err)
		}
		awaitStatusRight(t, e, may)
	}
	all := role().Rules
	restored := false
	restore = func() {
		if !restored {
			restored = true
			write(all, true)
		}
	}
	t.Cleanup(restore)
	fewer := slices.DeleteFunc(slices.Clone(all), func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, "spiderippools/status") })
	write(fewer, false)
	return restore
}

// awaitStatusRight waits until the API server knows of a change of the role.
func awaitStatusRight(t *testing.T, e *behaviours.Env, may bool) {
	t.Helper()
	err := behaviours.Await(context.Background(), behaviours.Patience, func(ctx context.Context) error {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "system:serviceaccount:" + install.Namespace + ":" + controllerName,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: "update", Group: crdv1.GroupVersion.Group, Resource: "spiderippools", Subresource: "status",
			},
		}}
		if err := e.Client.Create(ctx, review); err != nil {
			return err
		}
		if review.Status.Allowed != may {
			return fmt.Errorf("the controller may write the status of pools: %t, want %t", review.Status.Allowed, may)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
